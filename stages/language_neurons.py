"""Find the neurons that carry a fact in several languages, against mismatched facts."""

from pathlib import Path

from neuron_atlas.language_neurons import build
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed

Params = SharingRule


def main(recall: Path, scores: Path, relations: Path, out: Path, /) -> None:
    """Write the language-independent neurons, their nulls, and the map of languages."""
    rule = load("language_neurons", Params)
    languages = load_languages()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    attributed = store.by_language(scores, languages)
    inputs = build.Inputs(
        scores={code: knowledge_sets.read_scores(folder) for code, folder in attributed.items()},
        recall={code: store.read_table(path) for code, path in recalls.items()},
        relations={code: relation_sets.read_sets(relations / code) for code in languages},
    )
    build.build(inputs, out, rule, seed=load_seed())


if __name__ == "__main__":
    run(main)
