"""Sets of relation neurons: the best-scoring ones, how stable they are, and what they share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from neuron_atlas.neurons import controls, overlap
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons import best_units
from neuron_atlas.relation_neurons.scores import Counts, Scored, UnitScores

COLUMNS = {
    **{"source": "str", "relation": "str", "rank": "int64", "layer": "int64", "index": "int64"},
    **{"neuron": "int64", "score": "float32", "held_out_ap": "float32", "massive": "bool"},
}


def select(scored: Scored, *, k: int, exclude: Bool[Tensor, "layer neuron"]) -> SetsByRelation:
    """Return each relation's `k` best neurons, best first, as flat indices.

    Ties in score are broken by the standardised gap, then by the index.

    Raises:
        ValueError: `k` exceeds the neurons that are not excluded.
    """
    return _select(scored, scored.relations, k=k, exclude=exclude)


def without_siblings(
    scored: Scored, *, k: int, exclude: Bool[Tensor, "layer neuron"]
) -> SetsByRelation:
    """Return the sets of relations that have siblings, chosen without siblings as negatives."""
    return _select(scored, scored.no_siblings, k=k, exclude=exclude)


def _select(
    scored: Scored, units: UnitScores, *, k: int, exclude: Bool[Tensor, "layer neuron"]
) -> SetsByRelation:
    free = int((~exclude).sum())
    if not 1 <= k <= free:
        raise ValueError(f"relation_neurons.k must be in [1, {free}], got {k}")
    gaps = dict(zip(scored.relations.names, scored.gaps.identification, strict=True))
    return {
        relation: best_units.best(score, gaps[relation], k=k, exclude=exclude)
        for relation, score in zip(units.names, units.score, strict=True)
    }


def describe(
    scored: Scored,
    sets: SetsByRelation,
    null: pd.DataFrame,
    *,
    source: str,
    massive: Bool[Tensor, "layer neuron"],
    exclude: Bool[Tensor, "layer neuron"],
    n_draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return one summary per relation: what its set scores on held-out facts, and controls.

    Args:
        scored: Scores of one source.
        sets: Its sets.
        null: The measures of its chimeras; see `best_units.null`.
        source: A language, or all pooled.
        massive: Massive units; how many a set holds is reported.
        exclude: Units that neither sets nor their controls may hold.
        n_draws: Matched random sets per set.
        seed: Of the draws.
    """
    rows = []
    size = scored.size.mean.double().numpy()
    banned = exclude.flatten().nonzero().flatten().numpy()
    for i, (relation, chosen) in enumerate(sets.items()):
        random = controls.matched_random(
            chosen,
            size,
            names=("relation_neurons", "matched", source, relation),
            seed=seed,
            n_draws=n_draws,
            exclude=banned,
        )
        held_out = scored.relations.held_out[i].flatten().numpy()
        rows.append(
            {
                "source": source,
                "relation": relation,
                **_counted(scored.counts[relation]),
                **_compared(scored, i, null, k=len(chosen), exclude=exclude),
                "random_held_out_ap": float(held_out[random].mean()),
                "n_massive": int(massive.flatten()[torch.from_numpy(chosen)].sum()),
            }
        )
    return rows


def _counted(counts: Counts) -> dict[str, Any]:
    return {
        "n_identification": counts.identification,
        "n_held_out": counts.held_out,
        "prevalence": counts.prevalence,
        "templates": list(counts.templates),
        "held_out_templates": list(counts.held_out_templates),
    }


