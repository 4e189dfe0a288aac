"""One language's recorded values, and what controls need to know of its relations."""

from collections.abc import Mapping
from dataclasses import dataclass

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.arms.replacements import off_values, selecting_values
from neuron_atlas.arms.settings import Interference
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline.streams import Name


@dataclass(frozen=True)
class LanguageWork:
    """One language's recorded values, and how its measurements are resumed.

    Attributes:
        language: Its code.
        values: Its recorded values.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """

    language: str
    values: Recorded
    key: str


def asked_relations(
    lm: LanguageModel,
    how: Interference,
    work: LanguageWork,
    relations: list[str],
    *,
    names: tuple[Name, ...],
    seed: int,
) -> Mapping[str, Asked]:
    """Return what controls need to know of each relation that has a right identification prompt."""
    selecting = selecting_values(work.values, relations)
    if not selecting:  # nothing to take a mean of either
        return {}
    writing = Writing(lm, work.values.meta["site"])
    tables = off_values(work.values, how.value, seed=seed)
    return {
        relation: Asked(
            relation=relation,
            clean=CleanValues(writing, values),
            tables=tables,
            names=(*names, work.language, relation),
            seed=seed,
        )
        for relation, values in selecting.items()
    }
