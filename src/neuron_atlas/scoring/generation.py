"""Greedy text under interventions: what a decoder writes after a prompt, token by token.

All arms of a prompt share its pass, as when answers are scored (`packing`): an intervention acts at
the answer position and on what is written after it, so that what stands before is the same for
every arm. Keys and values are kept; a further token of a text costs one position and one row of the
head.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.sight import PositionedCache
from neuron_atlas.model.tokens import Prompt, Text
from neuron_atlas.scoring.log_probability import Intervene
from neuron_atlas.scoring.packing import (
    UNEDITED,
    Row,
    batches,
    pack,
    prompt_places,
    share_prefixes,
    split_arms,
)
from neuron_atlas.scoring.trees import Query, answer_trees
from neuron_atlas.scoring.vocabulary import most_probable

Enough = Callable[[int, Text], bool]


@torch.no_grad()
def greedy(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    arms: Sequence[Sequence[int]] | None = None,
    intervene: Intervene | None = None,
    everywhere: bool = False,
    length: int = 8,
    enough: Enough | None = None,
    n_tokens: int = 4096,
    sequence: int = 192,
) -> list[list[Text]]:
    """Write after each prompt, under each of its arms, the most probable token again and again.

    A text ends before an end-of-sequence token, with a token that has a line end, or after `length`
    tokens. It is what transformers' `generate(do_sample=False)` returns, cut there.

    Args:
        lm: A decoder.
        prompts: Tokenised prompts.
        arms: For each prompt the interventions to apply, by number; `UNEDITED`, the default,
            applies none.
        intervene: As in `log_probability.ask`. Written tokens are edited as the answer position.
        everywhere: Edit every position of the prompt rather than the answer position alone.
        length: Most tokens of a text, at least 1.
        enough: Told a prompt's index and a text so far, whether its other tokens are not needed.
        n_tokens: Tokens of a padded batch; a matter of memory only.
        sequence: Tokens of a sequence in which arms share their prompt; a matter of speed only.

    Returns:
        For each prompt the tokens written under each of its arms; none where the model ends the
        text at once.

    Raises:
        ValueError: the model is an encoder, or `length` is less than 1.
    """
    if lm.architecture.encoder:
        raise ValueError(
            f"{lm.network.config.model_type} is an encoder, which fills masks and writes no text; "
            "greedy text needs a decoder"
        )
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    chosen = arms if arms is not None else [(UNEDITED,)] * len(prompts)
    begun = [tree for p in prompts for tree in answer_trees(lm, Query(p, ((0,),)))]
    parts = split_arms(begun, chosen, shareable=not everywhere, target=sequence)
    rows = share_prefixes(parts, shareable=not everywhere, everywhere=everywhere, target=sequence)
    found: list[list[Text]] = [[()] * len(own) for own in chosen]
    ends = Ends(lm, length, enough)
    for batch in batches(list(rows), n_tokens=n_tokens):
        for _, texts in halving(batch, lambda some: _write(lm, some, intervene, ends), in_two):
            for text in texts:
                found[text.owner][text.place] = tuple(text.tokens)
    return found


class Ends:
    """When a text ends."""

    def __init__(self, lm: LanguageModel, length: int, enough: Enough | None) -> None:
        self._lm, self._length, self._enough = lm, length, enough
        self._has_line_end: dict[int, bool] = {}
        chosen = getattr(lm.network.generation_config, "eos_token_id", None)
        self._last = set(np.atleast_1d([] if chosen is None else chosen).tolist())

    def add(self, text: "_Text", token: int) -> bool:
        """Add a token to a text unless it says that the text has ended; return if it goes on."""
        if token in self._last:
            return False
        text.tokens.append(token)
        if len(text.tokens) == self._length or self._ends_line(token):
            return False
        return self._enough is None or not self._enough(text.owner, tuple(text.tokens))

    def _ends_line(self, token: int) -> bool:
        if token not in self._has_line_end:
            decoded = self._lm.tokenizer.decode([token], skip_special_tokens=False)
            self._has_line_end[token] = "\n" in decoded or "\r" in decoded
        return self._has_line_end[token]


class _Text(NamedTuple):
    """A text that is being written: whose it is, and where it stands in the batch.

    Attributes:
        owner: Its prompt.
        place: Of its arm among the prompt's arms.
        arm: The arm.
        row: Its row of the batch.
        position: Of the prompt's last token.
        columns: Where its prompt and its tokens stand in the cache.
        tokens: What was written.
    """

    owner: int
    place: int
    arm: int
    row: int
    position: int
    columns: list[int]
    tokens: list[int]


def _write(
    lm: LanguageModel, batch: Sequence[Row], intervene: Intervene | None, ends: Ends
) -> list[_Text]:
    """Write the texts of one batch."""
    packed, cache = pack(batch, encoder=False), PositionedCache()
    texts = [text for i, row in enumerate(batch) for text in _begin(i, row)]
    laid_out = _Layout(packed.ids, packed.positions, packed.visible, packed.arm, packed.source)
    going = texts
    while going:
        tokens = _next_tokens(lm, laid_out, cache, intervene)
        going = [t for t, token in zip(going, tokens, strict=True) if ends.add(t, token)]
        if going:
            laid_out = _lay_out(going, n_rows=len(batch), n_before=cache.get_seq_length())
    return texts


def _begin(i: int, row: Row) -> list[_Text]:
    """Return the texts of a packed sequence in the order of its edges."""
    return [
        _Text(
            owner=part.owner,
            place=place,
            arm=arm,
            row=i,
            position=len(part.block.prefix),
            columns=[*places[:-1].tolist(), int(places[-1]) + j],
            tokens=[],
        )
        for part, places in prompt_places(row)
        for j, (place, arm) in enumerate(zip(part.places, part.arms, strict=True))
    ]


class _Layout(NamedTuple):
    """Tokens to run after what is in the cache; the next token is read at flat places `source`."""

    ids: Int[Tensor, "batch position"]
    positions: Int[Tensor, "batch position"]
    visible: Tensor
    arm: Int[Tensor, "batch position"]
    source: Int[Tensor, " text"]


def _lay_out(going: Sequence[_Text], *, n_rows: int, n_before: int) -> _Layout:
    """Lay out the last token of each text, beside those of the texts in the same row."""
    row = np.array([t.row for t in going])
    column = pd.Series(row).groupby(row).cumcount().to_numpy()
    width = int(column.max()) + 1
    ids, positions = (np.zeros((n_rows, width), np.int64) for _ in range(2))
    arm = np.full((n_rows, width), UNEDITED, np.int64)
    seen = np.zeros((n_rows, width, n_before + width), np.bool_)
    seen[:, np.arange(width), n_before + np.arange(width)] = True  # each sees itself
    for text, j in zip(going, column.tolist(), strict=True):
        seen[text.row, j, text.columns] = True
        text.columns.append(n_before + j)
    ids[row, column] = [t.tokens[-1] for t in going]
    positions[row, column] = [t.position + len(t.tokens) for t in going]
    arm[row, column] = [t.arm for t in going]
    return _Layout(
        *(torch.from_numpy(x) for x in (ids, positions, seen, arm, row * width + column))
    )


def _next_tokens(
    lm: LanguageModel, laid_out: _Layout, cache: PositionedCache, intervene: Intervene | None
) -> list[int]:
    """Run what is laid out and return the most probable token after each text."""
    ids, positions, visible, arm, source = (x.to(lm.device) for x in laid_out)
    with intervene(arm) if intervene else nullcontext():
        hidden = lm.hidden(ids, positions, visible, cache=cache)
    last: Float[Tensor, "text d_model"] = lm.before_head(hidden.flatten(0, 1)[source])
    tokens: list[int] = most_probable(lm.head, last).tolist()
    return tokens
