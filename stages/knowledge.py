"""Join the languages' knowledge neurons: estimates, tests and verdicts."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.findings import knowledge
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages

Positive = Annotated[float, Field(gt=0)]


class Params(Section):
    """`knowledge` section of params.yaml."""

    negligible_nats: Positive  # changes of log-probability below this do not matter
    negligible_neurons: Positive  # neurons a fact
    negligible_rate: Positive  # share of pairs
    negligible_auroc: Positive  # area under the curve
    n_resamples: Annotated[int, Field(ge=100)]  # of the bootstrap over facts, and of signs
    seed: int


def main(
    attributions: Path,
    selection: Path,
    language_neurons: Path,
    degenerate_neurons: Path,
    editing: Path,
    out: Path,
    /,
) -> None:
    """Write `summary.json` and the tables that the report shows."""
    params, languages = load("knowledge", Params), load_languages()
    measured = knowledge.Measured(
        attributions=store.by_language(attributions, languages),
        selection=store.by_language(selection, languages, suffix=".parquet"),
        language_neurons=language_neurons,
        degenerate_neurons=store.by_language(degenerate_neurons, languages),
        editing=editing,
    )
    limits = knowledge.Negligible(
        nats=params.negligible_nats,
        neurons=params.negligible_neurons,
        rate=params.negligible_rate,
        auroc=params.negligible_auroc,
    )
    knowledge.write_summary(
        measured, out, limits=limits, n_resamples=params.n_resamples, seed=params.seed
    )


if __name__ == "__main__":
    run(main)
