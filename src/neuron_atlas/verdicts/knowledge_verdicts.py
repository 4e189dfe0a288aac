"""Judge the claims about knowledge neurons from what was measured on facts.

Tables have one row per item (a fact, or a fact in one language) with `fact`, whose id begins with
its relation. Relations are random effects, as in `relation_verdicts`: what is found holds for
relations like these, and interval and p come from one statistic.
"""

import numpy as np
import pandas as pd

from neuron_atlas.statistics.random_effects import MeanTest, over_relations
from neuron_atlas.statistics.rare_events import rate_difference
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.arms import MIN_RELATIONS
from neuron_atlas.verdicts.conjunction import against_rivals, all_of
from neuron_atlas.verdicts.relation_verdicts import shown
from neuron_atlas.verdicts.verdict import Verdict, untestable


def over_items(values: pd.Series, fact: pd.Series) -> MeanTest:
    """Test whether a mean is 0, with facts nested in relations.

    Args:
        values: One number per item.
        fact: Of each item.

    Raises:
        ValueError: there are fewer than two relations.
    """
    names = (fact.to_numpy(str), relations(fact).to_numpy(str))
    return over_relations(values.to_numpy(np.float64), *names)


def n_relations(fact: pd.Series) -> int:
    """Return how many relations the facts are of."""
    return int(relations(fact).nunique())


def relations(fact: pd.Series) -> pd.Series:
    """Return the relation of each fact, with which its id begins."""
    return fact.astype(str).map(lambda name: name.partition(":")[0])


def too_few(fact: pd.Series) -> Verdict | None:
    """Return the verdict on facts of fewer relations than a test needs, or None."""
    n = n_relations(fact)
    if n >= MIN_RELATIONS:
        return None
    return untestable(f"Needs facts of {MIN_RELATIONS} relations, and has them of {n}")


def amig_beats_baselines(
    effects: pd.DataFrame,
    method: str,
    rivals: tuple[str, ...],
    *,
    measured: str,
    negligible: float,
    interest: float = of_interest.ATTRIBUTION,
) -> Verdict:
    """Judge whether a method's neurons have a larger specific effect than every rival's.

    See `conjunction.against_rivals`.

    Args:
        effects: One row per item, with `fact` and, of each method, the effect of its set on the
            fact's own answer less that on unrelated answers, nats.
        method: The method of the claim.
        rivals: The others.
        measured: What was measured, in words.
        negligible: Difference, nats, that is too small to matter.
        interest: Difference, nats, that one would want to find.
    """
    if verdict := too_few(effects["fact"]):
        return verdict
    tested = differences(effects, method, rivals)
    joint = against_rivals(tested, "gain", negligible=negligible, interest=interest)
    because = (
        f"{measured} The hardest rival is {joint.name}: {method} less it {shown(joint.shown)}."
    )
    return joint.verdict(because, interest)


def differences(effects: pd.DataFrame, method: str, rivals: tuple[str, ...]) -> dict[str, MeanTest]:
    """Test a method's effects less those of each rival."""
    return {name: over_items(effects[method] - effects[name], effects["fact"]) for name in rivals}


def language_independent_neurons_exist(
    facts: pd.DataFrame,
    *,
    negligible: float,
    interest: float = of_interest.LANGUAGE_INDEPENDENT,
) -> Verdict:
    """Judge whether languages keep a fact, and not its relation alone, in the same neurons.

    Two contrasts have to hold: two languages share more neurons of a fact than of two facts of its
    relation; and, of facts whose answer other facts of the relation have too, more than of two
    facts with one answer, which tells the fact from the answer. The second is left out where
    too few relations have such facts.

    Args:
        facts: One row per fact, with `same_fact`, `same_relation`, `same_answer` (mean number of
            neurons that two languages share, of the fact, of two facts of its relation, and of two
            with one answer; NaN where there is none) and `one_text`, whether the answer's text is
            the same in all languages.
        negligible: Neurons that are too few to matter.
        interest: Neurons that one would want to find.
    """
    rows = facts.dropna(subset=["same_fact", "same_relation"])
    if verdict := too_few(rows["fact"]):
        return verdict
    contrasts = {"facts of one relation": _beyond(rows, "same_relation")}
    alike = rows.dropna(subset=["same_answer"])
    if n_relations(alike["fact"]) >= MIN_RELATIONS:
        contrasts["facts with one answer"] = _beyond(alike, "same_answer")
    joint = all_of(contrasts, "gain", negligible=negligible, interest=interest)
    beyond = ", ".join(f"{name} {shown(one)}" for name, one in contrasts.items())
    because = (
        f"Two languages share {rows['same_fact'].mean():.2f} neurons of a fact and "
        f"{rows['same_relation'].mean():.2f} of two facts of one relation. Beyond {beyond}. "
        f"{_by_text(rows)}"
    )
    return joint.verdict(because.strip(), interest, "neurons")


