"""Sum up the comparison of attribution methods with exact ablation: means, intervals, differences.

There is no verdict: the claim `amig_beats_baselines` is judged in `selection`, by suppressing and
enhancing sets. What is measured here is what each method predicts, neuron by neuron.
"""

from collections.abc import Mapping
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.attribution_methods.measuring import META, TABLE
from neuron_atlas.attribution_methods.methods import AMIG
from neuron_atlas.knowledge_findings.method_measures import MEASURES, RANKED, of_language
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.holm import holm
from neuron_atlas.verdicts.arms import MIN_RELATIONS
from neuron_atlas.verdicts.knowledge_verdicts import n_relations, over_items
from neuron_atlas.verdicts.verdict import Finding

NAME, MINUS = "attribution_methods", "attribution_methods_minus"
WITH_INTERVAL = tuple(m for m in MEASURES if m not in ("error", "forward", "backward"))
NUMBERS = ("mean", "low", "high", "p_value", "mde")


def summarise(folders: Mapping[str, Path]) -> Finding:
    """Sum up the stage's folders, one for each language; one without known facts adds nothing.

    Returns:
        Tables: `attribution_methods`, one row per method with the mean of each measure over
        relations and its interval, NaN where a measure is not defined; and
        `attribution_methods_minus`, one row per rival with `amig` less it in each measure of
        `method_measures.RANKED`, its interval, p, p by Holm over the rivals, and mde.
    """
    about = {code: store.read_json(folder / META) for code, folder in folders.items()}
    tables = {code: store.read_table(folder / TABLE) for code, folder in folders.items()}
    first = next(iter(about.values()))
    found = pd.concat(
        [
            of_language(table, language=code, own=about[code]["own"], top=first["top"])
            for code, table in tables.items()
        ],
        ignore_index=True,
    )
    summary = {
        **{key: first[key] for key in ("target", "baseline", "top", "absent")},
        "by_language": {code: one["n_facts"] for code, one in about.items() if one["n_facts"]},
    }
    if (n := n_relations(found["fact"])) < MIN_RELATIONS:
        reason = f"needs known facts of {MIN_RELATIONS} relations, and has them of {n}"
        return Finding(NAME, {**summary, "reason": reason})
    rows, minus = means(found), differences(found)
    counts = _counts(found, tables)
    shown = {**summary, **counts, "methods": _nested(rows, "method")}
    shown["amig_minus"] = _nested(minus, "rival")
    return Finding(NAME, shown, tables={NAME: rows, MINUS: minus})


def means(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method: `method`, and of each measure its mean, `_low` and `_high`.

    Relations are random effects, facts nested in them. `error` is the median over facts, `forward`
    and `backward` are means; they have no interval.

    Args:
        found: As `method_measures.of_language` returns it, of all languages.
    """
    rows = []
    for method, part in found.groupby("method", sort=False):
        row: dict[str, Any] = {"method": str(method)}
        for measure in WITH_INTERVAL:
            mean, low, high = _mean(part, measure)
            row |= {measure: mean, f"{measure}_low": low, f"{measure}_high": high}
        row |= {"error": float(part["error"].median())}
        row |= {name: float(part[name].mean()) for name in ("forward", "backward")}
        rows.append(row)
    return pd.DataFrame(rows)


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row per rival: `amig` less it in each ranking measure, paired fact by fact.

    Columns are `rival` and, of each measure with its name in front, `NUMBERS` and `p_holm`; NaN
    where too few relations have both.
    """
    rivals = [str(name) for name in found["method"].unique() if name != AMIG]
    table = pd.DataFrame({"rival": rivals})
    for measure in RANKED:
        wide = found.pivot_table(index=["language", "fact"], columns="method", values=measure)
        tested = [_difference(wide, name) for name in rivals]
        tests = pd.DataFrame(tested, columns=list(NUMBERS), dtype=np.float64)
        tests = tests.assign(p_holm=holm(tests["p_value"].to_numpy(np.float64)))
        table = table.join(tests.add_prefix(f"{measure}_"))
    return table


def _difference(wide: pd.DataFrame, rival: str) -> tuple[float, ...]:
    """Return `NUMBERS` of one rival."""
    if AMIG not in wide or rival not in wide:
        return (nan,) * len(NUMBERS)
    both = (wide[AMIG] - wide[rival]).dropna().rename("value").reset_index()
    if n_relations(both["fact"]) < MIN_RELATIONS:
        return (nan,) * len(NUMBERS)
    tested = over_items(both["value"], both["fact"])
    effect = tested.effect
    return effect.mean, effect.low, effect.high, tested.p_value, tested.mde


def _mean(part: pd.DataFrame, measure: str) -> tuple[float, float, float]:
    known = part.dropna(subset=[measure])
    if n_relations(known["fact"]) < MIN_RELATIONS:
        return nan, nan, nan
    effect = over_items(known[measure], known["fact"]).effect
    return effect.mean, effect.low, effect.high


def _counts(found: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return how many facts and neurons the comparison rests on."""
    one = found[found["method"] == found["method"].iloc[0]]
    drops = pd.concat([t[t["quantity"] == "drop"] for t in tables.values() if len(t)])
    reference = drops["name"].iloc[0]
    return {
        "n_facts": int(one["fact"].nunique()),
        "n_prompts": len(one),
        "n_relations": n_relations(one["fact"]),
        "n_faithful": int(one["cpr"].notna().sum()),
        "neurons_per_prompt": float((drops["name"] == reference).sum() / len(one)),
    }


def _nested(table: pd.DataFrame, key: str) -> dict[str, dict[str, float]]:
    """Return the rows by name, without what is not known."""
    return {
        str(row[key]): {
            name: float(value) for name, value in row.items() if name != key and isfinite(value)
        }
        for row in store.records(table)
    }
