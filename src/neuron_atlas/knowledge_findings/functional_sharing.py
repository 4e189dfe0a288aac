"""What one language's neurons of a fact do to it in another, beside how many of them are shared.

Overlap says that two languages use the same neurons; this says whether they need them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from neuron_atlas.editing.tables import (
    EFFECTS,
    GENERALITY,
    META,
    MONOLINGUAL_NEURONS,
    PORTABILITY,
)
from neuron_atlas.interventions.neuron_sets import RANDOM
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.random_effects import relation_means
from neuron_atlas.verdicts.arms import MIN_RELATIONS
from neuron_atlas.verdicts.knowledge_verdicts import n_relations, over_items, relations
from neuron_atlas.verdicts.verdict import Finding

NAME, MAP = "functional_sharing", "map.parquet"
PAIR = ["source", "language"]
MIN_PAIRS = 4  # of languages, for a rank correlation
NUMBERS = ("effect", "low", "high", "p_value")


def summarise(editing: Path, language_neurons: Path) -> Finding:
    """Compare function with overlap, by the language that found a fact's neurons and another one.

    Function is half the difference between enhancing and suppressing the first source's neurons on
    the fact's held paraphrase in a language that had no part in finding them, nats; it is 0 for
    neurons that do not matter there. Overlap is the Jaccard index of the two languages' sets of the
    same facts (stage `language_neurons`).

    Args:
        editing: The folder of the stage `editing`.
        language_neurons: The folder of the stage `language_neurons`.

    Returns:
        The table `functional_sharing`, one row per pair: `effect` with its interval and p over
        relations, `own` (the effect of the same facts' neurons in the source itself), `share` (of
        it that is left), `random` (random neurons in the layers and of the sizes of facts'
        language-independent ones, on the facts that have them) and `overlap`; all means are over
        relations, NaN where nothing is known.
    """
    about = store.read_json(editing / META)
    if not about["n_facts"]:
        return Finding(NAME, {"reason": about["reason"]})
    sources = {case["fact"]: case["sources"][0] for case in about["cases"]}
    rows = by_language(store.read_table(editing / EFFECTS), sources)
    if rows.empty:
        return Finding(
            NAME, {"reason": f"no pair of languages has facts of {MIN_RELATIONS} relations"}
        )
    rows = rows.assign(overlap=_overlaps(language_neurons, rows))
    return Finding(NAME, _summary(rows), tables={NAME: rows})


def by_language(operations: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per pair of languages with facts of enough relations.

    Args:
        operations: Effects of suppressing and enhancing, of the editing experiment.
        sources: By fact the language that found its neurons.
    """
    sign = operations["operation"].map({"enhance": 0.5, "suppress": -0.5})
    known = operations.assign(
        source=operations["fact"].map(sources), effect=operations["effect"] * sign
    )
    means = known.groupby(["arm", "where", *PAIR, "fact", "operation"])["effect"].mean()
    both = means.groupby(["arm", "where", *PAIR, "fact"]).sum().astype(np.float64)
    own, there, random = (
        _part(both, arm, where)
        for arm, where in (
            (MONOLINGUAL_NEURONS, GENERALITY),
            (MONOLINGUAL_NEURONS, PORTABILITY),
            (RANDOM, PORTABILITY),
        )
    )
    at_home = own.set_index("fact")["effect"]
    rows = []
    for (source, language), every in there.groupby(PAIR, sort=True):
        part = every[every["fact"].isin(at_home.index)]
        if n_relations(part["fact"]) < MIN_RELATIONS:
            continue
        tested = over_items(part["effect"], part["fact"])
        drawn = random[(random["source"] == source) & (random["language"] == language)]
        home = part["fact"].map(at_home)
        named = {"source": str(source), "language": str(language), "n_facts": len(part)}
        effect, beside = tested.effect, {"random": _mean(drawn["effect"], drawn["fact"])}
        numbers = zip(NUMBERS, (effect.mean, effect.low, effect.high, tested.p_value), strict=True)
        beside["own"] = _mean(home, part["fact"])
        beside["share"] = effect.mean / beside["own"] if beside["own"] else np.nan
        rows.append({**named, **dict(numbers), **beside})
    return pd.DataFrame(rows)


def _mean(values: pd.Series, fact: pd.Series) -> float:
    """Return the mean over relations; NaN of nothing."""
    if not len(values):
        return float("nan")
    names = (fact.to_numpy(str), relations(fact).to_numpy(str))
    return float(relation_means(values.to_numpy(np.float64), *names).mean())


def _part(both: pd.Series, arm: str, where: str) -> pd.DataFrame:
    table = both.reset_index()
    return table[(table["arm"] == arm) & (table["where"] == where)]


def _overlaps(language_neurons: Path, rows: pd.DataFrame) -> list[float]:
    """Return the Jaccard index of each pair of languages, NaN where it was not measured."""
    file = language_neurons / MAP
    table = store.read_table(file) if file.exists() else pd.DataFrame(columns=["a", "b", "value"])
    known = {frozenset((a, b)): float(v) for a, b, v in table[["a", "b", "value"]].to_numpy()}
    pairs = zip(rows["source"], rows["language"], strict=True)
    return [known.get(frozenset(pair), np.nan) for pair in pairs]


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {
        "n_pairs": len(rows),
        **{name: float(rows[name].mean()) for name in ("effect", "random", "own", "share")},
    }
    both = rows.dropna(subset=["overlap", "share"])
    if len(both) < MIN_PAIRS or both["overlap"].nunique() < 2 or both["share"].nunique() < 2:
        return found
    rho = spearmanr(both["overlap"], both["share"]).statistic  # pairs share languages: no p
    return {**found, "overlap_rho": float(rho)}
