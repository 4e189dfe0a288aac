"""What the `facts` stage makes for one language."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.facts import solved
from neuron_atlas.raw_facts import Origin


@dataclass(frozen=True)
class Made:
    """A language's fact table, and the report on it.

    The report has the `source` (`raw_facts.Origin`), the folder of `templates` and, by relation in
    `relations`, counts of what was kept and dropped, of templates, and an `example`: a prompt with
    its answer.
    """

    table: pd.DataFrame
    report: Mapping[str, Any]


def made(
    table: pd.DataFrame,
    counts: Mapping[str, Mapping[str, Any]],
    *,
    origin: Origin,
    templates: Path,
) -> Made:
    """Put a table and its counts together, and add examples."""
    first = table.drop_duplicates("relation")
    examples = dict(
        zip(
            first["relation"],
            solved(first["prompt"], first["separator"], first["answer"]),
            strict=True,
        )
    )
    relations = {name: {**row, "example": examples.get(name)} for name, row in counts.items()}
    about = {"source": asdict(origin), "templates": templates.as_posix()}
    return Made(table, {**about, "relations": relations})
