"""Neuron values of many prompts: all layers from one pass per prompt."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.activations.files import INDEX, INDEX_COLUMNS, META, LayerWriter, Places
from neuron_atlas.activations.settings import Pooling
from neuron_atlas.devices.everywhere import Everywhere
from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.executors import executor
from neuron_atlas.model import hooks
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel, mlp_inputs, site_modules
from neuron_atlas.model.tokens import tokenise
from neuron_atlas.pipeline import progress, store
from neuron_atlas.scoring.packing import (
    UNEDITED,
    Row,
    Segment,
    batches,
    pack,
    prompt_places,
    share_prefixes,
)
from neuron_atlas.scoring.trees import AnswerTree, Ints

N_TOKENS = 4096  # of a padded batch
SEQUENCE = 192  # tokens of a sequence in which prompts share their beginning; a matter of speed
NONE = np.empty(0, dtype=np.int64)


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


def extract(
    lm: LanguageModel,
    readings: Sequence[Reading],
    *,
    site: Site = "hidden",
    n_tokens: int = N_TOKENS,
) -> Iterator[tuple[Places, Float[Tensor, "prompt layer neuron"]]]:
    """Yield the pooled values of all layers, batch by batch, from one pass per prompt.

    A decoder's prompts that begin alike, with the same demonstrations, share that beginning; the
    head over the vocabulary never runs.

    Args:
        lm: The model.
        readings: The prompts.
        site: Which values of the MLP are neurons; see `language_model.site_modules`.
        n_tokens: Tokens of a padded batch; a matter of memory only.

    Yields:
        Places of the batch's prompts in `readings`, and their values in the model's precision.

    Raises:
        ValueError: a value is NaN or infinite; the message names the layer and the prompt.
    """
    for batch in _batches(lm, readings, n_tokens=n_tokens):
        yield _places(batch), _values(lm, readings, site, batch)


def _batches(
    lm: LanguageModel, readings: Sequence[Reading], *, n_tokens: int
) -> Iterator[Sequence[Row]]:
    encoder = lm.architecture.encoder
    laid_out = [_block(r, encoder=encoder) for r in readings]
    parts = [Segment(i, block, (0,), (UNEDITED,)) for i, block in enumerate(laid_out)]
    packable = share_prefixes(parts, shareable=not encoder, everywhere=False, target=SEQUENCE)
    return batches(list(packable), n_tokens=n_tokens)


def _places(batch: Sequence[Row]) -> Places:
    """Return the places of a batch's prompts among all."""
    return np.array([part.owner for row in batch for part in row.segments])


@torch.no_grad()
def _values(
    lm: LanguageModel, readings: Sequence[Reading], site: Site, batch: Sequence[Row]
) -> Float[Tensor, "prompt layer neuron"]:
    """Return the values of a batch's prompts; its halves are run if it does not fit a device."""
    modules = site_modules(lm, site)
    found = []
    for some, values in halving(list(batch), partial(_read, lm, readings, modules), in_two):
        if not all(map(torch.isfinite, values.aminmax())):  # NaN is passed on
            raise _not_finite(lm, some, readings, modules)
        found.append(values)
    return found[0] if len(found) == 1 else torch.cat(found)


def _read(
    lm: LanguageModel, readings: Sequence[Reading], modules: hooks.Modules, batch: Sequence[Row]
) -> Float[Tensor, "prompt layer neuron"]:
    """Return a batch's values in main memory: the one time that it is waited for."""
    return _run(lm, batch, readings, modules).cpu()


def _run(
    lm: LanguageModel, batch: Sequence[Row], readings: Sequence[Reading], modules: hooks.Modules
) -> Float[Tensor, "prompt layer neuron"]:
    packed = pack(batch, encoder=lm.architecture.encoder)
    width = packed.ids.shape[1]
    where = [
        i * width + at[list(readings[part.owner].where)]
        for i, row in enumerate(batch)
        for part, at in prompt_places(row)
    ]
    inputs = (x.to(lm.device) for x in (packed.ids, packed.positions, packed.visible))
    read, average = _pool(where)
    entrances = mlp_inputs(lm, -1)
    at_end = average if entrances else lambda x: average(read(x))
    with (
        hooks.record(modules[:-1], lambda x: average(read(x))) as below,
        hooks.edit_arguments(entrances, read),
        hooks.record(modules[-1:], at_end, stop=True) as last,
    ):
        lm.hidden(*inputs)
    return lm.stacked({**below, lm.n_layers - 1: last[0]}, 1)


