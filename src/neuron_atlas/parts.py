"""What one analysis contributes to the summary: numbers, verdicts and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from neuron_atlas.verdicts import Verdict


@dataclass(frozen=True)
class Part:
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
