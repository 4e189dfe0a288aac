"""Language-independent neurons of facts and of relations, with their nulls, from stored scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas import knowledge_neurons, language_map, language_sets, overlap, store
from neuron_atlas.knowledge_neurons import Sets
from neuron_atlas.language_sets import AtLeast, Members
from neuron_atlas.relation_neurons import Source

METHOD = "attribution"
TABLES = ("sets", "counts", "layers", "map", "facts")


@dataclass(frozen=True)
class Rule:
    """What makes a neuron language-independent, and how chance is measured.

    Attributes:
        k: Neurons of a fact's set in one language.
        share: Share of the fact's paraphrases in which a neuron must be attributed something.
        min_languages: In how many languages it has to be; a fact of fewer needs all of its own.
        n_permutations: Deals of the sets to other facts.
        n_draws: Matched random sets.
        seed: Of both.
    """

    k: int
    share: float
    min_languages: AtLeast
    n_permutations: int
    n_draws: int
    seed: int


@dataclass(frozen=True)
class Inputs:
    """By language: stored scores, recall table, and the relation sets with activation sizes."""

    scores: Mapping[str, pd.DataFrame]
    recall: Mapping[str, pd.DataFrame]
    relations: Mapping[str, Source]

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and neurons of a layer."""
        n_layers, n_neurons = next(iter(self.relations.values())).size.shape
        return n_layers, n_neurons


def build(inputs: Inputs, out: Path, rule: Rule) -> None:
    """Write the tables `TABLES` and `summary.json` to the folder `out`.

    With one language, or no fact in two, the tables are empty and the summary says why.
    """
    sets = {
        language: knowledge_neurons.select(
            scores, method=METHOD, tau=0.0, share=rule.share, k=rule.k
        )
        for language, scores in inputs.scores.items()
    }
    groups = {
        str(f): str(r)
        for scores in inputs.scores.values()
        for f, r in zip(scores["fact"], scores["relation"], strict=True)
    }
    found = language_sets.members(sets, groups)
    wanted = language_sets.needed(found, rule.min_languages)
    tables, summary = _nothing(), _about(found, sets, rule)
    if len(found.items) >= 2:
        tables, measured = _measured(inputs, sets, groups, found, wanted, rule)
        summary |= measured
    with store.whole(out) as folder:
        for name, table in tables.items():
            store.write_table(folder / f"{name}.parquet", table)
        store.write_json(folder / "summary.json", summary)


def _nothing() -> dict[str, pd.DataFrame]:
    return {name: pd.DataFrame() for name in TABLES}


def _about(found: Members, sets: Mapping[str, Sets], rule: Rule) -> dict[str, Any]:
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
    sets: Mapping[str, Sets],
    groups: Mapping[str, str],
    found: Members,
    wanted: np.ndarray,
    rule: Rule,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    rng = np.random.default_rng(rule.seed)
    sizes = {i: inputs.relations[code].size for i, code in enumerate(sets)}
    shared = language_sets.shared(found)
    deals, draws = range(rule.n_permutations), range(rule.n_draws)
    nulls = {
        "mismatched": [_dealt(found, rng) for _ in deals],
        "same_relation": [_dealt(found, rng, within=True) for _ in deals],
        "random": [
            language_sets.shared(language_sets.random_members(found, sizes, rng)) for _ in draws
        ],
    }
    chosen = _independent(inputs, found, language_sets.enough(shared, wanted))
    relation_sets, relation = _relations(inputs, rule, rng)
    pairs = language_map.compare(
        sets, groups, _scripts(inputs), n_permutations=rule.n_permutations, rng=rng
    )
    accuracy = {code: float(t["correct"].mean()) for code, t in inputs.recall.items()}
    tables = {
        "sets": chosen,
        "counts": _counts(found, shared, nulls, len(sets)),
        "layers": pd.concat(
            [
                _layers("fact", chosen, len(found.items), inputs.shape[0]),
                _layers("relation", relation_sets, relation["n_relations"], inputs.shape[0]),
            ],
            ignore_index=True,
        ),
        "map": pairs,
        "facts": _per_fact(
            found, language_sets.counts(shared, wanted), nulls["mismatched"], wanted
        ),
    }
    return tables, {
        **_against(language_sets.counts(shared, wanted), wanted, nulls),
        "pairs": _pair_means(pairs),
        "relations": relation,
        "both_kinds": _both_kinds(chosen, relation_sets, inputs.shape),
        "scripts": _scripts(inputs),
        "goes_with": language_map.relate(pairs, accuracy, rng=rng),
    }


def _scripts(inputs: Inputs) -> dict[str, str]:
    return {code: language_map.script(t["prompt"]) for code, t in inputs.recall.items()}


def _dealt(found: Members, rng: np.random.Generator, *, within: bool = False) -> pd.DataFrame:
    return language_sets.shared(language_sets.mismatched(found, rng, within=within))


