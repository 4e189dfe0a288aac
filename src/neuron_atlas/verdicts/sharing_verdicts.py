"""Judge the claims about single cells: that a relation's neurons change another's answers."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from neuron_atlas.statistics.estimates import mcnemar
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.families import MIN_FACTS, Family, family
from neuron_atlas.verdicts.verdict import Claimed, Verdict, Word, judge, too_coarse, untestable

DONE: dict[Claimed, str] = {"harm": "harmed", "gain": "improved"}


def versatility_relations(
    table: pd.DataFrame, *, negligible: float, interest: float = of_interest.CELL
) -> Verdict:
    """Judge whether some relation's neurons serve another: switching them off harms that one.

    MeanTest on other relations' unseen answers that are right at first: each set's effect less that
    of push-matched random sets, all cells at once. One cell is enough, so that sparse sharing
    counts; `not supported` needs every cell's harm to be negligible. Improvements elsewhere do not
    contradict it.

    Args:
        table: Measured arms.
        negligible: Harm, in nats, that is too small to matter.
        interest: Harm of one cell, in nats, that one would want to find.
    """
    rows = _others(table, right=True)
    return _some_cell(family(rows), "harm", negligible, interest, lambda _: "")


def interference(
    table: pd.DataFrame, *, negligible: float, interest: float = of_interest.CELL
) -> Verdict:
    """Judge whether some relation improves when another relation's neurons are switched off.

    The mirror image of `versatility_relations`, on all unseen facts: those that are wrong at first
    can become right. Flips of the typed answer are counted both ways, one vote per fact.
    """
    rows = _others(table, right=False)
    sets = arms.of_kind(rows, "set")

    def flips(cell: tuple[str, str]) -> str:
        there = sets[sets["relation"].eq(cell[0]) & sets["measured"].eq(cell[1])]
        return f" Flips there: {_flips(there)}; in all cells: {_flips(sets)}."

    return _some_cell(family(rows), "gain", negligible, interest, flips)


def _others(table: pd.DataFrame, *, right: bool) -> pd.DataFrame:
    rows = arms.held_out(table, right=right)
    return rows[rows["relation"].ne(rows["measured"])]


def _some_cell(
    cells: Family,
    claimed: Claimed,
    negligible: float,
    interest: float,
    flips: Callable[[tuple[str, str]], str],
) -> Verdict:
    """Judge that a change is there in at least one cell."""
    if not cells.tested:
        return untestable(f"No cell of two relations has {MIN_FACTS} facts in both arms")
    words = [judge(found, claimed, negligible=negligible) for found in cells.tested]
    changed = words.count("supported")
    word = _word(words, blind=cells.mde > interest)
    sign = 1 if claimed == "harm" else -1
    best = int(np.argmin([sign * found.statistic for found in cells.tested]))
    shown = cells.tested[best]
    name = cells.relations[best], cells.measured[best]
    reason = too_coarse(cells.mde, interest) if word == "untestable" else None
    left_out = f", {cells.left_out} had too few facts" if cells.left_out else ""
    because = (
        f"{changed} of {len(words)} cells of two relations are {DONE[claimed]} beyond push-matched "
        f"sets, adjusted for all of them{left_out}; the clearest is {name[1]} without "
        f"{name[0]}'s neurons.{flips(name)}"
    )
    because += f" {reason[0].upper()}{reason[1:]}." if reason else ""
    return Verdict(word, shown.effect, shown.p_value, because, cells.mde, reason)


def _word(words: list[Word], *, blind: bool) -> Word:
    if "supported" in words:
        return "supported"
    if set(words) <= {"not supported", "contradicted"}:
        return "not supported"
    return "untestable" if blind else "undecided"


def _flips(sets: pd.DataFrame) -> str:
    """Count the facts that gain and lose more often than not, over languages and sets."""
    change = sets["correct_after"].astype(int) - sets["correct_before"].astype(int)
    net = change.groupby(sets["fact"].to_numpy()).sum().to_numpy()
    gained, lost = net > 0, net < 0
    p_value = mcnemar(lost, gained)
    return (
        f"{int(gained.sum())} facts become right and {int(lost.sum())} wrong, of {len(net)} "
        f"(McNemar p = {p_value:.2g})"
    )
