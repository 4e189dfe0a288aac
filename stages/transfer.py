"""Switch off every language's relation neurons, and ask every language's held-out facts."""

from pathlib import Path

from neuron_atlas.interventions import arms
from neuron_atlas.interventions.interference import LanguageWork
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.interventions.transfer import measure_languages
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages


def main(model_folder: Path, recall: Path, values: Path, sets: Path, out: Path, /) -> None:
    """Write one row per (language, fact, arm)."""
    params, languages = load("interference", Interference), load_languages()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    folders = store.by_language(values, languages)
    found = {name: relation_sets.read_sets(sets / name) for name in (*languages, POOLED)}
    works = {}
    for language, file in recalls.items():
        inputs = [Path(__file__), model_folder, file, folders[language], *sorted(sets.glob("*/*"))]
        key = checkpoints.key(f"transfer {language}", inputs, params.model_dump())
        works[language] = LanguageWork(folders[language], key, size=16)
    plan, lm = arms.transfer_arms(found, params), language_model.load(model_folder)
    store.write_table(out, measure_languages(lm, plan, recalls, params, works))
    for work in works.values():
        checkpoints.done(work.key)


if __name__ == "__main__":
    run(main)
