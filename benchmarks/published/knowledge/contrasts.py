"""What is left of an effect when a control is taken off it, with intervals over relations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.statistics.random_effects import MeanTest, over_clusters


@dataclass(frozen=True)
class Step:
    """One contrast.

    Attributes:
        name: Which control it has.
        facts: Facts that have both sides of it.
        relations: Their relations.
        test: Its mean over relations; None if there are fewer than two.
    """

    name: str
    facts: int
    relations: int
    test: MeanTest | None

    def as_dict(self, alone: "Step | None" = None) -> dict[str, Any]:
        """Return it for a JSON file, with the share that it is of the effect without a control."""
        found: dict[str, Any] = {
            "name": self.name,
            "facts": self.facts,
            "relations": self.relations,
            **dict.fromkeys(("mean", "low", "high", "p_value", "share")),
        }
        if self.test is not None:
            found |= {**self.test.effect.as_dict(), "p_value": self.test.p_value}
            whole = None if alone is None or alone.test is None else alone.test.effect.mean
            found["share"] = self.test.effect.mean / whole if whole else None
        return found


def step(name: str, of_facts: pd.Series, relations: Mapping[str, str]) -> Step:
    """Return a contrast: the mean over relations of the mean over their facts.

    Args:
        name: Which control it has.
        of_facts: One value per fact, by its name; NaN where a side is missing.
        relations: The relation of each fact.
    """
    values = of_facts.dropna()
    owner = np.array([relations[str(fact)] for fact in values.index], dtype=object)
    means = values.groupby(owner).mean().to_numpy(np.float64)
    test = over_clusters(means) if len(means) > 1 else None
    return Step(name, len(values), len(means), test)


def listed(steps: list[Step]) -> list[dict[str, Any]]:
    """Return contrasts for a JSON file, each beside the first."""
    return [one.as_dict(steps[0]) for one in steps]


def left(one: Mapping[str, Any], alone: Mapping[str, Any]) -> str:
    """Say in words what a control leaves of an effect, which the papers take to be positive.

    Args:
        one: The contrast, from `listed`.
        alone: The effect without a control.
    """
    if one["mean"] is None:
        return "not to be had here"
    if one["high"] < 0:
        return "the opposite"
    known = alone["mean"] is not None and alone["mean"] > 0 and one["share"] is not None
    share = f"{round(100 * one['share'])} %" if known else ""
    if one["low"] > 0:
        return f"{share} is left" if share else "seen with this control alone"
    if alone["mean"] is None or alone["low"] <= 0:
        return "nothing was there"
    return f"cannot be told from 0 ({share})"
