"""Language-independent neurons of facts and of relations, with their nulls, from stored scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from neuron_atlas.language_neurons import language_map, shared
from neuron_atlas.language_neurons.shared import ItemSets, Tally
from neuron_atlas.neurons import knowledge_sets, overlap
from neuron_atlas.neurons.addresses import layer_histogram
from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import Count, Section, ShareOrAll

METHOD = "attribution"
NULLS = ("mismatched", "same_relation", "met_itself", "random")
PLACE = ["neuron", "layer", "index", "n_languages", "languages"]
SETS = ["fact", "relation", "rank", "score", *PLACE]
RELATIONS = ["relation", *PLACE]


class SharingRule(Section):
    """What makes a neuron language-independent, and how chance is measured."""

    k: Count
    """Strongest neurons of a fact in one language."""
    share: ShareOrAll
    """Share of the fact's paraphrases in which a neuron must be attributed something."""
    min_languages: Annotated[int, Field(ge=2)] | Literal["all"]
    """Languages that share a neuron, or `all`; a fact of fewer languages needs all of them."""
    n_permutations: Annotated[int, Field(ge=19)]
    """Deals of the sets to other facts, for the null."""
    n_draws: Count
    """Matched random sets."""
    seed: int
    """Of deals and draws."""


@dataclass(frozen=True)
class Inputs:
    """By language: stored scores, recall table, and the relation sets with activation sizes."""

    scores: Mapping[str, pd.DataFrame]
    recall: Mapping[str, pd.DataFrame]
    relations: Mapping[str, RelationSets]

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and neurons of a layer."""
        n_layers, n_neurons = next(iter(self.relations.values())).size.shape
        return n_layers, n_neurons


def build(inputs: Inputs, out: Path, rule: SharingRule) -> None:
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
        tables, measured = _measured(inputs, sets, groups, found, rule)
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
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    rng = np.random.default_rng(rule.seed)
    wanted = shared.needed(found, rule.min_languages)
    own = shared.tally(found, wanted, len(sets))
    nulls = _nulls(inputs, list(sets), found, wanted, rule, rng)
    chosen = _independent(inputs, sets, found, wanted)
    relations, relation = _relations(inputs, rule, rng)
    again: dict[str, Any] = {"n_permutations": rule.n_permutations, "rng": rng}
    scripts = {code: _script(table) for code, table in sorted(inputs.recall.items())}
    pairs = language_map.compare(sets, groups, scripts, **again)
    beside, p_value = language_map.siblings(sets, groups, **again)
    accuracy = {code: float(t["correct"].mean()) for code, t in inputs.recall.items()}
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
        "facts": _per_fact(found, own, nulls["mismatched"]).merge(
            beside, on=["fact", "relation"], how="left"
        ),
    }
    return tables, {
        **_against(own, nulls),
        "about_fact": {"n_facts": len(beside), "p_value": p_value, **_means(beside)},
        "pairs": _means(pairs),
        "relations": relation,
        "both_kinds": _both_kinds(chosen, relations, inputs.shape),
        "scripts": scripts,
        "goes_with": language_map.relate(pairs, scripts=scripts, accuracy=accuracy, rng=rng),
    }


def _nulls(
    inputs: Inputs,
    languages: list[str],
    found: ItemSets,
    wanted: np.ndarray,
    rule: SharingRule,
    rng: np.random.Generator,
) -> dict[str, list[Tally]]:
    """Tally each deal and draw at once: all of them together need gigabytes."""
    sizes = {i: inputs.relations[code].size for i, code in enumerate(languages)}
    banned = {i: inputs.relations[code].banned for i, code in enumerate(languages)}
    drawn = shared.random_members(found, sizes, banned, n_draws=rule.n_draws, rng=rng)
    nulls: dict[str, list[Tally]] = {name: [] for name in NULLS}

    def add(name: str, one: ItemSets) -> None:
        nulls[name].append(shared.tally(one, wanted, len(languages)))

    for dealt in shared.mismatched(found, rng, n_deals=rule.n_permutations):
        add("mismatched", dealt)
    for dealt in shared.mismatched(found, rng, n_deals=rule.n_permutations, within=True):
        add("same_relation", dealt)
        add("met_itself", shared.met_itself(found, dealt))
    for one in drawn:
        add("random", one)
    return nulls


def _script(recalled: pd.DataFrame) -> str:
    return language_map.script([*recalled["prompt"], *recalled["answer"]])


def _independent(
    inputs: Inputs, sets: Mapping[str, SetsByFact], found: ItemSets, wanted: np.ndarray
) -> pd.DataFrame:
    """Return the language-independent neurons of each fact, best graded first."""
    rows = shared.placed(found, wanted, list(sets), inputs.shape[1]).rename(
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

    All neurons that a language stores are ranked there, not only those of its set.
    """
    every = [knowledge_sets.ordered(table, method=METHOD) for table in scores.values()]
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


