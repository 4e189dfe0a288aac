"""Compare attribution methods with the exact ablation of single neurons, in one language."""

from pathlib import Path

from neuron_atlas.attribution_methods import measuring
from neuron_atlas.attribution_methods.settings import MethodComparison
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.model import language_model
from neuron_atlas.neurons.knowledge_sets import META
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed

Params = MethodComparison


def main(
    model_folder: Path, recall_file: Path, attributed: Path, out: Path, /, *, language: str
) -> None:
    """Write every method's scores, the exact drops, and the targets with sets kept and taken."""
    params, seed = load("attribution_methods", Params), load_seed()
    steps = store.read_json(attributed / META).get("steps")  # as many as it found to be enough
    plan = load("attributions", AttributionPlan).model_copy(update={"steps": steps})
    comparison = measuring.Comparison(
        lm=language_model.load(model_folder),
        recalled=store.read_table(recall_file),
        plan=plan,
        how=params,
        language=language,
        seed=seed,
    )
    inputs = [Path(__file__), model_folder, recall_file, attributed / META]
    settings = {**params.model_dump(), "plan": plan.model_dump(), "seed": seed}
    key = checkpoints.key(f"attribution_methods {language}", inputs, settings)
    measuring.write(comparison.measured(key=key), out, comparison)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
