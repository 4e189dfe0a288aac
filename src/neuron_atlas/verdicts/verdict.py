"""Judge a claim: its verdict, the rule for it, and what an analysis adds to the summary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, Literal

import pandas as pd

from neuron_atlas.statistics.estimates import Estimate
from neuron_atlas.statistics.random_effects import MeanTest

Word = Literal["supported", "contradicted", "not supported", "undecided", "untestable"]
Claimed = Literal["harm", "gain"]
ALPHA = 0.05
UNKNOWN = Estimate(nan, nan, nan)


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict.

    Attributes:
        verdict: The word.
        effect: With its 95 % interval, in the claim's unit, mostly nats of the answer's
            log-probability; NaN where nothing could be measured.
        p_value: Of the effect; corrected if the claim rests on many tests.
        because: The measurements behind it, in one or two sentences.
        mde: Minimal detectable effect: the smallest that would have been found in 80 of 100
            repetitions at this size, same unit; None if unknown.
        reason: Why the claim is untestable, else None.
    """

    verdict: Word
    effect: Estimate
    p_value: float
    because: str
    mde: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON has it; a number that is not known is None."""
        numbers = {
            "effect": self.effect.mean,
            "low": self.effect.low,
            "high": self.effect.high,
            "p_value": self.p_value,
            "mde": self.mde,
        }
        known = {n: v if v is not None and isfinite(v) else None for n, v in numbers.items()}
        return {"verdict": self.verdict, **known, "reason": self.reason, "because": self.because}


def untestable(reason: str) -> Verdict:
    """Return the verdict on a claim that these data cannot test at all."""
    return Verdict("untestable", UNKNOWN, nan, f"{reason}.", reason=reason)


def judge(
    found: MeanTest, claimed: Claimed, *, negligible: float, interest: float | None = None
) -> Word:
    """Judge a claim that a change is negative (`harm`) or positive (`gain`).

    In this order: `not supported` if the whole interval is negligible; `supported` if the change is
    significant as claimed, `contradicted` if significant the other way; `not supported` if the
    interval excludes every claimed change beyond `negligible`; `untestable` if the minimal
    detectable effect is above the effect of interest; else `undecided`.

    Args:
        found: The change; its interval and p come from one statistic.
        claimed: The claimed direction.
        negligible: Size, above 0, of a change that does not matter; in the effect's unit.
        interest: Size of the smallest change that one would want to find, or None.
    """
    word = _word(found.effect, claimed, negligible, significant=found.p_value < ALPHA)
    blind = interest is not None and found.mde > interest
    return "untestable" if word == "undecided" and blind else word


def too_coarse(mde: float, interest: float, unit: str = "nats") -> str:
    """Say why a claim with this minimal detectable effect is untestable."""
    return (
        f"the smallest effect found in 80 of 100 such runs is {mde:.2g} {unit}, above the "
        f"{interest:.2g} of interest"
    )


def _word(effect: Estimate, claimed: Claimed, negligible: float, *, significant: bool) -> Word:
    low, high = (effect.low, effect.high) if claimed == "harm" else (-effect.high, -effect.low)
    if -negligible < low and high < negligible:
        return "not supported"
    if significant and high < 0:
        return "supported"
    if significant and low > 0:
        return "contradicted"
    return "not supported" if low > -negligible else "undecided"


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