def _compared(
    scored: Scored,
    i: int,
    null: pd.DataFrame,
    *,
    k: int,
    exclude: Bool[Tensor, "layer neuron"],
) -> dict[str, Any]:
    """Return a relation's measures beside those of chimeras."""
    ties = best_units.Tied(
        first=scored.gaps.identification[i],
        second=scored.gaps.held_out[i],
        by_template=scored.gaps.by_template[i],
    )
    found = best_units.measures(scored.relations, i, k=k, exclude=exclude, ties=ties)
    row = best_units.beside(found, null)
    threshold = float(null["score_q99"].mean()) if len(null) else None
    above = None if threshold is None else int((scored.relations.score[i] > threshold).sum())
    n = len(null)
    return {
        **row,
        "n_chimeras": n,
        "ap_chimera_q99": threshold,
        "n_above_chimeras": above,
        "held_out_ap_exceeds": best_units.exceeds(row, "held_out_ap", n_chimeras=n),
        "split_half_exceeds": best_units.exceeds(row, "split_half_jaccard", n_chimeras=n),
    }


def like_chimeras(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the relations that do not exceed the chimeras, and in what."""
    named = {"held_out_ap_exceeds": "held_out_ap", "split_half_exceeds": "split_half_jaccard"}
    return [
        {"source": row["source"], "relation": row["relation"], "measures": measures}
        for row in rows
        if (measures := [name for key, name in named.items() if row[key] is False])
    ]


def by_other_selectors(
    scored: Scored, *, k: int, exclude: Bool[Tensor, "layer neuron"]
) -> pd.DataFrame:
    """Return each relation's `k` best neurons by what one may use in place of average precision.

    `mean_gap`: the least standardised gap over the templates. `linear_probe`: the weight in a
    multinomial logistic regression on standardised values. Both see the same prompts as the sets.
    """
    gaps = [torch.stack(list(one.values())).amin(0) for one in scored.gaps.by_template]
    found = {"mean_gap": gaps, "linear_probe": list(scored.probe)}
    parts = [
        pd.DataFrame(
            {
                "selector": selector,
                "relation": relation,
                "rank": np.arange(k),
                "neuron": best_units.best(score, k=k, exclude=exclude),
            }
        )
        for selector, scores in found.items()
        for relation, score in zip(scored.relations.names, scores, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def siblings_apart(
    scored: Scored, sets: SetsByRelation, apart: SetsByRelation, *, source: str
) -> list[dict[str, Any]]:
    """Return how far the sets with and without siblings among the negatives agree.

    `held_out_ap` and `held_out_ap_no_siblings` are of the respective sets, with the respective
    negatives. A low overlap says that the second set detects the answers' type.
    """
    rows = []
    for i, (relation, chosen) in enumerate(apart.items()):
        main = scored.relations.names.index(relation)
        own, other = (
            units.held_out[j].flatten()[torch.from_numpy(one)].mean()
            for units, j, one in (
                (scored.relations, main, sets[relation]),
                (scored.no_siblings, i, chosen),
            )
        )
        rows.append(
            {
                "source": source,
                "relation": relation,
                "n_shared": len(np.intersect1d(sets[relation], chosen)),
                "jaccard": overlap.jaccard(sets[relation], chosen),
                "held_out_ap": float(own),
                "held_out_ap_no_siblings": float(other),
            }
        )
    return rows


def table(
    units: UnitScores,
    sets: SetsByRelation,
    *,
    source: str,
    massive: Bool[Tensor, "layer neuron"],
) -> pd.DataFrame:
    """Return sets as a table, one row per neuron, best first; no row if there are no sets."""
    n = massive.shape[1]
    parts = [store.no_rows(COLUMNS)]
    for i, (relation, chosen) in enumerate(sets.items()):
        parts.append(
            pd.DataFrame(
                {
                    "source": source,
                    "relation": relation,
                    "rank": np.arange(len(chosen)),
                    "layer": chosen // n,
                    "index": chosen % n,
                    "neuron": chosen,
                    "score": units.score[i].flatten().numpy()[chosen],
                    "held_out_ap": units.held_out[i].flatten().numpy()[chosen],
                    "massive": massive.flatten().numpy()[chosen],
                }
            )
        )
    return pd.concat(parts[1:] or parts, ignore_index=True)
