"""Measure how many facts a model knows, by language and relation, against a majority baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from scipy.stats import pearsonr

from neuron_atlas.statistics.estimates import Estimate

ALL = "all"  # the row of all relations together
FEWEST = 8  # facts of known popularity that a correlation is worth


def recall_by_relation(
    recall: Mapping[str, pd.DataFrame], paraphrase: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Measure recall by language and relation, and over `ALL` relations.

    Every share is a mean over evaluated (fact, paraphrase) rows, in [0, 1].

    Args:
        recall: Language to its recall table: one row per (fact, paraphrase).
        paraphrase: Agreement of the paraphrases by language and relation.

    Returns:
        `language`, `relation`, `n_facts`, `n_known`, `known_share`, `n_beginnings` (pairs of
        candidates of which one continues the other, at most in a prompt), `typed_accuracy`, `mrr`
        (mean 1 / rank),
        `majority_baseline` (always giving each relation's most frequent answer),
        `log_probability` (nats), `paraphrase_agreement` (mean over facts).
    """
    agreement = pd.DataFrame([dict(p) for p in paraphrase], columns=_PARAPHRASE)
    rows = []
    for language, table in recall.items():
        measured = table.assign(majority=_majority(table))
        own = agreement[agreement["language"] == language]
        for relation in measured["relation"].unique():
            part = measured[measured["relation"] == relation]
            same = own[own["relation"] == relation]
            rows.append({"language": language, "relation": relation, **_measure(part, same)})
        rows.append({"language": language, "relation": ALL, **_measure(measured, own)})
    return pd.DataFrame(rows)


def with_demonstrations(
    recall: Mapping[str, pd.DataFrame], demonstrated: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Compare the same prompts as they are and after each block of demonstrations.

    Args:
        recall: Language to its recall table.
        demonstrated: Language to the held-out facts after demonstrations, with `context`.

    Returns:
        By `language` and `relation`, and over `ALL`: `n_facts`; shares of prompts answered right,
        in [0, 1]: `as_they_are`, `after_demonstrations` (mean over blocks) and `majority_baseline`
        (always giving the relation's most frequent answer); `n_answer_shown`, prompts after a
        demonstration that shows a right answer, and `n_repeated`, prompts after one that also
        stands in an earlier block.
    """
    rows = []
    for language, table in demonstrated.items():
        own = recall[language].assign(majority=_majority(recall[language]))
        key = ["fact", "template"]
        joined = table.merge(own[[*key, "correct", "majority"]], on=key, suffixes=("", "_alone"))
        for relation in joined["relation"].unique():
            part = joined[joined["relation"] == relation]
            rows.append({"language": language, "relation": relation, **_compared(part)})
        if len(joined):
            rows.append({"language": language, "relation": ALL, **_compared(joined)})
    return pd.DataFrame(rows)


def _compared(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "n_facts": int(rows["fact"].nunique()),
        "as_they_are": float(rows["correct_alone"].mean()),
        "after_demonstrations": float(rows["correct"].mean()),
        "majority_baseline": float(rows["majority"].mean()),
        "n_answer_shown": int(rows["answer_shown"].sum()),
        "n_repeated": int(rows["repeated"].sum()),
    }


def by_popularity(
    recall: Mapping[str, pd.DataFrame], popularity: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
    """Correlate, by language, how popular subjects are with how often their facts are right.

    Args:
        recall: Language to its recall table.
        popularity: Language to the popularity of its facts' subjects, where it is known.

    Returns:
        `n_facts`; `known` and `unknown`, median popularity of known and other facts; and Spearman's
        correlation of popularity with the share of a fact's prompts that are answered right, with
        a 95 % interval (Fisher): over all facts (`rho`), and with both ranked within relations
        (`rho_within`), which relations of popular subjects that are easy cannot bring about. A
        language of which fewer than `FEWEST` such facts are known is missing.
    """
    found = {}
    for language, table in recall.items():
        facts = table.groupby("fact").agg(
            relation=("relation", "first"), right=("correct", "mean"), known=("known", "first")
        )
        facts["popularity"] = pd.Series(dict(popularity.get(language, {})), dtype="float64")
        facts = facts.dropna(subset=["popularity"])
        if len(facts) < FEWEST:
            continue
        within = facts.groupby("relation")[["right", "popularity"]].rank()
        within -= within.groupby(facts["relation"]).transform("mean")
        median = facts.groupby("known")["popularity"].median()
        found[language] = {
            "n_facts": len(facts),
            "known": _number(median.get(True)),
            "unknown": _number(median.get(False)),
            "rho": _correlation(facts[["right", "popularity"]].rank()),
            "rho_within": _correlation(within),
        }
    return found


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _correlation(ranks: pd.DataFrame) -> dict[str, float] | None:
    """Return the correlation of two columns with its interval; None where one does not vary."""
    if (ranks.nunique() < 2).any():
        return None
    found = pearsonr(ranks["right"], ranks["popularity"])
    interval = found.confidence_interval()
    return Estimate(float(found.statistic), float(interval.low), float(interval.high)).as_dict()


def n_aligned(recall: Mapping[str, pd.DataFrame]) -> int:
    """Return the number of facts that every language has."""
    return len(set.intersection(*(set(table["fact"]) for table in recall.values())))


def relations(recall: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the relations asked in any language, in the order of the tables."""
    return list(dict.fromkeys(name for table in recall.values() for name in table["relation"]))


_PARAPHRASE = ["language", "relation", "agreement", "n_facts"]


def _majority(table: pd.DataFrame) -> pd.Series:
    """Say per row whether its relation's most frequent answer is right."""
    best = {}
    for relation, part in table.groupby("relation", sort=False):
        counts = part["objects"].map(set).explode().value_counts()
        best[relation] = min(counts[counts == counts.max()].index)
    pairs = zip(table["relation"], table["objects"], strict=True)
    return pd.Series([best[name] in set(objects) for name, objects in pairs], index=table.index)


def _measure(rows: pd.DataFrame, agreement: pd.DataFrame) -> dict[str, Any]:
    known = rows.drop_duplicates("fact")["known"]
    weight = agreement["n_facts"].sum()
    return {
        "n_facts": len(known),
        "n_known": int(known.sum()),
        "known_share": float(known.mean()),
        "n_beginnings": int(rows.groupby("relation")["n_beginnings"].max().sum()),
        "typed_accuracy": float(rows["correct"].mean()),
        "mrr": float((1 / rows["rank"]).mean()),
        "majority_baseline": float(rows["majority"].mean()),
        "log_probability": float(rows["log_probability"].mean()),
        "paraphrase_agreement": float(
            (agreement["agreement"] * agreement["n_facts"]).sum() / weight if weight else "nan"
        ),
    }
