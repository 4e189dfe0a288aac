"""Run a stage script and count the FLOPs of its matrix products.

What is counted does not depend on the machine or on what else runs on it.
"""

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

CONFIG = Path("data/model/config.json")  # of the run that the script belongs to


class FlopCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the FLOPs of matrix products: of those with the vocabulary, and of all others.

    Attributes:
        body: FLOPs of all products but those with the embeddings of the vocabulary.
        head: FLOPs of these.
    """

    def __init__(self, n_embeddings: int) -> None:
        """Start at 0; a part of a tensor with `n_embeddings` numbers is one of the embeddings."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.body, self.head, self._n = 0, 0, n_embeddings

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count it if it is a product."""
        named = dict(kwargs or {})
        found = func(*args, **named)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            flops = int(count(*args, **named, out_val=found))
            if any(self._of_head(x) for x in args):
                self.head += flops
            else:
                self.body += flops
        return found

    def _of_head(self, x: object) -> bool:
        if not isinstance(x, Tensor) or not self._n:
            return False
        return x.untyped_storage().nbytes() == self._n * x.element_size()


def n_embeddings(config: Path = CONFIG) -> int:
    """Return how many numbers the embeddings of a model have; 0 if there is no model yet."""
    if not config.exists():
        return 0
    sizes = json.loads(config.read_text(encoding="utf-8"))
    return int(sizes["vocab_size"]) * int(sizes.get("hidden_size") or sizes["n_embd"])


def counted(script: str, arguments: Sequence[str]) -> dict[str, int]:
    """Run a stage script in this process, as if from the command line.

    Returns:
        `body` and `head`, the FLOPs of its products.

    Raises:
        SystemExit: the stage failed.
    """
    counts = FlopCount(n_embeddings())
    given, sys.argv = sys.argv, [script, *arguments]
    try:
        with counts:
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.argv = given
    return {"body": counts.body, "head": counts.head}
