"""Change facts in every language through neurons found in a few, and measure what follows."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.editing import experiment
from neuron_atlas.editing.descent import Descent
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class Params(Section):
    """`editing` section of params.yaml."""

    n_sources: Annotated[int, Field(ge=2)]  # languages in which a fact's neurons are looked for
    max_facts: Count  # a relation
    neurons: Annotated[int, Field(ge=2)]  # of every arm's set
    n_unrelated: Count  # prompts of other relations a fact
    n_draws: Count  # matched random sets a fact
    steps: Count  # of the search for an edit
    rate: Positive  # longest step, of the length of the edited vectors
    margin: Positive  # nats by which the new answer is to exceed the old
    max_norm: Positive  # largest change of a vector, of its length
    seed: int


def main(model_folder: Path, recall: Path, scores: Path, relations: Path, out: Path, /) -> None:
    """Write what suppressing, enhancing and editing each arm's neurons does."""
    params, languages = load("editing", Params), load_languages()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    attributed = store.by_language(scores, languages)
    sizes = {language: relations / language for language in languages}
    inputs = [Path(__file__), model_folder, *recalls.values()]
    for folder in (*attributed.values(), *sizes.values()):
        inputs += sorted(folder.iterdir())
    experiment.run(
        language_model.load(model_folder),
        recalls,
        attributed,
        sizes,
        out,
        n_sources=params.n_sources,
        max_facts=params.max_facts,
        m=params.neurons,
        n_unrelated=params.n_unrelated,
        n_draws=params.n_draws,
        how=Descent(params.steps, params.rate, params.margin, params.max_norm),
        seed=params.seed,
        key=checkpoints.key("editing", inputs, params.model_dump()),
    )


if __name__ == "__main__":
    run(main)
