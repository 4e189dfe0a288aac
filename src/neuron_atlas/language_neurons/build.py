"""Language-independent neurons of facts and of relations, with their nulls, from stored scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.language_neurons import language_map, shared
from neuron_atlas.language_neurons.relations import (
    PLACE,
    RELATIONS,
    both_kinds,
    shared_by_relation,
)
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.language_neurons.shared import ItemSets, Tally
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream

STAGE, METHOD = "language_neurons", "attribution"
NULLS = ("mismatched", "same_relation", "met_itself", "random")
SETS = ["fact", "relation", "rank", "score", *PLACE]


@dataclass(frozen=True)
class Inputs:
    """By language: stored scores, recall table, and the relation sets with activation sizes."""

    scores: Mapping[str, pd.DataFrame]
    recall: Mapping[str, pd.DataFrame]
    relations: Mapping[str, RelationSets]

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and neurons per layer."""
        n_layers, n_neurons = next(iter(self.relations.values())).size.shape
        return n_layers, n_neurons


def build(inputs: Inputs, out: Path, rule: SharingRule, *, seed: int) -> None:
    """Write the tables `sets`, `relations`, `facts`, `counts`, `layers`, `map`, and `summary.json`.

    With one language, or no fact in two, the tables are empty and the summary says why.
    """
    sets = {
        language: knowledge_sets.select(scores, method=METHOD, tau=0.0, share=rule.share, k=rule.k)
        for language, scores in sorted(inputs.scores.items())
    }
    groups = {
        str(f): str(r)
        for scores in inputs.scores.values()
        for f, r in zip(scores["fact"], scores["relation"], strict=True)
    }
    found = shared.members(sets, groups)
    tables, summary = _nothing(), _about(found, sets, rule)
    if len(found.items) >= 2:
        tables, measured = _measured(inputs, sets, groups, found, rule, seed=seed)
        summary |= measured
    else:
        summary["reason"] = "fewer than two facts have neurons in two languages or more"
    with store.whole(out) as folder:
        for name, table in tables.items():
            store.write_table(folder / f"{name}.parquet", table)
        store.write_json(folder / "summary.json", summary)


def _nothing() -> dict[str, pd.DataFrame]:
    return {
        **{name: pd.DataFrame() for name in ("counts", "layers", "map", "facts")},
        "sets": pd.DataFrame(columns=SETS),
        "relations": pd.DataFrame(columns=RELATIONS),
    }


def _about(found: ItemSets, sets: Mapping[str, SetsByFact], rule: SharingRule) -> dict[str, Any]:
    facts = {fact for language in sets.values() for fact in language}
    return {
        "n_facts": len(found.items),
        "n_languages": len(sets),
        "n_facts_in_one_language": len(facts) - len(found.items),
        "k": rule.k,
        "min_languages": rule.min_languages,
    }


