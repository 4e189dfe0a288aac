"""What a Ray worker does: take the work, which loads the model, then one part after another."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from neuron_atlas.executors import executor, ray_work

CODE = Path(__file__).parents[1]
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pandas")
DIFFERENCES = {
    "code": "install the same neuron-atlas on all machines",
    "versions": "install the same on all machines, with constraints.txt",
    "processor": "the last digits of results would differ; take machines of one kind",
}


@dataclass(frozen=True)
class Surroundings:
    """What results depend on besides the work: workers must agree with the stage in all of it.

    Attributes:
        folder: The working directory.
        code: A digest of the library's code.
        versions: Of Python and of what computes.
        processor: The instructions that torch uses, or the GPU.
        products: The precision of float32 products; see `choose_matrix_products`.
        threads: Of torch.
        blas: Threads of the other libraries that multiply matrices, by name.
    """

    folder: str
    code: str
    versions: str
    processor: str
    products: str
    threads: int
    blas: Mapping[str, int]

    def enter(self) -> None:
        """Take these over in a worker's process.

        Raises:
            ValueError: the folder is not there, or the code, a version or the processor is another.
        """
        if not Path(self.folder).is_dir():
            raise ValueError(
                f"{self.folder} does not exist there; put the repository where all machines see "
                "it under this path"
            )
        os.chdir(self.folder)
        mine = here()
        for what, remedy in DIFFERENCES.items():
            expected, found = getattr(self, what), getattr(mine, what)
            if expected != found:
                raise ValueError(f"the {what} there is {found}, here it is {expected}; {remedy}")

    def limit(self) -> None:
        """Let matrices be multiplied in as many threads: with more, sums are split otherwise.

        Raises:
            ValueError: they are multiplied in another precision than the stage's.
        """
        if (found := torch.get_float32_matmul_precision()) != self.products:
            raise ValueError(
                f"the precision of products there is {found!r}, here it is {self.products!r}; "
                "take machines of one kind"
            )
        torch.set_num_threads(self.threads)
        threadpool_limits(dict(self.blas))


def here() -> Surroundings:
    """Return the surroundings of this process."""
    libraries = [one for one in threadpool_info() if one["user_api"] == "blas"]
    versions = {"Python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    on_gpu = torch.cuda.is_available()
    return Surroundings(
        folder=str(Path.cwd()),
        code=_code(),
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        processor=torch.cuda.get_device_name()
        if on_gpu
        else torch.backends.cpu.get_cpu_capability(),
        products=torch.get_float32_matmul_precision(),
        threads=torch.get_num_threads(),
        blas={one["prefix"]: int(one["num_threads"]) for one in libraries},
    )


@cache
def _code() -> str:
    """Return a digest of the library's code as this process found it at first."""
    digest = hashlib.sha256()
    for file in sorted(CODE.rglob("*.py")):
        digest.update(file.relative_to(CODE).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class Worker:
    """The class of the actors; each holds one work at a time, and each model that it loaded."""

    def take(self, surroundings: Surroundings, work: bytes) -> None:
        """Take a work in place of the one before, and load the model that it needs.

        Raises:
            ValueError: that failed, or this machine does not agree with the stage's.
        """
        os.environ[executor.VARIABLE] = executor.LOCAL  # parts of parts are worked on here
        try:
            surroundings.enter()
            self._run: Any = None  # before the next one takes as much memory
            self._run = ray_work.unpacked(work)
            surroundings.limit()
        except Exception as error:
            raise ValueError(
                f"a Ray worker on {platform.node()} could not load what the stage needs: {error}"
            ) from error

    def run(self, part: Any) -> Any:
        """Return what the work makes of a part."""
        return self._run(part)
