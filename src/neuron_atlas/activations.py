"""Neuron values of many prompts: extracted in one pass, kept as one mappable file a layer."""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from neuron_atlas import hooks, store
from neuron_atlas.model import LanguageModel, Site, site_modules, tokenise

Pooling = Literal["answer", "mean", "subject"]
HEADER = 8  # bytes of a safetensors header's length
NAME = "values"
SAFETENSORS_DTYPE = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


@dataclass(frozen=True)
class Reading:
    """A tokenised prompt and the positions whose values are averaged."""

    ids: tuple[int, ...]
    where: tuple[int, ...]


def reading(lm: LanguageModel, prompt: str, subject: tuple[int, int], pooling: Pooling) -> Reading:
    """Tokenise a prompt and choose the positions that `pooling` reads.

    `answer` is the last prompt token of a decoder and the mask of an encoder; `mean` averages all
    tokens of the prompt, the beginning-of-sequence token included (Liu et al. 2025, section 3.1);
    `subject` averages the tokens that overlap the subject.

    Raises:
        ValueError: no token overlaps the subject's characters.
    """
    (before, after), spans = tokenise(lm, prompt)
    masks = (int(lm.mask_id or 0),) if lm.architecture.encoder else ()
    ids = (*before, *masks, *after)
    last = len(before) + len(masks) - 1
    if pooling == "answer":
        return Reading(ids, (last,))
    if pooling == "mean":
        return Reading(ids, tuple(range(len(ids))))
    start, end = subject
    placed = [*spans[0], *[(0, 0)] * len(masks), *spans[1]]
    where = tuple(i for i, (a, b) in enumerate(placed) if a < end and b > start)
    if not where:
        raise ValueError(f"no token of {prompt!r} overlaps the subject at characters {subject}")
    return Reading(ids, where)


@torch.no_grad()
def extract(
    lm: LanguageModel, readings: Sequence[Reading], *, site: Site = "hidden", n_tokens: int = 4096
) -> Iterator[tuple[Int[np.ndarray, " prompt"], Float[Tensor, "prompt layer neuron"]]]:
    """Yield the pooled values of all layers, batch by batch, from one pass a prompt.

    Prompts are sorted by length and right-padded; the head over the vocabulary never runs.

    Args:
        lm: The model.
        readings: The prompts.
        site: Which values of the MLP are neurons; see `model.site_modules`.
        n_tokens: Tokens of a padded batch; a matter of memory only.

    Yields:
        Places of the batch's prompts in `readings`, and their values in the model's precision.

    Raises:
        ValueError: a value is NaN or infinite; the message names the layer and the prompt.
    """
    modules = site_modules(lm, site)
    for places in _by_length(readings, n_tokens):
        ids, mask, weight = _padded([readings[i] for i in places], lm.device)
        visible = mask if lm.architecture.encoder else _causal(mask)
        with hooks.record(modules, _pool(weight)) as values:
            lm.hidden(ids, torch.arange(ids.shape[1], device=lm.device).expand_as(ids), visible)
        stacked = torch.stack([values[i] for i in range(lm.n_layers)], 1)
        _require_finite(stacked, places)
        yield places, stacked.cpu()


def _by_length(readings: Sequence[Reading], n_tokens: int) -> Iterator[Int[np.ndarray, " prompt"]]:
    lengths = np.array([len(r.ids) for r in readings])
    batch: list[int] = []
    for i in np.argsort(lengths, kind="stable"):
        if batch and (len(batch) + 1) * lengths[i] > n_tokens:
            yield np.array(batch)
            batch = []
        batch.append(int(i))
    if batch:
        yield np.array(batch)


def _padded(
    batch: Sequence[Reading], device: torch.device
) -> tuple[Tensor, Bool[Tensor, "batch position"], Float[Tensor, "batch position"]]:
    width = max(len(r.ids) for r in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.bool)
    weight = torch.zeros(len(batch), width)
    for i, item in enumerate(batch):
        ids[i, : len(item.ids)] = torch.tensor(item.ids)
        mask[i, : len(item.ids)] = True
        weight[i, list(item.where)] = 1 / len(item.where)
    return ids.to(device), mask.to(device), weight.to(device)


def _causal(mask: Bool[Tensor, "batch position"]) -> Bool[Tensor, "batch position position"]:
    width = mask.shape[1]
    square = torch.ones(width, width, dtype=torch.bool, device=mask.device)
    return (square.tril() & mask[:, None]) | torch.eye(width, dtype=torch.bool, device=mask.device)


def _pool(weight: Float[Tensor, "batch position"]) -> hooks.Change:
    single = bool((weight.amax(1) == 1).all())
    place = weight.argmax(1)

    def run(x: Tensor) -> Tensor:
        if single:
            return x[torch.arange(len(x), device=x.device), place]
        return torch.einsum("bp,bpn->bn", weight, x.float()).to(x.dtype)

    return run


def _require_finite(values: Float[Tensor, "prompt layer neuron"], places: np.ndarray) -> None:
    bad = ~torch.isfinite(values).all(-1)
    if bad.any():
        prompt, layer = bad.nonzero()[0].tolist()
        raise ValueError(
            f"activations of layer {layer} are NaN or infinite for prompt {places[prompt]}; "
            "try model.dtype: float32"
        )


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


def save(
    lm: LanguageModel, prompts: pd.DataFrame, out: Path, *, site: Site, pooling: Pooling
) -> None:
    """Extract the values of `prompts` into a folder: one file a layer, and `index.parquet`.

    The folder appears only when it is complete.
    """
    readings = [
        reading(lm, row["prompt"], (row["subject_start"], row["subject_end"]), pooling)
        for row in store.records(prompts)
    ]
    with (
        store.whole(out) as folder,
        tqdm(total=len(readings), unit="prompt", desc="extract") as bar,
    ):
        writer: LayerWriter | None = None
        for places, values in extract(lm, readings, site=site):
            writer = writer or LayerWriter(
                folder, shape=(len(readings), *values.shape[1:]), dtype=values.dtype
            )
            writer.write(places, values)
            bar.update(len(places))
        if writer:
            writer.close()
        store.write_table(folder / INDEX, prompts[INDEX_COLUMNS])
        store.write_json(folder / META, {"site": site, "pooling": pooling, "n_layers": lm.n_layers})


def read_index(folder: Path) -> pd.DataFrame:
    """Read which prompt each row of the layers' values is."""
    return store.read_table(folder / INDEX, INDEX_COLUMNS)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read which site and pooling the values are of, and how many layers there are."""
    return store.read_json(folder / META)
