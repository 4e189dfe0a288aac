"""Which prompts a stage works on: of known facts, of held-out ones, a fact's own, unrelated ones.

A prompt is a row of the recall table; its key is (language, fact, template).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.facts import roles

KEY = ["language", "measured", "template"]


def answered_prompts(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return all paraphrases of the facts that were answered right in one or more; perhaps none."""
    right = recalled.groupby("fact")["correct"].transform("any").astype(bool)
    return recalled[right].reset_index(drop=True)


def first_known(recalled: pd.DataFrame, *, max_facts: int | None) -> pd.DataFrame:
    """Return the first known facts in all selecting templates, at most `max_facts` per relation.

    The order is that of all asked facts, known or not, alternating between the halves of the
    subjects: the same in every language, so that the languages' facts are mostly the same ones.
    `checked` marks one prompt per fact, on which the completeness error is measured. No row if the
    model knows no fact.
    """
    facts = recalled.drop_duplicates("fact")
    place = facts.groupby(["relation", "split"]).cumcount()
    ordered = facts.assign(place=place).sort_values(["relation", "place", "split"], kind="stable")
    known = ordered[ordered["known"]]
    first = known if max_facts is None else known.groupby("relation").head(max_facts)
    number = pd.Series(np.arange(len(first)), index=first["fact"])
    kept = recalled[roles.selecting_templates(recalled) & recalled["fact"].isin(number.index)]
    order = kept.assign(number=kept["fact"].map(number)).sort_values(["number", "template"])
    order = order.assign(checked=~order.duplicated("fact"))
    return order.drop(columns="number").reset_index(drop=True)


def measured_prompts(recalled: pd.DataFrame, facts: Sequence[str]) -> pd.DataFrame:
    """Return one prompt per fact: a selecting template answered right, rotating over the facts.

    Wrong answers are left out: what the model does not know cannot be found in it. Which ones are
    right is known before anything is changed, so the choice does not depend on an effect.

    Args:
        recalled: One language's recall table.
        facts: The facts, in an order that all languages share.

    Returns:
        Rows of `recalled` in the order of `facts`; a fact without a right answer is left out.
    """
    usable = recalled["correct"] & roles.selecting_templates(recalled)
    right = recalled[usable & recalled["fact"].isin(list(facts))]
    ways = dict(list(right.sort_values("template").groupby("fact")))
    chosen = [ways[f].iloc[[i % len(ways[f])]] for i, f in enumerate(facts) if f in ways]
    return pd.concat([recalled.iloc[:0], *chosen], ignore_index=True)


def attributed_prompts(
    recalled: pd.DataFrame, scores: pd.DataFrame, *, language: str
) -> pd.DataFrame:
    """Return the measured prompt of each fact that was attributed, with `language`.

    Facts come in the order in which they were chosen: the most prominent of each relation first.
    """
    order = first_known(recalled, max_facts=None)["fact"].drop_duplicates()
    attributed = order[order.isin(scores["fact"].unique())]
    return measured_prompts(recalled, attributed.tolist()).assign(language=language)


def other_paraphrases(scores: pd.DataFrame, prompts: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the paraphrases that `prompts` does not measure.

    Neurons chosen and measured on the same prompt would look better than they are. A fact with a
    single paraphrase has nothing to hold out, and keeps it.
    """
    held = pd.MultiIndex.from_frame(prompts[["fact", "template"]])
    shown = pd.MultiIndex.from_frame(scores[["fact", "template"]]).isin(held)
    single = scores.groupby("fact")["template"].transform("nunique") == 1
    return scores[~shown | single]


def unrelated(
    prompts: pd.DataFrame, fact: Mapping[str, Any], *, n: int, rng: np.random.Generator
) -> list[str]:
    """Draw at most `n` facts of other relations, with another subject and no answer in common.

    Chen et al. 2024 (arXiv 2308.13198, section 4.2) take any other facts; those of the same
    relation share its neurons, and those of the same subject or answer share the words.

    Args:
        prompts: The facts to draw from: `fact`, `relation`, `subject`, `objects`.
        fact: The fact they must not be related to.
        n: How many.
        rng: Source of the draw.

    Raises:
        ValueError: there is no such fact.
    """
    free = all_unrelated(prompts, fact)
    if not free:
        raise ValueError(
            f"fact {fact['fact']!r}: no known fact of another relation, subject and answer to "
            "compare it with; add relations or raise attributions.max_facts"
        )
    return [free[i] for i in rng.permutation(len(free))[:n].tolist()]


def all_unrelated(prompts: pd.DataFrame, fact: Mapping[str, Any]) -> list[str]:
    """Return the facts that `unrelated` draws from, in the order of the prompts; perhaps none."""
    apart = (prompts["relation"] != fact["relation"]) & (prompts["subject"] != fact["subject"])
    objects = set(fact["objects"])
    return [str(r.fact) for r in prompts[apart].itertuples() if objects.isdisjoint(r.objects)]
