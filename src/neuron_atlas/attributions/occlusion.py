"""Neuron values when one word of the query is hidden: the architecture-adapted baselines."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions.questions import Point
from neuron_atlas.devices.everywhere import Everywhere
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import Text


def filler_token(lm: LanguageModel) -> int:
    """Return the token that hides a word: the mask in an encoder, end of sequence in a decoder.

    Raises:
        ValueError: the decoder's configuration names no end-of-sequence token.
    """
    if lm.architecture.encoder:
        return int(lm.mask_id or 0)
    token = lm.network.config.eos_token_id
    if isinstance(token, list | tuple):
        token = token[0]
    if token is None:
        raise ValueError(
            "the model's config.json names no eos_token_id, with which a decoder's words are "
            "occluded; use attributions.baseline: zero or mean"
        )
    return int(token)


@torch.no_grad()
def occluded_values(
    lm: LanguageModel, batch: Sequence[Point], words: Sequence[Sequence[Text]]
) -> Float[Tensor, "point word layer neuron"]:
    """Return the hidden units at the answer position with each word hidden in turn.

    w' of Chen et al. 2024 (arXiv 2308.13198, equation 3), one for each word. In a decoder the
    tokens before a word run once for all words: the variants follow the prompt in one sequence, and
    each attends only to itself and to the prompt's tokens before its word.

    Args:
        lm: The model.
        batch: The points.
        words: The positions of each point's words; the same number of words for every point.
    """
    if lm.architecture.encoder:
        return _whole(lm, batch, words)
    rows = [_variants(lm, p, w) for p, w in zip(batch, words, strict=True)]
    width = max(len(ids) for ids, _, _, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    places = torch.zeros(len(rows), width, dtype=torch.long)
    visible = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
    for i, (tokens, where, sight, _) in enumerate(rows):
        n = len(tokens)
        ids[i, :n], places[i, :n], visible[i, :n, :n] = tokens, where, sight
    read = Everywhere(torch.stack([r for _, _, _, r in rows]))
    first = Everywhere(torch.arange(len(rows))[:, None])
    own = site_modules(lm, "hidden")
    with hooks.record(own, lambda x: x[first.near(x), read.near(x)]) as found:
        lm.hidden(ids.to(lm.device), places.to(lm.device), visible.to(lm.device))
    return lm.stacked(found, 2)


def _variants(
    lm: LanguageModel, point: Point, words: Sequence[Text]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lay out a point's variants in one sequence: tokens, positions, sight, answer positions.

    A variant repeats the tokens from its word on; those before are the prompt's own.
    """
    n, starts = len(point.ids), [min(word) for word in words]
    own = max(starts)  # tokens of the prompt that some variant sees
    ids, places, sight, read = [torch.tensor(point.ids[:own])], [torch.arange(own)], [], []
    end = own
    for word, start in zip(words, starts, strict=True):
        hidden = torch.tensor(point.ids)
        hidden[list(word)] = filler_token(lm)
        ids.append(hidden[start:])
        places.append(torch.arange(start, n))
        sight.append((start, slice(end, end + n - start)))
        end += n - start
        read.append(end - n + point.position)
    seen = torch.zeros(end, end, dtype=torch.bool)
    seen[:own, :own] = torch.ones(own, own, dtype=torch.bool).tril()
    for start, here in sight:
        seen[here, :start] = True
        seen[here, here] = torch.ones(n - start, n - start, dtype=torch.bool).tril()
    return torch.cat(ids), torch.cat(places), seen, torch.tensor(read)


def _whole(
    lm: LanguageModel, batch: Sequence[Point], words: Sequence[Sequence[Text]]
) -> Float[Tensor, "point word layer neuron"]:
    """Run an encoder on every variant as a sequence of its own."""
    n_words, width = len(words[0]), max(len(p.ids) for p in batch)
    ids = torch.tensor([[*p.ids, *[0] * (width - len(p.ids))] for p in batch])
    there = torch.arange(width) < torch.tensor([len(p.ids) for p in batch])[:, None]
    ids, there = ids.repeat_interleave(n_words, 0), there.repeat_interleave(n_words, 0)
    for i, word in enumerate(w for point in words for w in point):
        ids[i, list(word)] = filler_token(lm)
    row = Everywhere(torch.arange(len(ids)))
    read = Everywhere(torch.tensor([p.position for p in batch]).repeat_interleave(n_words))
    own = site_modules(lm, "hidden")
    with hooks.record(own, lambda x: x[row.near(x), read.near(x)]) as found:
        lm.hidden(ids.to(lm.device), torch.zeros_like(ids, device=lm.device), there.to(lm.device))
    stacked = lm.stacked(found, 1)
    return stacked.view(len(batch), n_words, *stacked.shape[1:])
