"""Find the neurons that carry a fact in several languages, against mismatched facts."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.language_neurons import build
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages


class Params(Section):
    """`language_neurons` section of params.yaml."""

    k: Annotated[int, Field(ge=1)]  # neurons of a fact's set in one language
    share: Annotated[float, Field(gt=0, le=1)]  # of the paraphrases in which a neuron counts
    min_languages: Annotated[int, Field(ge=2)] | Literal["all"]  # that share a neuron
    n_permutations: Annotated[int, Field(ge=19)]  # deals of the sets to other facts
    n_draws: Annotated[int, Field(ge=1)]  # matched random sets
    seed: int


def main(recall: Path, scores: Path, relations: Path, out: Path, /) -> None:
    """Write the language-independent neurons, their nulls, and the map of languages."""
    rule = build.SharingRule(**load("language_neurons", Params).model_dump())
    languages = load_languages()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    attributed = store.by_language(scores, languages)
    inputs = build.Inputs(
        scores={code: knowledge_sets.read_scores(folder) for code, folder in attributed.items()},
        recall={code: store.read_table(path) for code, path in recalls.items()},
        relations={code: relation_sets.read_sets(relations / code) for code in languages},
    )
    build.build(inputs, out, rule)


if __name__ == "__main__":
    run(main)
