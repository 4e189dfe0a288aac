"""The covariance of a layer's keys, by which ROME weighs what an update must leave alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.devices.halving import halving, in_two
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import Text, encode
from neuron_atlas.model_edits.sequences import Sequences, run_body

AT_ONCE = 32  # prompts; a matter of memory


@dataclass(frozen=True)
class KeyCovariance:
    """C = K^T K / n + ridge * I, of n tokens' keys: the inputs of the layer's down-projection.

    Attributes:
        keys: K, the keys.
        ridge: What is added to the diagonal, above 0: there may be fewer tokens than neurons.
    """

    keys: Float[Tensor, "token neuron"]
    ridge: float

    def solve(self, key: Float[Tensor, "fact neuron"]) -> Float[Tensor, "fact neuron"]:
        """Return C^-1 k of each key, in float64.

        By the identity of Woodbury, so that what is inverted is as large as the tokens are many,
        whatever the width of the model.
        """
        keys, k = self.keys.double(), key.double()
        gram = keys @ keys.T
        gram.diagonal().add_(len(keys) * self.ridge)
        inner = torch.cholesky_solve((k @ keys.T).T, torch.linalg.cholesky(gram))
        return (k - inner.T @ keys) / self.ridge


def covariances(
    lm: LanguageModel,
    prompts: Mapping[str, pd.DataFrame],
    layers: Sequence[int],
    *,
    n_tokens: int,
    ridge: float,
) -> dict[int, KeyCovariance]:
    """Estimate the covariance of some layers' keys from the run's own prompts.

    Meng et al. 2022 (arXiv 2202.05262, section 3.1) take 100,000 samples of Wikipedia. A run has
    its prompts, of all languages in turn, spread evenly over each language's, until there are
    `n_tokens`; the first token of each, whose key is like no other, is
    left out.

    Args:
        lm: The model.
        prompts: By language; those of known facts that test no edit.
        layers: Whose keys.
        n_tokens: At most so many tokens.
        ridge: What is added to the diagonal, relative to its mean.
    """
    kept: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    modules = [site_modules(lm, "hidden")[layer] for layer in layers]

    def keys_of(rows: list[Text]) -> list[Tensor]:
        batch = Sequences.of(rows, lm.device)
        inside = batch.inside

        def keep(x: Tensor) -> Tensor:
            return x[inside.to(x.device)].float()

        with torch.no_grad(), hooks.record(modules, keep) as values:
            run_body(lm, batch)
        return [values[place].to(lm.device) for place in range(len(layers))]

    n = 0
    for batch in _batches(lm, prompts):
        for rows, found in halving(batch, keys_of, in_two):
            for layer, part in zip(layers, found, strict=True):
                kept[layer].append(part)
            n += sum(len(row) - 1 for row in rows)
        if n >= n_tokens:
            break
    keys = {layer: torch.cat(parts)[:n_tokens] for layer, parts in kept.items()}
    return {
        layer: KeyCovariance(k, ridge * (float(k.double().square().mean()) or 1.0))
        for layer, k in keys.items()
    }


def _batches(lm: LanguageModel, prompts: Mapping[str, pd.DataFrame]) -> Iterator[list[Text]]:
    """Yield batches of prompts, of every language as many in turn."""
    ordered = [_spread(table["prompt"].drop_duplicates().tolist()) for table in prompts.values()]
    most = max(map(len, ordered), default=0)
    turns = [texts[i] for i in range(most) for texts in ordered if i < len(texts)]
    for start in range(0, len(turns), AT_ONCE):
        yield [_ids(lm, text) for text in turns[start : start + AT_ONCE]]


def _spread(texts: list[str]) -> list[str]:
    """Return the texts in an order whose beginnings are spread over all of them."""
    step = 1 << max(0, (len(texts) - 1).bit_length())
    found: list[str] = []
    seen: set[int] = set()
    while len(found) < len(texts):
        some = [i for i in range(0, len(texts), step) if i not in seen]
        seen.update(some)
        found += [texts[i] for i in some]
        step = max(1, step // 2)
    return found


def _ids(lm: LanguageModel, text: str) -> Text:
    before, after = encode(lm, text)
    return (*before, int(lm.mask_id), *after) if lm.mask_id is not None else before
