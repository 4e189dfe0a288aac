"""Find the neurons that respond to each relation, in each language and over all of them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline import params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section
from neuron_atlas.relation_neurons import build


class Params(Section):
    """`relation_neurons` section of params.yaml."""

    k: Annotated[int, Field(ge=1)]  # neurons of a set
    templates: Literal["min", "mean"]  # score over a relation's paraphrases
    min_facts: Annotated[int, Field(ge=1)]  # known facts in each half of the subjects
    massive: Annotated[float, Field(gt=1)]  # times the layer's median largest activation
    exclude_massive: bool  # leave massive units out of sets and controls
    n_permutations: Annotated[int, Field(ge=1)]  # of the prompts' labels, for the null
    n_null_neurons: Annotated[int, Field(ge=1)]  # sampled in each layer for the null
    n_draws: Annotated[int, Field(ge=2)]  # matched random sets
    seed: int


def main(activations: Path, out: Path, /) -> None:
    """Write `sets.parquet`, `summary.json` and the activation sizes that controls match."""
    settings = params.load("relation_neurons", Params)
    folders = store.by_language(activations, params.load_languages())
    build.build(folders, out, **settings.model_dump())


if __name__ == "__main__":
    run(main)
