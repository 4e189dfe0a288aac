"""Judge a claim: its verdict, the rules for it, and what an analysis adds to the summary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from neuron_atlas.statistics.estimates import Estimate

Word = Literal["supported", "not supported", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict.

    Attributes:
        verdict: The word.
        effect: With its 95 % interval, in the claim's unit, mostly nats of the answer's
            log-probability.
        p_value: Of the effect; corrected if the claim rests on many tests.
        because: The measurements behind it, in one or two sentences.
    """

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

    `not supported` if the interval excludes every change below `-negligible`, significant or not;
    `supported` if the interval lies below 0 and p < `ALPHA`; otherwise the data cannot tell.

    Args:
        effect: The change, with its 95 % interval.
        p_value: Of the change.
        negligible: Size, above 0, of a change that does not matter; in the effect's unit.
    """
    if effect.low > -negligible:
        return "not supported"
    if effect.high < 0 and p_value < ALPHA:
        return "supported"
    return "undecided"


def gain(effect: Estimate, p_value: float, *, negligible: float) -> Word:
    """Judge a claim that a difference is positive; see `harm` for the mirror image.

    `not supported` if the interval excludes every gain above `negligible`; `supported` if the
    interval lies above 0 and p < `ALPHA`; otherwise the data cannot tell.
    """
    if effect.high < negligible:
        return "not supported"
    if effect.low > 0 and p_value < ALPHA:
        return "supported"
    return "undecided"


@dataclass(frozen=True)
class Finding:
    """One analysis, over all languages together.

    Attributes:
        name: Its section of metrics/summary.json.
        summary: The section's content.
        verdicts: What it says of each claim.
        tables: By name, the tables that plots and page show.
    """

    name: str
    summary: Mapping[str, Any]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
