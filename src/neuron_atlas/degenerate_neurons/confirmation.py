"""Confirm what was found on one prompt: in another paraphrase, and in another context."""

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.families import ABSENT
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets

PLACES = ("held_out", "shown")  # another paraphrase; the testing template after demonstrations


def confirmed(prompts: FactPrompts, sets: pd.DataFrame, *, small: float) -> pd.DataFrame:
    """Say of each set whether it holds wherever it can be confirmed.

    A set that is found, or opposed, holds in a place if there too every proper subset stays small
    and the surplus exceeds the same threshold, in the same direction.

    Args:
        prompts: The model and its prompts.
        sets: Judged sets, with the templates of both places.
        small: Largest drop of a proper subset, nats.

    Returns:
        `sets` with `held_out_surplus` and `shown_surplus` (nats of log-odds, NaN where not
        measured), `confirmed` and `shown_confirmed` (whether it holds there), `testable` (both
        places exist), `degenerate` and `opposite` (found, or opposed, and holding wherever a place
        exists).
    """
    holds = pd.Series(data=True, index=sets.index)
    added = {}
    for place in PLACES:
        surplus, there = _again(prompts, sets, place, small=small)
        added[f"{place}_surplus"] = surplus
        added["confirmed" if place == "held_out" else f"{place}_confirmed"] = there
        holds &= there | (sets[place] == ABSENT)
    return sets.assign(
        **added,
        testable=(sets[list(PLACES)] != ABSENT).all(axis=1),
        degenerate=sets["found"] & holds,
        opposite=sets["opposed"] & holds,
    )


def _again(
    prompts: FactPrompts, sets: pd.DataFrame, place: str, *, small: float
) -> tuple[pd.Series, pd.Series]:
    """Return the surplus in one place, and whether the sets hold there."""
    again = sets[(sets["found"] | sets["opposed"]) & (sets[place] != ABSENT)]
    wanted = [
        PromptSets(fact, int(template), [*degeneracy.proper_subsets(members), members])
        for fact, template, members in zip(
            again["fact"], again[place], again["members"], strict=True
        )
    ]
    seen = [degeneracy.describe(one.clean, one.drops).iloc[-1] for one in prompts.suppress(wanted)]
    surplus = pd.Series([float(s["surplus"]) for s in seen], index=again.index, dtype="float64")
    largest = pd.Series([float(s["largest"]) for s in seen], index=again.index, dtype="float64")
    sign = np.sign(again["surplus"])
    holds = (sign * surplus > again["threshold"]) & (largest <= small)
    return surplus.reindex(sets.index), holds.reindex(sets.index, fill_value=False)
