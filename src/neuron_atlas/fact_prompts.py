"""Which prompts a fact is measured on: its own, and those of facts that have nothing to do with it.

A prompt is a row of the recall table; its key is (language, fact, template).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas import attributions

KEY = ["language", "measured", "template"]


def measured(recalled: pd.DataFrame, facts: Sequence[str]) -> pd.DataFrame:
    """Return one prompt a fact: a paraphrase that was answered right, rotating over the facts.

    Wrong answers are left out, since what the model does not know cannot be found in it, and which
    paraphrases are right is known before anything is changed.

    Args:
        recalled: One language's recall table.
        facts: The facts, in an order that all languages share.

    Returns:
        Rows of `recalled` in the order of `facts`; a fact without a right answer is left out.
    """
    right = recalled[recalled["correct"] & recalled["fact"].isin(list(facts))]
    ways = dict(list(right.sort_values("template").groupby("fact")))
    chosen = [ways[f].iloc[[i % len(ways[f])]] for i, f in enumerate(facts) if f in ways]
    return pd.concat([recalled.iloc[:0], *chosen], ignore_index=True)


def of(recalled: pd.DataFrame, scores: pd.DataFrame, *, language: str) -> pd.DataFrame:
    """Return the measured prompt of each fact that was attributed, with `language`.

    Facts come in the order in which they were chosen: the most prominent of each relation first.
    """
    order = attributions.chosen(recalled, max_facts=None)["fact"].drop_duplicates()
    attributed = order[order.isin(scores["fact"].unique())]
    return measured(recalled, attributed.tolist()).assign(language=language)


def others(scores: pd.DataFrame, prompts: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the paraphrases that `prompts` does not measure.

    What was chosen on a prompt and measured on the same prompt would flatter itself. A fact that
    has a single paraphrase has nothing to hold out, and keeps it.
    """
    held = pd.MultiIndex.from_frame(prompts[["fact", "template"]])
    shown = pd.MultiIndex.from_frame(scores[["fact", "template"]]).isin(held)
    single = scores.groupby("fact")["template"].transform("nunique") == 1
    return scores[~shown | single]


def unrelated(prompts: pd.DataFrame, fact: Mapping[str, Any], *, n: int, seed: int) -> list[str]:
    """Draw at most `n` facts of other relations, with another subject and no answer in common.

    Chen et al. 2024 (arXiv 2308.13198, section 4.2) take any other facts; those of the same
    relation share its neurons, and those of the same subject or answer share the words.

    Args:
        prompts: The facts to draw from: `fact`, `relation`, `subject`, `objects`.
        fact: The fact they must not be related to.
        n: How many.
        seed: Of the draw; with the fact's name it fixes the draw.

    Raises:
        ValueError: there is no such fact.
    """
    apart = (prompts["relation"] != fact["relation"]) & (prompts["subject"] != fact["subject"])
    objects = set(fact["objects"])
    free = [str(r.fact) for r in prompts[apart].itertuples() if objects.isdisjoint(r.objects)]
    if not free:
        raise ValueError(
            f"fact {fact['fact']!r}: no known fact of another relation, subject and answer to "
            "compare it with; add relations or raise attributions.max_facts"
        )
    rng = np.random.default_rng([seed, *str(fact["fact"]).encode()])
    return [free[i] for i in rng.permutation(len(free))[:n].tolist()]
