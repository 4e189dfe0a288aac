"""Restore a model after a peer has changed it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Put replaced children back and remove leftover hooks, also after an error."""
    children = [(module, dict(module._modules)) for module in network.modules()]
    hooks = [(getattr(m, name), dict(getattr(m, name))) for m, _ in children for name in HOOKS]
    try:
        yield
    finally:
        for module, own in children:
            module._modules.clear()
            module._modules.update(own)
        for present, before in hooks:
            present.clear()
            present.update(before)
