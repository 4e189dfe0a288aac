"""Where a model is loaded, as the environment says: no result is a function of it.

A parameter in params.yaml would make DVC compute everything anew on each machine.
"""

import os

import psutil
import torch
from accelerate.utils import convert_file_size_to_int

DEVICE = "NEURON_ATLAS_DEVICE"
MEMORY = "NEURON_ATLAS_MEMORY"
AUTO, SPREAD = "auto", "spread"
SHARE = 0.8  # of a device's free memory that weights may take; the rest is for what is computed
Name = int | str  # a GPU's number, or `cpu`, as accelerate names devices


def chosen(device: str | None = None) -> str:
    """Return where to load a model: a device's name, or `SPREAD`.

    Args:
        device: What the caller says; None leaves it to `NEURON_ATLAS_DEVICE`. `auto` is the GPU if
            there is one, else the CPU.

    Raises:
        ValueError: it names no device, or one that this machine does not have.
    """
    name = device or os.environ.get(DEVICE) or AUTO
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == SPREAD:
        return name
    if not _is_there(name):
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"expected a device that is {AUTO}, {SPREAD} or one of {there}, got {name!r}; it comes "
            f"from {'the argument `device`' if device else f'the environment variable {DEVICE}'}"
        )
    return name


def _is_there(name: str) -> bool:
    try:
        device = torch.device(name)
    except RuntimeError:
        return False
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu"


def rooms() -> dict[Name, int]:
    """Return how many bytes of weights each device may hold: GPUs in order, then `cpu`.

    By default a share of what is free. `NEURON_ATLAS_MEMORY`, such as `0=20GiB,cpu=64GiB`, says
    otherwise for the devices that it names; 0 leaves one out.

    Raises:
        ValueError: the variable is not of that form, or names a device that is not there.
    """
    free: dict[Name, int] = {
        i: int(SHARE * torch.cuda.mem_get_info(i)[0]) for i in range(torch.cuda.device_count())
    }
    free["cpu"] = int(SHARE * psutil.virtual_memory().available)
    for part in filter(None, os.environ.get(MEMORY, "").split(",")):
        name, _, size = (word.strip() for word in part.partition("="))
        key: Name = int(name) if name.isdigit() else name
        if key not in free:
            raise ValueError(f"{MEMORY}: expected devices among {list(free)}, got {part!r}")
        free[key] = _bytes(size)
    return {name: size for name, size in free.items() if size or name == "cpu"}


def _bytes(size: str) -> int:
    if size.isdigit():
        return int(size)
    try:
        return int(convert_file_size_to_int(size))
    except ValueError as error:
        raise ValueError(
            f"{MEMORY}: expected sizes such as 20GiB, 500MB or a number of bytes, got {size!r}"
        ) from error
