"""The best neurons of a relation or chimera, and how well they do on what did not choose them."""

from collections.abc import Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from neuron_atlas.detectors import average_precision
from neuron_atlas.neurons import addresses, overlap
from neuron_atlas.relation_neurons.scores import UnitScores

MEASURES = ("held_out_ap", "testing_ap", "split_half_jaccard", "template_jaccard")
QUANTILE = 0.99  # of a chimera's scores over all neurons
ALPHA = 0.05


def best(
    score: Float[Tensor, "layer neuron"],
    *gaps: Float[Tensor, "layer neuron"],
    k: int,
    exclude: Bool[Tensor, "layer neuron"],
) -> Int64[np.ndarray, "{k}"]:
    """Return the `k` best neurons by score, ties by gap and then by index, as flat indices."""
    flat = score.masked_fill(exclude, -1).flatten()
    near = (flat >= flat.topk(k).values[-1]).nonzero()[:, 0]
    order = average_precision.rank(flat[near], *(gap.flatten()[near] for gap in gaps))
    return addresses.top_k(near[order], k)


class Tied(TypedDict, total=False):
    """Tie-breakers of one unit: on either half, and by template."""

    first: Float[Tensor, "layer neuron"]
    second: Float[Tensor, "layer neuron"]
    by_template: dict[int, Float[Tensor, "layer neuron"]]


def measures(
    units: UnitScores, i: int, *, k: int, exclude: Bool[Tensor, "layer neuron"], ties: Tied | None
) -> dict[str, float]:
    """Return how well a unit's `k` best neurons do elsewhere.

    Args:
        units: Scores.
        i: Which unit.
        k: Neurons per set.
        exclude: Neurons that no set may hold.
        ties: Tie-breakers; by default ties go to the lower index, on all sides alike.

    Returns:
        `held_out_ap`: mean held-out score of the best by the identification half; `testing_ap`: the
        same with the template that selects nothing, or NaN. `split_half_jaccard`: overlap with the
        best of the held-out half; `template_jaccard`: mean overlap of two templates' best, or NaN.
    """
    broken = ties or Tied()
    first = [broken["first"]] if ties else []
    second = [broken["second"]] if ties else []
    own = best(units.score[i], *first, k=k, exclude=exclude)
    other = best(units.held_out[i], *second, k=k, exclude=exclude)
    sets = [
        best(score, *([broken["by_template"][t]] if ties else []), k=k, exclude=exclude)
        for t, score in units.by_template[i].items()
    ]
    pairs = [overlap.jaccard(a, b) for a, b in combinations(sets, 2)]
    return {
        "held_out_ap": float(units.held_out[i].flatten()[own].mean()),
        "testing_ap": float(units.testing[i].flatten()[own].mean()),
        "split_half_jaccard": overlap.jaccard(own, other),
        "template_jaccard": float(np.mean(pairs)) if pairs else np.nan,
    }


def null(
    chimeras: UnitScores, names: Sequence[str], *, k: int, exclude: Bool[Tensor, "layer neuron"]
) -> pd.DataFrame:
    """Return the measures of chimeras, one row each, with `score_q99` over the neurons."""
    rows = []
    n = chimeras.score[0].numel() if len(chimeras.score) else 0
    for i in (chimeras.names.index(name) for name in names):
        found = measures(chimeras, i, k=k, exclude=exclude, ties=None)
        threshold = chimeras.score[i].flatten().kthvalue(max(1, round(QUANTILE * n))).values
        rows.append({"chimera": chimeras.names[i], **found, "score_q99": float(threshold)})
    return pd.DataFrame(rows, columns=["chimera", *MEASURES, "score_q99"])


def beside(found: dict[str, float], chimeras: pd.DataFrame) -> dict[str, float | int | None]:
    """Return each measure of a relation beside the chimeras' mean and 95th percentile, with a p.

    The p is one plus the chimeras that do as well, over one plus all of them: under the null, that
    the relation is one more chimera, it is at most x with probability at most x.
    """
    row: dict[str, float | int | None] = {}
    for name in MEASURES:
        value = found[name]
        null_values = chimeras[name].dropna().to_numpy(float)
        usable = len(null_values) > 0 and not np.isnan(value)
        as_good = int((null_values >= value).sum())
        row |= {
            name: None if np.isnan(value) else value,
            f"{name}_chimera": float(null_values.mean()) if usable else None,
            f"{name}_chimera_q95": float(np.quantile(null_values, 0.95)) if usable else None,
            f"{name}_p": (1 + as_good) / (1 + len(null_values)) if usable else None,
        }
    return row


def exceeds(row: dict[str, float | int | None], measure: str, *, n_chimeras: int) -> bool | None:
    """Return whether a relation does better than chimeras; None if too few could ever tell."""
    p = row[f"{measure}_p"]
    return None if p is None or 1 / (1 + n_chimeras) > ALPHA else p <= ALPHA