def _independent(inputs: Inputs, found: Members, kept: pd.DataFrame) -> pd.DataFrame:
    """Return the language-independent neurons of each fact, best graded first."""
    names, groups = np.array(found.items), np.array(found.groups)
    rows = kept.assign(fact=names[kept["item"]], relation=groups[kept["item"]])
    rows["score"] = _grades(inputs.scores, rows)
    rows = rows.assign(layer=rows["neuron"] // inputs.shape[1])
    rows = rows.assign(index=rows["neuron"] % inputs.shape[1])
    ordered = rows.sort_values(["fact", "score", "neuron"], ascending=[True, False, True])
    ordered = ordered.assign(rank=ordered.groupby("fact").cumcount())
    columns = ["fact", "relation", "rank", "neuron", "layer", "index", "n_languages", "score"]
    result: pd.DataFrame = ordered[columns].reset_index(drop=True)
    return result


def _grades(scores: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> np.ndarray:
    """Return 1 / geometric mean, over the fact's languages, of the neuron's rank from 1.

    A neuron that a language does not store has the rank after the last one stored there.
    """
    logs, count = np.zeros(len(rows)), np.zeros(len(rows))
    keys = pd.MultiIndex.from_frame(rows[["fact", "neuron"]])
    for table in scores.values():
        graded = knowledge_neurons.graded(table, method=METHOD)
        depth = rows["fact"].map(graded.groupby("fact").size())
        there = graded.set_index(["fact", "neuron"])["rank"].reindex(keys).to_numpy(np.float64)
        rank = np.where(np.isnan(there), depth.to_numpy(np.float64), there) + 1
        known = ~np.isnan(rank)
        logs += np.where(known, np.log(np.where(known, rank, 1)), 0)
        count += known
    return np.exp(-logs / np.maximum(count, 1))


Nulls = Mapping[str, Sequence[pd.DataFrame]]


def _counts(found: Members, shared: pd.DataFrame, nulls: Nulls, n_languages: int) -> pd.DataFrame:
    """Return, for each k, how many neurons of a fact at least k languages share."""

    def profile(table: pd.DataFrame) -> np.ndarray:
        return language_sets.profile(table, found.n_languages, n_languages)

    observed = profile(shared)
    drawn = {name: np.stack([profile(one) for one in every]) for name, every in nulls.items()}
    as_many = (drawn["mismatched"] >= observed - 1e-12).sum(0)
    return pd.DataFrame(
        {
            "at_least": np.arange(2, n_languages + 1),
            "n_facts": [int((found.n_languages >= k).sum()) for k in range(2, n_languages + 1)],
            "observed": observed,
            **{name: values.mean(0) for name, values in drawn.items()},
            "p_value": (1 + as_many) / (1 + len(drawn["mismatched"])),
        }
    ).dropna(ignore_index=True)


def _against(count: np.ndarray, wanted: np.ndarray, nulls: Nulls) -> dict[str, Any]:
    """Compare the mean count with that of each null."""
    observed = float(count.mean())
    drawn = {
        name: np.array([language_sets.counts(one, wanted).mean() for one in every])
        for name, every in nulls.items()
    }
    return {
        "mean_per_fact": observed,
        **{f"null_{name}": float(values.mean()) for name, values in drawn.items()},
        "p_value": _p(observed, drawn["mismatched"]),
        "p_value_same_relation": _p(observed, drawn["same_relation"]),
        "share_with_any": float((count > 0).mean()),
    }


def _p(observed: float, null: np.ndarray) -> float:
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def _per_fact(
    found: Members, count: np.ndarray, mismatched: Sequence[pd.DataFrame], wanted: np.ndarray
) -> pd.DataFrame:
    """Return each fact's count, and the mean count of its place in the mismatched deals."""
    dealt = np.mean([language_sets.counts(one, wanted) for one in mismatched], axis=0)
    columns = {"fact": found.items, "relation": found.groups, "n_languages": found.n_languages}
    return pd.DataFrame({**columns, "count": count, "mismatched": dealt})


def _layers(kind: str, chosen: pd.DataFrame, n_items: int, n_layers: int) -> pd.DataFrame:
    counts = np.bincount(chosen["layer"], minlength=n_layers) / max(n_items, 1)
    columns = {"kind": kind, "layer": np.arange(n_layers), "neurons": counts}
    return pd.DataFrame(columns).assign(chance=counts.mean())


def _relations(
    inputs: Inputs, rule: Rule, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the relation neurons that languages share: sets by average precision, not by facts."""
    sets = {code: source.sets for code, source in inputs.relations.items()}
    found = language_sets.members(sets, {r: r for one in sets.values() for r in one})
    wanted = language_sets.needed(found, rule.min_languages)
    deals = range(rule.n_permutations)
    null = [language_sets.counts(_dealt(found, rng), wanted).mean() for _ in deals]
    kept = language_sets.enough(language_sets.shared(found), wanted)
    observed = len(kept) / max(len(found.items), 1)
    names = np.array(found.items, dtype=object)
    chosen = kept.assign(relation=names[kept["item"]], layer=kept["neuron"] // inputs.shape[1])
    return chosen, {
        "n_relations": len(found.items),
        "mean_per_relation": observed,
        "null_mismatched": float(np.mean(null)),
        "p_value": _p(observed, np.array(null)),
    }


def _both_kinds(
    facts: pd.DataFrame, relations: pd.DataFrame, shape: tuple[int, int]
) -> dict[str, Any]:
    """Return how many neurons are language-independent for a fact and for its relation."""
    count, expected = 0, 0.0
    for relation, rows in facts.groupby("relation"):
        a = np.unique(rows["neuron"].to_numpy(np.int64))
        b = relations.loc[relations["relation"] == relation, "neuron"].to_numpy(np.int64)
        count += len(np.intersect1d(a, b))
        expected += overlap.within_layer_expected_overlap(
            a, b, n_layers=shape[0], n_neurons=shape[1]
        )
    return {"count": count, "expected_within_layer": expected}


def _pair_means(pairs: pd.DataFrame) -> dict[str, float]:
    """Return the mean Jaccard indices over the pairs of languages."""
    means = pairs[["value", "same_relation", "mismatched"]].astype(float).mean()
    return {str(k): float(v) for k, v in means.items() if np.isfinite(v)}
