"""Find one language's neurons that can replace one another, and check facts with them."""

from pathlib import Path

from neuron_atlas.degenerate_neurons import contexts, fact_checking, search, settings
from neuron_atlas.degenerate_neurons.claims import CLAIMS, META
from neuron_atlas.degenerate_neurons.degeneracy import PAIRS, SETS
from neuron_atlas.degenerate_neurons.suppression import FactPrompts
from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.scoring.settings import Scoring

Params = settings.DegenerateNeurons


def main(
    model_folder: Path,
    recall_file: Path,
    facts_file: Path,
    scores: Path,
    sizes: Path,
    out: Path,
    /,
    *,
    language: str,
) -> None:
    """Write the pairs, the found sets, the claims with each detector's score, and `meta.json`."""
    params, seed = load("degenerate_neurons", Params), load_seed()
    scoring = load("scoring", Scoring)
    stored, source = knowledge_sets.read_scores(scores), relation_sets.read_sets(sizes)
    recalled, lm = store.read_table(recall_file), language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, recall_file, facts_file]
    inputs += [path for folder in (scores, sizes) for path in sorted(folder.iterdir())]
    settings = {**params.model_dump(), **scoring.model_dump(), "seed": seed}
    key = checkpoints.key(f"pairs {language}", inputs, settings)
    asked = recalled[recalled["fact"].isin(stored["fact"])]
    shown = contexts.after_demonstrations(
        asked, fact_table.read_facts(facts_file), shots=params.rule.shots, seed=seed
    )
    prompts = FactPrompts(lm, asked, shown, tolerance=scoring.tolerance)
    found = search.find_sets(prompts, recalled, stored, source, params, seed=seed, key=key)
    checked = fact_checking.check_facts(lm, recalled, found.sets, stored, source, params, seed=seed)
    with store.whole(out) as folder:
        store.write_table(folder / PAIRS, found.pairs)
        store.write_table(folder / SETS, found.sets)
        store.write_table(folder / CLAIMS, checked.claims)
        store.write_json(folder / META, {**params.model_dump(), **checked.meta})
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