def _beyond(rows: pd.DataFrame, other: str) -> MeanTest:
    return over_items(rows["same_fact"] - rows[other], rows["fact"])


def _by_text(rows: pd.DataFrame) -> str:
    """Say the excess apart for facts whose answer is one text in all languages, and the others."""
    names = {True: "the same text in all languages", False: "another text in some language"}
    parts = [
        f"{names[bool(one)]} {shown(_beyond(part, 'same_relation'))}"
        for one, part in rows.groupby("one_text", sort=False)
        if n_relations(part["fact"]) >= MIN_RELATIONS
    ]
    return f"Of facts whose answer is {', '.join(parts)}." if parts else ""


def cross_lingual_editing(
    transfers: pd.DataFrame,
    method: str,
    rivals: tuple[str, ...],
    *,
    measured: str,
    negligible: float,
    interest: float = of_interest.EDITING,
) -> Verdict:
    """Judge whether edits of one kind of neurons reach other languages more than a rival kind's.

    The first rival decides, in size and fit the same but for the choice of neurons. The others,
    which differ in more than that, are shown with their own intervals.

    Args:
        transfers: One row per fact and language that is no source, with `fact` and, of each arm,
            the change of log p(new) - log p(old), nats; NaN where a shown arm has none.
        method: The arm of the claim.
        rivals: The arm that decides, then those that are shown beside it.
        measured: What was measured, in words.
        negligible: Difference, nats, that is too small to matter.
        interest: Difference, nats, that one would want to find.
    """
    if verdict := too_few(transfers["fact"]):
        return verdict
    found = {
        name: tested
        for name in rivals
        for rows in [transfers.dropna(subset=[name])]
        if n_relations(rows["fact"]) >= 2
        for tested in [over_items(rows[method] - rows[name], rows["fact"])]
    }
    main = {rivals[0]: found[rivals[0]]}
    joint = all_of(main, "gain", negligible=negligible, interest=interest)
    beside = ", ".join(f"{name} {shown(one)}" for name, one in found.items())
    return joint.verdict(f"{measured} {method.capitalize()} less {beside}.", interest)


def degenerate_neurons_exist(
    rates: pd.DataFrame,
    *,
    measured: str,
    negligible: float,
    interest: float = of_interest.DEGENERATE,
) -> Verdict:
    """Judge whether more pairs of a fact's neurons stand in for each other than controls do.

    What the verdict is about is the difference of two rates: the share of degenerate pairs less
    that of opposite ones, of a fact's pairs less that of their controls. Were labels of a pair and
    its control exchangeable, it would be 0 however neurons interact.

    Args:
        rates: One row per fact and language, with `fact`, `n` (pairs, each with a control), `up`
            and `down` (how many pairs are degenerate, and how many opposite), `null_up` and
            `null_down` (how many controls).
        measured: What was measured, in words.
        negligible: Difference of rates that is too small to matter.
        interest: Difference of rates that one would want to find.
    """
    if verdict := too_few(rates["fact"]):
        return verdict
    net = rates["up"] - rates["down"] - rates["null_up"] + rates["null_down"]
    found = rate_difference(
        (net / rates["n"]).to_numpy(np.float64),
        rates["n"].to_numpy(np.int64),
        rates["fact"].to_numpy(str),
        relations(rates["fact"]).to_numpy(str),
        events=(
            int((rates["up"] + rates["down"]).sum()),
            int((rates["null_up"] + rates["null_down"]).sum()),
        ),
    )
    joint = all_of({"rate": found}, "gain", negligible=negligible, interest=interest)
    return joint.verdict(measured, interest, "of all pairs")
