"""Run the same prompts again after a change of some layers, without running the layers below."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from neuron_atlas.model.language_model import LanguageModel


class Replay:
    """Records what every block returned in one run, and lets blocks return it again.

    Layers below a changed layer do not see the change, at any position. So the result is the same
    bit for bit, and costs only the layers from the changed one upward.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._blocks = lm.blocks
        self._returned: list[list[Any]] = [[] for _ in lm.blocks]

    @contextmanager
    def record(self) -> Iterator[None]:
        """While open, record what the blocks return."""
        with ExitStack() as stack:
            for block, returned in zip(self._blocks, self._returned, strict=True):
                stack.enter_context(_calling(block, _remembering(block.forward, returned)))
            yield

    @contextmanager
    def below(self, layer: int) -> Iterator[None]:
        """While open, let the blocks below `layer` return what was recorded.

        The same batches must be run in the same order.
        """
        with ExitStack() as stack:
            for block, returned in zip(self._blocks[:layer], self._returned, strict=False):
                stack.enter_context(_calling(block, _repeating(returned)))
            yield


def _remembering(run: Callable[..., Any], returned: list[Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        returned.append(run(*args, **kwargs))
        return returned[-1]

    return forward


def _repeating(returned: list[Any]) -> Callable[..., Any]:
    rest = iter(returned)

    def forward(*_args: Any, **_kwargs: Any) -> Any:
        return next(rest)

    return forward


@contextmanager
def _calling(block: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Call `forward` in place of the block's own while open."""
    before = vars(block).get("forward")
    block.forward = forward
    try:
        yield
    finally:
        if before is None:
            del block.forward
        else:
            block.forward = before
