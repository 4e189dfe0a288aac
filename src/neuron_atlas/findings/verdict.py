"""A claim's verdict, the words it may use, and what one analysis contributes to the summary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from neuron_atlas.statistics.estimates import Estimate

Word = Literal["supported", "not supported", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict; effects are nats of the answer's log-probability beyond random sets."""

    verdict: Word
    effect: Estimate
    p_value: float
    because: str

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON has it."""
        return {
            "verdict": self.verdict,
            "effect": self.effect.mean,
            "low": self.effect.low,
            "high": self.effect.high,
            "p_value": self.p_value,
            "because": self.because,
        }


def harm(effect: Estimate, p_value: float, *, negligible: float) -> Word:
    """Judge a claim that a change is negative.

    `not supported` if its interval excludes every change more negative than `-negligible`, be it
    significant or not; `supported` if it is negative beyond chance; otherwise the data cannot tell.
    """
    if effect.low > -negligible:
        return "not supported"
    if effect.high < 0 and p_value < ALPHA:
        return "supported"
    return "undecided"


def gain(effect: Estimate, p_value: float, *, negligible: float) -> Word:
    """Judge a claim that a difference is positive; see `harm` for the mirror image.

    `not supported` if its interval excludes every gain above `negligible`; `supported` if it is
    positive beyond chance; otherwise the data cannot tell.
    """
    if effect.high < negligible:
        return "not supported"
    if effect.low > 0 and p_value < ALPHA:
        return "supported"
    return "undecided"


@dataclass(frozen=True)
class Finding:
    """One analysis, summed up over all languages.

    Attributes:
        name: Its section of metrics/summary.json.
        summary: The section's content.
        verdicts: What it says of each claim.
        tables: By name, what plots and page show.
    """

    name: str
    summary: Mapping[str, Any]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
