"""A tensor that hooks on several devices need."""

import torch
from torch import Tensor


class Everywhere:
    """Keeps a copy of a tensor on each device where it was asked for."""

    def __init__(self, value: Tensor) -> None:
        self._copies: dict[torch.device, Tensor] = {value.device: value}

    def near(self, x: Tensor) -> Tensor:
        """Return the tensor on the device of another."""
        if x.device not in self._copies:
            self._copies[x.device] = next(iter(self._copies.values())).to(x.device)
        return self._copies[x.device]
