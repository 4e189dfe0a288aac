"""Switch off every language's relation neurons, and ask every language's held-out facts."""

from itertools import product
from pathlib import Path

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.settings import Interference
from neuron_atlas.interventions.transfer import Pairs, measure_pairs, source_groups
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.language_sets import SETS, read_language_sets
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed
from neuron_atlas.scoring.settings import Scoring


def main(
    model_folder: Path, recall: Path, values: Path, sets: Path, specific: Path, out: Path, /
) -> None:
    """Write one row per (language, fact, arm)."""
    params, languages = load("interference", Interference), load_languages()
    scoring, seed = load("scoring", Scoring), load_seed()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    folders = store.by_language(values, languages)
    found = {name: relation_sets.read_sets(sets / name) for name in (*languages, POOLED)}
    settings, pairs = {**params.model_dump(), **scoring.model_dump(), "seed": seed}, []
    recorded = {
        code: Recorded(folders[code], store.read_table(path)) for code, path in recalls.items()
    }
    for target, sources in product(languages, source_groups(languages)):
        inputs = [Path(__file__), model_folder, recalls[target], folders[target]]
        inputs += [path for name in sources for path in sorted((sets / name).iterdir())]
        key = checkpoints.key(f"transfer {target} {'+'.join(sources)}", inputs, settings)
        pairs.append(Pairs(sources, recalls[target], LanguageWork(target, recorded[target], key)))
    own = read_language_sets(specific)
    for target in languages:
        inputs = [Path(__file__), model_folder, recalls[target], folders[target], specific / SETS]
        inputs += [path for name in languages for path in sorted((sets / name).iterdir())]
        key = checkpoints.key(f"transfer {target} specific", inputs, settings)
        work = LanguageWork(target, recorded[target], key)
        pairs.append(Pairs(tuple(languages), recalls[target], work, own))
    lm = language_model.load(model_folder)
    table = measure_pairs(lm, pairs, found, params, seed=seed, tolerance=scoring.tolerance)
    store.write_table(out, table)
    checkpoints.keep_only("transfer", [one.work.key for one in pairs])


if __name__ == "__main__":
    run(main)
