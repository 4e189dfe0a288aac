"""Run texts through the body of a model, and know where their own tokens stand in each batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.devices.everywhere import Everywhere
from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.language_specific.texts import Text
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import Prompt
from neuron_atlas.scoring.packing import (
    UNEDITED,
    Packed,
    Row,
    Segment,
    batches,
    pack,
    prompt_places,
    share_prefixes,
)
from neuron_atlas.scoring.trees import AnswerTree, Query, answer_trees

Result = TypeVar("Result")
N_TOKENS = 4096  # of a padded batch; a matter of memory
SEQUENCE = 192  # tokens of a sequence in which texts share their beginning; a matter of speed


@dataclass(frozen=True)
class Pass:
    """A batch of texts.

    Attributes:
        texts: Which texts are in it, as their places in the list.
        packed: The batch.
        at: Flat positions of the texts' own tokens, one text after another; a beginning that texts
            share counts for each of them.
        owner: Of each of these positions the place of its text.
    """

    texts: tuple[int, ...]
    packed: Packed
    at: Int[Tensor, " token"]
    owner: Int[np.ndarray, " token"]


def on_passes(
    lm: LanguageModel, texts: Sequence[Text], work: Callable[[Pass], Result]
) -> Iterator[Result]:
    """Lay texts out in batches, and yield what is made of each.

    A batch that does not fit a device's memory is halved.
    """
    encoder = lm.architecture.encoder
    parts = [Segment(i, _block(lm, text), (0,), (UNEDITED,)) for i, text in enumerate(texts)]
    rows = share_prefixes(parts, shareable=not encoder, everywhere=False, target=SEQUENCE)

    def worked(batch: list[Row]) -> Result:
        return work(_pass(texts, batch, encoder=encoder))

    for batch in batches(list(rows), n_tokens=N_TOKENS):
        for _, found in halving(list(batch), worked, in_two):
            yield found


def _pass(texts: Sequence[Text], batch: Sequence[Row], *, encoder: bool) -> Pass:
    packed = pack(batch, encoder=encoder)
    width, places, at = packed.ids.shape[1], [], []
    for i, row in enumerate(batch):
        for part, where in prompt_places(row):
            text = texts[part.owner]
            places.append(part.owner)
            at.append(i * width + where[text.before : len(text.ids) - text.after])
    owner = np.repeat(places, [len(own) for own in at])
    return Pass(tuple(places), packed, torch.from_numpy(np.concatenate(at)), owner)


def _block(lm: LanguageModel, text: Text) -> AnswerTree:
    """Lay a text out as a prompt of which nothing is asked."""
    return answer_trees(lm, Query(Prompt(text.ids, ()), ((),)))[0]


def run(lm: LanguageModel, one: Pass) -> None:
    """Run a batch through the body; the head over the vocabulary never runs."""
    packed = one.packed
    lm.hidden(*(x.to(lm.device) for x in (packed.ids, packed.positions, packed.visible)))


@torch.no_grad()
def token_values(
    lm: LanguageModel, texts: Sequence[Text]
) -> tuple[Float[Tensor, "token layer neuron"], Int[np.ndarray, " token"]]:
    """Return the hidden units at all own tokens, and of each token the place of its text."""

    def values(one: Pass) -> tuple[Tensor, Int[np.ndarray, " token"]]:
        at = Everywhere(one.at)

        def read(x: Tensor) -> Tensor:
            return x.flatten(0, 1)[at.near(x)]

        with hooks.record(site_modules(lm, "hidden"), read, stop=True) as found:
            run(lm, one)
        return lm.stacked(found, 1).float().cpu(), one.owner

    parts, owners = zip(*on_passes(lm, texts, values), strict=True)
    return torch.cat(parts), np.concatenate(owners)