def _not_finite(
    lm: LanguageModel, batch: Sequence[Row], readings: Sequence[Reading], modules: hooks.Modules
) -> ValueError:
    """Name the first prompt with a bad value; in a shared sequence it spoils its neighbours'."""
    for part in (part for row in batch for part in row.segments):
        alone = Row((part,), len(part.block.prefix), everywhere=False)
        bad = ~torch.isfinite(_run(lm, [alone], readings, modules)).all(-1)
        if bad.any():
            layer = int(bad.nonzero()[0, 1])
            return ValueError(
                f"activations of layer {layer} are NaN or infinite for prompt {part.owner}; "
                "try model.dtype: float32"
            )
    return ValueError("activations are NaN or infinite in a batch; try model.dtype: float32")


def _block(asked: Reading, *, encoder: bool) -> AnswerTree:
    """Lay a prompt out without answers: a decoder's last token behind the rest, or all of it."""
    ids = np.array(asked.ids, dtype=np.int64)
    own = len(ids) if encoder else 1
    return AnswerTree(
        prefix=ids[: len(ids) - own],
        ids=ids[len(ids) - own :],
        depth=np.arange(own),
        visible=np.ones((own, own), dtype=np.bool_),
        answer=np.zeros(own, dtype=np.bool_),
        edge_row=NONE,
        edge_token=NONE,
        incidence=np.zeros((0, 0)),
        answers=NONE,
    )


def _pool(where: Sequence[Ints]) -> tuple[hooks.Change, hooks.Change]:
    """Return what reads the positions, which count through the whole batch, and what averages them.

    The first makes [1, token, neuron] of [batch, position, neuron]; the second takes that to
    [prompt, neuron].
    """
    at = Everywhere(torch.from_numpy(np.concatenate(where)))

    def read(x: Tensor) -> Tensor:
        return x.flatten(0, 1)[at.near(x)][None]

    if sum(map(len, where)) == len(where):
        return read, lambda x: x[0]
    owner = Everywhere(torch.tensor([i for i, w in enumerate(where) for _ in w]))
    weight = Everywhere(torch.tensor([1 / len(w) for w in where for _ in w]))

    def average(x: Tensor) -> Tensor:
        total = torch.zeros(len(where), x.shape[-1], device=x.device)
        own = x[0].float() * weight.near(x)[:, None]
        return total.index_add_(0, owner.near(x), own).to(x.dtype)

    return read, average


def save(
    lm: LanguageModel,
    prompts: pd.DataFrame,
    out: Path,
    *,
    site: Site,
    pooling: Pooling,
    place: Path,
    n_tokens: int = N_TOKENS,
) -> None:
    """Extract the values of `prompts` into a folder: one file per layer, and `index.parquet`.

    The folder `out` appears only once it is complete. Until then its files grow in `place`, where a
    killed run resumes with the batch that it was writing.
    """
    readings = [
        reading(lm, row["prompt"], (row["subject_start"], row["subject_end"]), pooling)
        for row in store.records(prompts)
    ]
    folder = place / "values"
    with closing(_writer(lm, readings, site, folder, place / "journal")) as writer:
        _fill(writer, lm, readings, site=site, n_tokens=n_tokens)
    store.write_table(folder / INDEX, prompts[INDEX_COLUMNS])
    store.write_json(folder / META, {"site": site, "pooling": pooling, "n_layers": lm.n_layers})
    store.move(folder, out)


def _fill(
    writer: LayerWriter,
    lm: LanguageModel,
    readings: Sequence[Reading],
    *,
    site: Site,
    n_tokens: int,
) -> None:
    """Write the values that the files lack, batch by batch."""
    with progress.bar("activations", total=len(readings)) as shown:
        lacking = []
        for batch in _batches(lm, readings, n_tokens=n_tokens):
            places = _places(batch)
            if writer.holds(places):
                shown.update(len(places))
            else:
                lacking.append(batch)
        run = partial(_values, lm, readings, site)
        with closing(executor.chosen().map(run, lacking)) as found:
            for batch, values in zip(lacking, found, strict=True):
                writer.write(_places(batch), values)
                shown.update(len(values))


def _writer(
    lm: LanguageModel, readings: Sequence[Reading], site: Site, folder: Path, journal: Path
) -> LayerWriter:
    """Open the files; one prompt, or one token, is run to learn the values' shape and precision."""
    _, values = next(extract(lm, readings[:1] or [Reading((0,), (0,))], site=site))
    shape = (len(readings), *values.shape[1:])
    return LayerWriter(folder, shape=shape, dtype=values.dtype, journal=journal)