def _per_fact(found: ItemSets, own: Tally, mismatched: Sequence[Tally]) -> pd.DataFrame:
    """Return each fact's count, and the mean count of its place in the mismatched deals."""
    dealt = np.mean([one.counts for one in mismatched], axis=0)
    columns = {"fact": found.items, "relation": found.groups, "n_languages": found.n_languages}
    return pd.DataFrame({**columns, "count": own.counts, "mismatched": dealt})


def _layers(kind: str, chosen: pd.DataFrame, n_items: int, n_layers: int) -> pd.DataFrame:
    layers = chosen["layer"].to_numpy(np.int64)
    counts = np.bincount(layers, minlength=n_layers) / max(n_items, 1)
    columns = {"kind": kind, "layer": np.arange(n_layers), "neurons": counts}
    return pd.DataFrame(columns).assign(chance=counts.mean())


def _relations(
    inputs: Inputs, rule: SharingRule, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the relation neurons that languages share: sets by average precision, not by facts."""
    sets = {code: inputs.relations[code].sets for code in sorted(inputs.scores)}
    found = shared.members(sets, {r: r for one in sets.values() for r in one})
    chosen = pd.DataFrame(columns=RELATIONS)
    summary: dict[str, Any] = {"n_relations": len(found.items), "mean_per_relation": 0.0}
    if not found.items:
        return chosen, summary | {"null_mismatched": 0.0, "p_value": 1.0}
    wanted = shared.needed(found, rule.min_languages)
    own = shared.tally(found, wanted, len(sets))
    deals = shared.mismatched(found, rng, n_deals=rule.n_permutations)
    null = np.array([shared.tally(one, wanted, len(sets)).mean for one in deals])
    chosen = shared.placed(found, wanted, list(sets), inputs.shape[1]).rename(
        columns={"item": "relation"}
    )
    return chosen[RELATIONS].reset_index(drop=True), summary | {
        "mean_per_relation": own.mean,
        "null_mismatched": float(null.mean()),
        "p_value": shared.p_value(own.mean, null),
    }


def _both_kinds(
    facts: pd.DataFrame, relations: pd.DataFrame, shape: tuple[int, int]
) -> dict[str, Any]:
    """Return how many neurons are language-independent for a fact and for its relation.

    The p is of as many by chance, given how many of each kind each layer has for each relation.
    """
    count, histograms = 0, []
    size = {"n_layers": shape[0], "n_neurons": shape[1]}
    for relation, rows in facts.groupby("relation"):
        of_facts = np.unique(rows["neuron"].to_numpy(np.int64))
        same = relations["relation"] == relation
        of_relation = relations.loc[same, "neuron"].to_numpy(np.int64)
        count += len(np.intersect1d(of_facts, of_relation))
        histograms.append([layer_histogram(x, **size) for x in (of_facts, of_relation)])
    if not histograms:
        return {"count": 0, "expected_within_layer": 0.0, "p_value": 1.0}
    a, b = np.concatenate(histograms, axis=1)
    return {
        "count": count,
        "expected_within_layer": float(a @ b / shape[1]),
        "p_value": overlap.within_layer_p_value(count, a, b, shape[1]),
    }


def _means(table: pd.DataFrame) -> dict[str, float]:
    """Return the means of what was measured: over pairs of languages, or over facts."""
    names = [n for n in ("value", "same_fact", "same_relation", "mismatched") if n in table]
    means = table[names].astype(float).mean()
    return {str(k): float(v) for k, v in means.items() if np.isfinite(v)}
