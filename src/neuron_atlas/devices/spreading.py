"""Which device keeps which part of a model that is larger than a device.

Whole blocks are placed, since what a block computes stays on its device. Everything else (the
embeddings, the last norm, the head) is on the first device, where questions begin and end. Blocks
for which no device that computes has room are kept in main memory or left on the disk, and brought
to the first device when they run.
"""

from collections.abc import Mapping, Sequence, Set

from torch import nn

from neuron_atlas.devices.choice import MEMORY, Name

DISK = "disk"


def placed(network: nn.Module, blocks: Sequence[str], rooms: Mapping[Name, int]) -> dict[str, Name]:
    """Return where each part of a model is kept, by the path of its module or parameter.

    Args:
        network: The model; its weights need not be there.
        blocks: Paths of its blocks, in order.
        rooms: Bytes of weights that each device may hold: GPUs, then `cpu`; the first of them is
            the device on which everything but the blocks is.

    Raises:
        ValueError: the first device has no room for what must be there.
    """
    main = next(iter(rooms))
    sizes = [_size(network.get_submodule(path)) for path in blocks]
    rest = _size(network) - sum(sizes)
    room = dict(rooms)
    room[main] -= rest
    running: list[Name] = [name for name in rooms if name != "cpu"] or ["cpu"]
    has_room = room[main] >= 0  # for what cannot be elsewhere
    where = _balanced(sizes, {name: room[name] for name in running}, rest) if has_room else None
    if where is None:
        room[main] -= max(sizes)  # for the block that is brought there
        if room[main] < 0:
            raise ValueError(
                f"{_named(main)} may hold {rooms[main]:,} bytes of weights; expected at least "
                f"{rest + max(sizes):,}, for the embeddings and one block; free some memory, set "
                f"{MEMORY}, or choose a smaller model.dtype"
            )
        where = _in_turn(sizes, room)
    return {**_others(network, "", set(blocks), main), **dict(zip(blocks, where, strict=True))}


def _balanced(sizes: Sequence[int], room: Mapping[Name, int], rest: int) -> list[Name] | None:
    """Place all blocks on devices that compute, each with about as much; None without room."""
    names, share = list(room), (sum(sizes) + rest) / len(room)
    for least in (share, float("inf")):  # as evenly as it goes, else as they come
        left = {
            name: min(room[name], least - (rest if i == 0 else 0)) for i, name in enumerate(names)
        }
        left[names[-1]] = room[names[-1]]
        where: list[Name] = []
        for size in sizes:
            while names and left[names[0]] < size:
                names = names[1:]
            if not names:
                break
            left[names[0]] -= size
            where.append(names[0])
        if len(where) == len(sizes):
            return where
        names = list(room)
    return None


def _in_turn(sizes: Sequence[int], room: Mapping[Name, int]) -> list[Name]:
    """Fill one device after another; what is left over stays on the disk."""
    names, left, where = [*room, DISK], dict(room), []
    for size in sizes:
        while names[0] != DISK and left[names[0]] < size:
            names = names[1:]
        if names[0] != DISK:
            left[names[0]] -= size
        where.append(names[0])
    return where


def _others(module: nn.Module, path: str, blocks: Set[str], main: Name) -> dict[str, Name]:
    """Put what is no block on one device, naming whole modules where no block is inside."""
    if path in blocks:
        return {}
    if path and not any(block.startswith(f"{path}.") for block in blocks):
        return {path: main}
    own = [name for name, _ in module.named_parameters(path, recurse=False)]
    own += [name for name, _ in module.named_buffers(path, recurse=False)]
    found: dict[str, Name] = dict.fromkeys(own, main)
    for name, child in module.named_children():
        found |= _others(child, f"{path}.{name}" if path else name, blocks, main)
    return found


def _size(module: nn.Module) -> int:
    """Return the bytes of a module's weights, those that it shares counted once."""
    own = [*module.parameters(), *module.buffers()]
    return sum(x.numel() * x.element_size() for x in own)


def _named(name: Name) -> str:
    return f"GPU {name}" if isinstance(name, int) else "main memory"
