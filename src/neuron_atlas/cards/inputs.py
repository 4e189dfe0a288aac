"""Read what the earlier stages left of the neurons, for the cards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.activations.files import Recorded
from neuron_atlas.model.architectures import Site
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.neurons.relation_sets import POOLED, RelationSets
from neuron_atlas.pipeline import store

SETS, PAIRS, MEASUREMENTS, META = (
    "sets.parquet",
    "pairs.parquet",
    "measurements.parquet",
    "meta.json",
)


@dataclass(frozen=True)
class Folders:
    """The folders that the earlier stages left, and last the one that is made."""

    model: Path
    recall: Path
    activations: Path
    relation_neurons: Path
    attributions: Path
    attribution_methods: Path
    language_neurons: Path
    language_specific: Path
    degenerate_neurons: Path
    cards: Path

    def files(self, languages: Sequence[str]) -> Iterator[Path]:
        """Yield all files that are read, but for values and weights, which others identify."""
        for code in languages:
            yield self.recall / f"{code}.parquet"
            yield from (self.activations / code, self.degenerate_neurons / code)
            yield from (self.attributions / code, self.attribution_methods / code)
        yield from (self.model, self.language_neurons, self.language_specific / SETS)
        for source in [*languages, POOLED]:
            yield from (
                self.relation_neurons / source / name for name in (SETS, "size.safetensors")
            )


@dataclass(frozen=True)
class Inputs:
    """What the earlier stages left.

    Attributes:
        recalled: Recall tables by language, in the order of the languages.
        values: Recorded values by language.
        relation_table: The sets of relation neurons of all sources, with their scores.
        relation_sets: The same by source: each language, and `pooled`.
        attributed: Attribution scores by language.
        independent: Language-independent neurons of facts.
        independent_relations: Those of relations.
        specific: Language-specific neurons.
        degenerate: Sets of neurons that stand in for one another, by language.
        pairs: The pairs that were measured on the way, by language.
        ablated: What single neurons' ablation cost in `attribution_methods`, by language.
        target: In what the last is counted; see `attributions.settings.Target`.
    """

    recalled: Mapping[str, pd.DataFrame]
    values: Mapping[str, Recorded]
    relation_table: pd.DataFrame
    relation_sets: Mapping[str, RelationSets]
    attributed: Mapping[str, pd.DataFrame]
    independent: pd.DataFrame
    independent_relations: pd.DataFrame
    specific: pd.DataFrame
    degenerate: Mapping[str, pd.DataFrame]
    pairs: Mapping[str, pd.DataFrame]
    ablated: Mapping[str, pd.DataFrame]
    target: str

    @property
    def languages(self) -> list[str]:
        """The languages."""
        return list(self.recalled)

    @property
    def sources(self) -> list[str]:
        """The languages, and all of them pooled."""
        return [*self.recalled, POOLED]

    @property
    def site(self) -> Site:
        """Which values of the MLP the relation neurons are; see `architectures.Site`."""
        site: Site = next(iter(self.values.values())).meta["site"]
        return site

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and neurons per layer."""
        n_layers, n_neurons = self.relation_sets[POOLED].size.shape
        return n_layers, n_neurons

    @property
    def of_relations(self) -> "Inputs":
        """The same without all sets that are not of relations."""
        return replace(
            self,
            attributed={},
            independent=self.independent[:0],
            independent_relations=self.independent_relations[:0],
            specific=self.specific[:0],
            degenerate={},
            pairs={},
            ablated={},
        )


def read_inputs(folders: Folders, languages: Sequence[str]) -> Inputs:
    """Read the outputs of the earlier stages.

    Where relation neurons are raw outputs of the down-projection (the site `down`), hidden units
    are other neurons: the sets of all other kinds are left out.

    Raises:
        ValueError: a file is missing or unreadable; the message names it.
    """
    given = _read(folders, languages)
    return given.of_relations if given.site == "down" else given


def _read(folders: Folders, languages: Sequence[str]) -> Inputs:
    recalled = {
        code: store.read_table(path)
        for code, path in store.by_language(folders.recall, languages, suffix=".parquet").items()
    }
    values = store.by_language(folders.activations, languages)
    attributed = store.by_language(folders.attributions, languages)
    methods = store.by_language(folders.attribution_methods, languages)
    degenerate = store.by_language(folders.degenerate_neurons, languages)
    found = {
        source: relation_sets.read_sets(folders.relation_neurons / source)
        for source in [*languages, POOLED]
    }
    about: Mapping[str, Any] = store.read_json(next(iter(methods.values())) / META)
    return Inputs(
        recalled=recalled,
        values={code: Recorded(path, recalled[code]) for code, path in values.items()},
        relation_table=_joined(folders.relation_neurons / source / SETS for source in found),
        relation_sets=found,
        attributed={code: knowledge_sets.read_scores(path) for code, path in attributed.items()},
        independent=store.read_table(folders.language_neurons / SETS),
        independent_relations=store.read_table(folders.language_neurons / "relations.parquet"),
        specific=store.read_table(folders.language_specific / SETS),
        degenerate={code: store.read_table(path / SETS) for code, path in degenerate.items()},
        pairs={code: store.read_table(path / PAIRS) for code, path in degenerate.items()},
        ablated={code: store.read_table(path / MEASUREMENTS) for code, path in methods.items()},
        target=str(about["target"]),
    )


def _joined(paths: Iterator[Path]) -> pd.DataFrame:
    tables = [table for path in paths if len(table := store.read_table(path))]
    columns = ["source", "relation", "rank", "neuron", "score"]
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )
