"""Neuron values of many prompts, kept as one mappable file a layer."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from neuron_atlas import store

HEADER = 8  # bytes of a safetensors header's length
NAME = "values"
SAFETENSORS_DTYPE = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


class LayerWriter:
    """Fills one safetensors file a layer, row by row, without holding a layer in memory."""

    def __init__(self, folder: Path, *, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        """Create files for values of `shape` [prompt, layer, neuron]."""
        n_prompts, n_layers, n_neurons = shape
        folder.mkdir(parents=True, exist_ok=True)
        header = _header((n_prompts, n_neurons), dtype)
        self._width = dtype.itemsize * n_neurons
        self._maps = [
            _mapped(folder / file_name(i), header, n_prompts * self._width) for i in range(n_layers)
        ]

    def write(self, places: np.ndarray, values: Float[Tensor, "prompt layer neuron"]) -> None:
        """Store values at their places."""
        for layer, file in enumerate(self._maps):
            rows = values[:, layer].contiguous().view(torch.uint8).numpy()
            file.reshape(-1, self._width)[places] = rows

    def close(self) -> None:
        """Flush every file."""
        for file in self._maps:
            file.flush()


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


def _header(shape: tuple[int, int], dtype: torch.dtype) -> bytes:
    size = shape[0] * shape[1] * dtype.itemsize
    entry = {"dtype": SAFETENSORS_DTYPE[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"axes": "prompt neuron"}, NAME: entry}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _mapped(path: Path, header: bytes, size: int) -> np.memmap:
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    return np.memmap(path, dtype=np.uint8, mode="r+", offset=len(header), shape=(size,))


INDEX, META = "index.parquet", "meta.json"
INDEX_COLUMNS = ["fact", "relation", "subject", "split", "template", "correct"]


def known_prompts(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return the prompts of the facts that the model knows, all paraphrases of each.

    Raises:
        ValueError: the model knows no fact.
    """
    known = recalled[recalled["known"]].reset_index(drop=True)
    if known.empty:
        raise ValueError(
            f"the model knows none of {recalled['fact'].nunique()} facts; nothing to extract. "
            "See the recall table; try recall.shots, other relations or another model"
        )
    return known


def read_index(folder: Path) -> pd.DataFrame:
    """Read which prompt each row of the layers' values is."""
    return store.read_table(folder / INDEX, INDEX_COLUMNS)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read which site and pooling the values are of, and how many layers there are."""
    return store.read_json(folder / META)
