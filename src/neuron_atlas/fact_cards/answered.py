"""How many facts of each relation the model was asked, and how many it knows."""

from pathlib import Path
from typing import NamedTuple

from neuron_atlas.pipeline import store


class Counts(NamedTuple):
    """Facts of one relation; those of the development subjects are not asked."""

    n_asked: int
    n_known: int


NOT_ASKED = {"n_asked": None, "n_known": None}  # of a language that has not come so far


def counts(recall: Path) -> dict[str, Counts]:
    """Return the counts by relation, of a language's recall table."""
    table = store.read_table(recall, ["fact", "relation", "known"]).drop_duplicates("fact")
    groups = table.groupby("relation")["known"]
    return {str(name): Counts(len(part), int(part.sum())) for name, part in groups}
