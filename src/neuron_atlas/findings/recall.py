"""Measure how many facts a model knows, by language and relation, against a majority baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

ALL = "all"  # the row of all relations together


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
