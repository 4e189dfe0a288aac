"""Where a module runs, and its weights, which may be kept elsewhere until it does.

accelerate gives the modules of a spread model hooks that bring inputs and weights to their device.
"""

from typing import Any

import torch
from torch import Tensor, nn

from neuron_atlas.devices.choice import DEVICE


def device_of(module: nn.Module) -> torch.device:
    """Return the device on which a module runs, and to which its inputs are brought."""
    for hook in _hooks(module):
        found = getattr(hook, "execution_device", None)
        if found is not None:
            return torch.device("cuda", found) if isinstance(found, int) else torch.device(found)
    return next(module.parameters()).device


def weight(module: nn.Module, name: str = "weight") -> Tensor:
    """Return a module's parameter on the device on which the module runs.

    That of a module whose weights are kept elsewhere is a copy; see `require_here`.
    """
    own = module.get_parameter(name)
    if not own.is_meta:
        return own
    kept: Tensor = next(
        hook.weights_map[name] for hook in _hooks(module) if getattr(hook, "offload", False)
    )
    return kept.to(device_of(module), own.dtype)


def require_here(module: nn.Module, what: str) -> None:
    """Require a module's weights to be where it runs, so that a change of them lasts.

    Args:
        module: The module.
        what: What is to be changed, for the message.

    Raises:
        ValueError: they are brought there from main memory or the disk whenever it runs.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        raise ValueError(
            f"{what} cannot be edited: expected its weights on the device that runs it, but they "
            "are brought there from main memory or the disk each time, without the edit; the model "
            f"is larger than its devices: use larger ones, or {DEVICE}=cpu"
        )


def _hooks(module: nn.Module) -> tuple[Any, ...]:
    hook = getattr(module, "_hf_hook", None)
    return () if hook is None else tuple(getattr(hook, "hooks", (hook,)))
