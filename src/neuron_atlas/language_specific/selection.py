"""Select language-specific neurons by the entropy of their activation probabilities (LAPE)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64

from neuron_atlas.language_specific.tables import MEMBERS


@dataclass(frozen=True)
class Selected:
    """The neurons of each language.

    Attributes:
        sets: By language, flat indices, those of the lowest entropy first; a language may have
            none, and a neuron may be of several languages.
        entropy: Of every neuron, nats, in [0, log n] for n languages; NaN where it is never active.
        threshold: The activation probability above which a neuron is active in a language.
    """

    sets: Mapping[str, Int64[np.ndarray, " _"]]
    entropy: Float64[np.ndarray, " neuron"]
    threshold: float

    @property
    def every(self) -> Int64[np.ndarray, " _"]:
        """The neurons of any language, each once."""
        none = np.empty(0, dtype=np.int64)
        return np.unique(np.concatenate([none, *self.sets.values()]))


def select(
    probability: Float[np.ndarray, "language neuron"],
    languages: tuple[str, ...],
    *,
    percentile: float,
    share: float,
) -> Selected:
    """Select the neurons that are active in one language, or in few.

    Tang et al. 2024 (arXiv 2402.16438, section 2.2): a neuron's activation probabilities, divided
    by their sum over the languages, are a distribution over languages; the neurons of the lowest
    entropy are language-specific. Neurons whose largest probability is not above a percentile of
    all probabilities are left out before. A selected neuron is of every language in which its
    probability is above that same percentile. Of equal entropies the first neurons by index are
    taken. Theirs are 100 million tokens a language; so few as here leave entropies noisy, and the
    texts that test the neurons are therefore others.

    Args:
        probability: Share of a language's tokens at which a neuron is active.
        languages: Their codes.
        percentile: As a share, such as 0.95.
        share: Share of all neurons to select, rounded; fewer if fewer are active enough.

    Raises:
        ValueError: there are fewer than two languages, or a probability is outside [0, 1].
    """
    if len(languages) < 2 or len(probability) != len(languages):
        raise ValueError(
            "expected the activation probabilities of at least 2 languages, got "
            f"{len(probability)} rows for {list(languages)}"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("activation probabilities must be in [0, 1]; are they counts?")
    threshold = float(np.quantile(probability, percentile, method="inverted_cdf"))
    active = probability > threshold
    values = entropy(probability)
    candidates = np.flatnonzero(active.any(0))
    order = candidates[np.argsort(values[candidates], kind="stable")]
    chosen = order[: round(share * probability.shape[1])]
    sets = {
        code: chosen[own[chosen]].astype(np.int64)
        for code, own in zip(languages, active, strict=True)
    }
    return Selected(sets, values, threshold)


def entropy(
    probability: Float[np.ndarray, "language neuron"],
) -> Float64[np.ndarray, " neuron"]:
    """Return the entropy over languages of each neuron's normalised probabilities, nats.

    In [0, log n]: 0 of a neuron that is active in one language alone, log n of one that is equally
    active in all n. NaN of a neuron that is active nowhere.
    """
    total = probability.sum(0, dtype=np.float64)
    used: Bool[np.ndarray, " neuron"] = total > 0
    parts = np.divide(probability, total, out=np.zeros(probability.shape), where=used)
    logs = np.log(parts, out=np.zeros(probability.shape), where=parts > 0)
    return np.where(used, np.abs((parts * logs).sum(0)), np.nan)


def members(
    found: Selected, probability: Float[np.ndarray, "language neuron"], *, n_neurons: int
) -> pd.DataFrame:
    """Return one row per language and neuron, with the columns of `tables.MEMBERS`.

    Args:
        found: The sets.
        probability: As in `select`, languages in the sets' order.
        n_neurons: Neurons in a layer.
    """
    parts = [
        pd.DataFrame(
            {
                "language": code,
                "rank": np.arange(len(own)),
                "layer": own // n_neurons,
                "index": own % n_neurons,
                "neuron": own,
                "probability": row[own],
                "entropy": found.entropy[own],
            }
        )
        for (code, own), row in zip(found.sets.items(), probability, strict=True)
    ]
    return pd.concat(parts, ignore_index=True).astype(MEMBERS)
