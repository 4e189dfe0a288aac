"""Join the languages' knowledge neurons: estimates, tests and verdicts."""

from pathlib import Path

from neuron_atlas.knowledge_findings import knowledge
from neuron_atlas.knowledge_findings.settings import Conclusions
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed

Params = Conclusions


def main(
    attributions: Path,
    attribution_methods: Path,
    selection: Path,
    language_neurons: Path,
    degenerate_neurons: Path,
    editing: Path,
    language_specific: Path,
    relation_neurons: Path,
    out: Path,
    /,
) -> None:
    """Write `summary.json` and the tables that the report shows."""
    params, languages = load("knowledge", Params), load_languages()
    measured = knowledge.Measured(
        attributions=store.by_language(attributions, languages),
        attribution_methods=store.by_language(attribution_methods, languages),
        selection=store.by_language(selection, languages, suffix=".parquet"),
        language_neurons=language_neurons,
        degenerate_neurons=store.by_language(degenerate_neurons, languages),
        editing=editing,
        language_specific=language_specific,
        relation_neurons={code: relation_neurons / code for code in languages},
    )
    knowledge.write_summary(measured, out, params, seed=load_seed())


if __name__ == "__main__":
    run(main)