def _measured(
    inputs: Inputs,
    sets: Mapping[str, SetsByFact],
    groups: Mapping[str, str],
    found: ItemSets,
    rule: SharingRule,
    *,
    seed: int,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    wanted = shared.needed(found, rule.min_languages)
    own = shared.tally(found, wanted, len(sets))
    nulls = _nulls(inputs, list(sets), found, wanted, rule, seed=seed)
    chosen = _independent(inputs, sets, found, wanted)
    of_relations = {code: inputs.relations[code].sets for code in sorted(inputs.scores)}
    relations, relation = shared_by_relation(
        of_relations, rule, n_neurons=inputs.shape[1], rng=stream(seed, STAGE, "relations")
    )
    pairs, beside, compared = _compared(inputs, sets, groups, rule, seed=seed)
    layers = [
        _layers("fact", chosen, len(found.items), inputs.shape[0]),
        _layers("relation", relations, relation["n_relations"], inputs.shape[0]),
    ]
    tables = {
        "sets": chosen,
        "relations": relations,
        "counts": shared.by_languages(found, own, nulls, against="mismatched"),
        "layers": pd.concat(layers, ignore_index=True),
        "map": pairs,
        "facts": _per_fact(found, own, nulls["mismatched"], beside),
    }
    both = both_kinds(chosen, relations, inputs.shape)
    about = {**_against(own, nulls), "relations": relation, "both_kinds": both}
    return tables, about | compared


def _compared(
    inputs: Inputs,
    sets: Mapping[str, SetsByFact],
    groups: Mapping[str, str],
    rule: SharingRule,
    *,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Compare the languages in pairs: a table of pairs, one of facts, and a summary of both."""
    n, rng = rule.n_permutations, partial(stream, seed, STAGE)
    scripts = {code: _script(table) for code, table in sorted(inputs.recall.items())}
    pairs = language_map.compare_languages(
        sets, groups, scripts, n_permutations=n, rng=rng("pairs")
    )
    answers = _answers(inputs.recall)
    ids = {str(fact): str(one) for fact, one in answers["ids"].items()}
    beside, p_value = language_map.compare_with_siblings(
        sets, groups, ids, n_permutations=n, rng=rng("siblings")
    )
    beside = beside.assign(one_text=beside["fact"].map(answers["one_text"]).astype(bool))
    accuracy = {code: float(t["correct"].mean()) for code, t in inputs.recall.items()}
    summary = {
        "about_fact": {"n_facts": len(beside), "p_value": p_value, **_means(beside)},
        "pairs": _means(pairs),
        "scripts": scripts,
        "goes_with": language_map.relate(
            pairs, scripts=scripts, accuracy=accuracy, rng=rng("scripts")
        ),
    }
    return pairs, beside, summary


def _nulls(
    inputs: Inputs,
    languages: list[str],
    found: ItemSets,
    wanted: np.ndarray,
    rule: SharingRule,
    *,
    seed: int,
) -> dict[str, list[Tally]]:
    """Tally the deals and draws of each null, one at a time: all at once need gigabytes."""
    sources = [inputs.relations[code] for code in languages]
    drawn = shared.random_members(found, sources, seed=seed, n_draws=rule.n_draws)
    n, rng = rule.n_permutations, partial(stream, seed, STAGE)
    nulls: dict[str, list[Tally]] = {name: [] for name in NULLS}

    def add(name: str, one: ItemSets) -> None:
        nulls[name].append(shared.tally(one, wanted, len(languages)))

    for dealt in shared.mismatched(found, rng("mismatched"), n_deals=n):
        add("mismatched", dealt)
    for dealt in shared.mismatched(found, rng("same relation"), n_deals=n, within=True):
        add("same_relation", dealt)
        add("met_itself", shared.own_sets_only(found, dealt))
    for one in drawn:
        add("random", one)
    return nulls


def _answers(recall: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return by fact the `ids` of its answers, and whether all languages write them alike."""
    columns = ["fact", "objects", "answer"]
    rows = pd.concat([table[columns].drop_duplicates("fact") for table in recall.values()])
    first = rows.drop_duplicates("fact").set_index("fact")["objects"]
    ids = first.map(lambda own: " ".join(sorted(own)))
    return pd.DataFrame({"ids": ids, "one_text": rows.groupby("fact")["answer"].nunique() == 1})


def _script(recalled: pd.DataFrame) -> str:
    return language_map.script([*recalled["prompt"], *recalled["answer"]])


def _independent(
    inputs: Inputs, sets: Mapping[str, SetsByFact], found: ItemSets, wanted: np.ndarray
) -> pd.DataFrame:
    """Return the language-independent neurons of each fact, best graded first."""
    rows = shared.shared_neurons(found, wanted, list(sets), inputs.shape[1]).rename(
        columns={"item": "fact"}
    )
    relation = rows["fact"].map(dict(zip(found.items, found.groups, strict=True)))
    rows = rows.assign(relation=relation, score=_grades(inputs.scores, rows))
    ordered = rows.sort_values(["fact", "score", "neuron"], ascending=[True, False, True])
    ordered = ordered.assign(rank=ordered.groupby("fact").cumcount())
    result: pd.DataFrame = ordered[SETS].reset_index(drop=True)
    return result


def _grades(scores: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> pd.Series:
    """Return 1 / `knowledge_sets.geometric_rank` of each row's neuron over its fact's languages.

    Each language ranks all the neurons that it stores, not only those of its set.
    """
    every = [knowledge_sets.neurons_by_grade(table, method=METHOD) for table in scores.values()]
    found = pd.Series(np.nan, index=rows.index)
    for fact, own in rows.groupby("fact"):
        orders = [order[str(fact)] for order in every if str(fact) in order]
        rank = knowledge_sets.geometric_rank(orders, own["neuron"].to_numpy(np.int64))
        found[own.index] = 1 / rank
    return found


def _against(own: Tally, nulls: Mapping[str, Sequence[Tally]]) -> dict[str, Any]:
    """Compare the mean count with that of each null."""
    drawn = {name: np.array([one.mean for one in every]) for name, every in nulls.items()}
    return {
        "mean_per_fact": own.mean,
        **{f"null_{name}": float(values.mean()) for name, values in drawn.items()},
        "p_value": shared.p_value(own.mean, drawn["mismatched"]),
        "share_with_any": float((own.counts > 0).mean()),
    }


def _per_fact(
    found: ItemSets, own: Tally, mismatched: Sequence[Tally], beside: pd.DataFrame
) -> pd.DataFrame:
    """Return each fact's count, its mean count in the mismatched deals, and what it shares."""
    dealt = np.mean([one.counts for one in mismatched], axis=0)
    columns = {"fact": found.items, "relation": found.groups, "n_languages": found.n_languages}
    table = pd.DataFrame({**columns, "count": own.counts, "mismatched": dealt})
    return table.merge(beside, on=["fact", "relation"], how="left")


def _layers(kind: str, chosen: pd.DataFrame, n_items: int, n_layers: int) -> pd.DataFrame:
    layers = chosen["layer"].to_numpy(np.int64)
    counts = np.bincount(layers, minlength=n_layers) / max(n_items, 1)
    columns = {"kind": kind, "layer": np.arange(n_layers), "neurons": counts}
    return pd.DataFrame(columns).assign(chance=counts.mean())


def _means(table: pd.DataFrame) -> dict[str, float]:
    """Return the means of the measures that a table has: over pairs of languages, or facts."""
    measures = ("value", "same_fact", "same_relation", "same_answer", "mismatched")
    names = [n for n in measures if n in table]
    means = table[names].astype(float).mean()
    return {str(k): float(v) for k, v in means.items() if np.isfinite(v)}
