"""What a Ray worker does: take the work, which loads the model, then one part after another."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from neuron_atlas.executors import executor, ray_work

CODE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Surroundings:
    """What results depend on besides the work: workers must agree with the stage in all of it.

    Attributes:
        folder: The working directory.
        code: A digest of the library's code.
        versions: Of Python and torch.
        threads: Of torch.
        blas: Threads of the other libraries that multiply matrices, by name.
    """

    folder: str
    code: str
    versions: str
    threads: int
    blas: Mapping[str, int]

    def enter(self) -> None:
        """Take these over in a worker's process.

        Raises:
            ValueError: the folder is not there, or the code or a version is another.
        """
        if not Path(self.folder).is_dir():
            raise ValueError(
                f"{self.folder} does not exist there; put the repository where all machines see "
                "it under this path"
            )
        os.chdir(self.folder)
        mine = here()
        for what in ("code", "versions"):
            expected, found = getattr(self, what), getattr(mine, what)
            if expected != found:
                raise ValueError(
                    f"the {what} of neuron-atlas there is {found}, here it is {expected}; "
                    "install the same on all machines"
                )

    def limit(self) -> None:
        """Let matrices be multiplied in as many threads: with more, sums are split otherwise."""
        torch.set_num_threads(self.threads)
        threadpool_limits(dict(self.blas))


def here() -> Surroundings:
    """Return the surroundings of this process."""
    libraries = [one for one in threadpool_info() if one["user_api"] == "blas"]
    digest = hashlib.sha256()
    for file in sorted(CODE.rglob("*.py")):
        digest.update(file.relative_to(CODE).as_posix().encode() + file.read_bytes())
    return Surroundings(
        folder=str(Path.cwd()),
        code=digest.hexdigest()[:16],
        versions=f"Python {platform.python_version()}, torch {torch.__version__}",
        threads=torch.get_num_threads(),
        blas={one["prefix"]: int(one["num_threads"]) for one in libraries},
    )


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
            self._run = ray_work.unpacked(work)
        except Exception as error:
            raise ValueError(
                f"a Ray worker on {platform.node()} could not load what the stage needs: {error}"
            ) from error
        surroundings.limit()

    def run(self, part: Any) -> Any:
        """Return what the work makes of a part."""
        return self._run(part)
