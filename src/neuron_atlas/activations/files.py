"""Neuron values on disk: which prompt each row is of, and one mappable file per layer."""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import safe_open
from torch import Tensor

from neuron_atlas.facts import roles
from neuron_atlas.pipeline import store

INDEX, META = "index.parquet", "meta.json"
INDEX_COLUMNS = [
    "fact",
    "relation",
    "subject",
    "template",
    "template_role",
    "correct",
]


def read_index(folder: Path) -> pd.DataFrame:
    """Read which prompt each row of a layer's values belongs to."""
    return store.read_table(folder / INDEX, INDEX_COLUMNS)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read the values' site and pooling, and the number of layers."""
    return store.read_json(folder / META)


@dataclass(frozen=True)
class Recorded:
    """One language's recorded values, and the half of each fact, which depends on the seed.

    Attributes:
        folder: Of the values.
        facts: A table with the halves of all recorded facts, once or more: of facts or recall.
    """

    folder: Path
    facts: pd.DataFrame

    @cached_property
    def index(self) -> pd.DataFrame:
        """Which prompt each row of a layer's values belongs to, with `roles.HALVES`."""
        return roles.with_halves(read_index(self.folder), roles.halves(self.facts))

    @cached_property
    def meta(self) -> dict[str, Any]:
        """As `read_meta`."""
        return read_meta(self.folder)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.meta["n_layers"])

    def layer(self, number: int) -> Float[Tensor, "prompt neuron"]:
        """Return the values of one layer, as `read_layer` does."""
        return read_layer(self.folder, number)

    def block(
        self, number: int, rows: Int[np.ndarray, " prompt"], neurons: slice
    ) -> Float[Tensor, "prompt neuron"]:
        """Return some prompts' values of some neurons of a layer, as `read_block` does."""
        return read_block(self.folder, number, rows, neurons)

    def n_neurons(self, number: int) -> int:
        """Return the neurons of a layer, from its file's header."""
        return layer_shape(self.folder, number)[1]


NAME = "values"
SAFETENSORS_DTYPE = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
}
Places = Int[np.ndarray, " prompt"]


class LayerWriter:
    """Fills one file per layer, row by row, without holding a layer in memory.

    Each batch is noted in a journal, with a checksum, once its rows are in the files. After a kill,
    the next writer of the same folder and journal learns from it what the files hold.
    """

    def __init__(
        self, folder: Path, *, shape: tuple[int, int, int], dtype: torch.dtype, journal: Path
    ) -> None:
        """Open the files for values of `shape` [prompt, layer, neuron]; create missing ones.

        Args:
            folder: Where the files are; it holds nothing else while they are written.
            shape: Of all values; the files have their full size from the start.
            dtype: Of the values.
            journal: The file that notes what was written.
        """
        n_prompts, n_layers, n_neurons = shape
        folder.mkdir(parents=True, exist_ok=True)
        header = _header((n_prompts, n_neurons), dtype)
        self._start, self._width = len(header), dtype.itemsize * n_neurons
        size = n_prompts * self._width
        self._files = [_opened(folder / file_name(i), header, size) for i in range(n_layers)]
        self._journal = journal.open("a+", encoding="ascii", errors="replace")
        self._journal.seek(0)
        lines = (line.rpartition(" ") for line in self._journal)
        self._noted = {name: checksum.strip() for name, _, checksum in lines}

    def holds(self, places: Places) -> bool:
        """Return whether a batch's rows are in the files, unharmed."""
        noted = self._noted.get(_batch_name(places))
        return noted is not None and noted == _checksum(
            [self._rows(f, places) for f in self._files]
        )

    def write(self, places: Places, values: Float[Tensor, "prompt layer neuron"]) -> None:
        """Store a batch's values at their places."""
        layers = [
            values[:, i].contiguous().view(torch.uint8).numpy() for i in range(values.shape[1])
        ]
        for file, rows in zip(self._files, layers, strict=True):
            for place, row in zip(places.tolist(), rows, strict=True):
                file.seek(self._start + place * self._width)
                file.write(row.data)
            file.flush()
        self._journal.write(f"{_batch_name(places)} {_checksum(layers)}\n")
        self._journal.flush()

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()
        self._journal.close()

    def _rows(self, file: BinaryIO, places: Places) -> UInt8[np.ndarray, "prompt byte"]:
        found = np.empty((len(places), self._width), np.uint8)
        for row, place in zip(found, places.tolist(), strict=True):
            file.seek(self._start + place * self._width)
            file.readinto(row.data)  # type: ignore[attr-defined]
        return found


def file_name(layer: int) -> str:
    """Return the name of a layer's file."""
    return f"layer_{layer:03d}.safetensors"


def read_layer(folder: Path, layer: int) -> Float[Tensor, "prompt neuron"]:
    """Map one layer's values; no other layer's file is touched.

    Raises:
        ValueError: the file is missing.
    """
    path = folder / file_name(layer)
    if not path.exists():
        raise ValueError(f"{path} does not exist; run `dvc repro` or `dvc pull` first")
    with safe_open(path, framework="pt") as file:
        values: Tensor = file.get_tensor(NAME)
    return values


def layer_shape(folder: Path, layer: int) -> tuple[int, int]:
    """Return the prompts and the neurons of a layer's file.

    Raises:
        ValueError: the file is missing.
    """
    n_prompts, n_neurons = _laid_out(folder / file_name(layer))[0]["shape"]
    return n_prompts, n_neurons


def read_block(
    folder: Path, layer: int, rows: Int[np.ndarray, " prompt"], neurons: slice
) -> Float[Tensor, "prompt neuron"]:
    """Copy some prompts' values of some neurons of a layer; nothing else stays in memory.

    The file is mapped to be read alone: its pages are the system's, which takes them back when
    memory is short, and no part of what the process holds.

    Raises:
        ValueError: the file is missing.
    """
    entry, start = _laid_out(path := folder / file_name(layer))
    (kind,) = (kind for kind, name in SAFETENSORS_DTYPE.items() if name == entry["dtype"])
    width = np.dtype(f"u{kind.itemsize}")  # numpy has no bfloat16
    there = np.memmap(path, width, mode="r", offset=start, shape=tuple(entry["shape"]))
    return torch.from_numpy(np.ascontiguousarray(there[rows, neurons])).view(kind)


def _laid_out(path: Path) -> tuple[dict[str, Any], int]:
    """Return what a layer's file says of its values, and the byte where they begin."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; run `dvc repro` or `dvc pull` first")
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        entry: dict[str, Any] = json.loads(file.read(size))[NAME]
    return entry, 8 + size


def _batch_name(places: Places) -> str:
    """Name a batch by its first prompt and their number: the order of prompts is fixed."""
    return f"{places[0]} {len(places)}"


def _checksum(layers: Sequence[UInt8[np.ndarray, "prompt byte"]]) -> str:
    total = 0
    for rows in layers:
        total = zlib.crc32(np.ascontiguousarray(rows).data, total)
    return str(total)


def _header(shape: tuple[int, int], dtype: torch.dtype) -> bytes:
    size = shape[0] * shape[1] * dtype.itemsize
    entry = {"dtype": SAFETENSORS_DTYPE[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"axes": "prompt neuron"}, NAME: entry}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _opened(path: Path, header: bytes, size: int) -> BinaryIO:
    """Open a file as it is if its size is right; otherwise make a new one.

    Rows are written by seek and write, not through a memory map: a full disk then raises an error,
    where a map would kill the process with a bus error.
    """
    if not path.exists() or path.stat().st_size != len(header) + size:
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + size)
    return path.open("r+b")
