"""Attribute one language's known facts to every neuron, and keep the strongest."""

from pathlib import Path

from neuron_atlas.attributions import strongest
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load
from neuron_atlas.scoring import prompt_choice

Params = AttributionPlan


def main(model_folder: Path, recall_file: Path, out: Path, /) -> None:
    """Write each prompt's strongest neurons by every method, and the completeness error."""
    plan = params = load("attributions", Params)
    found = None
    rows = prompt_choice.first_known(store.read_table(recall_file), max_facts=params.max_facts)
    lm = language_model.load(model_folder)
    if rows.empty:  # the language is left out of what follows
        strongest.write(strongest.nothing(), out, plan=plan, found=None, lm=lm)
        return
    mean = strongest.baseline_mean(lm, rows, plan.baseline)
    if plan.steps is None:  # evaluations do not make up for what a precision rounds
        exact = language_model.in_float32(lm, model_folder)
        steps, found = strongest.fewest_steps(exact, rows, plan, mean)
        plan = plan.model_copy(update={"steps": steps})
    inputs = [Path(__file__), model_folder, recall_file]
    key = checkpoints.key(f"attributions {out.name}", inputs, params.model_dump())
    ordered, sizes = strongest.in_batches(lm, rows, plan)
    table = checkpoints.in_parts(
        ordered, lambda batch: strongest.attribute(lm, batch, plan, mean), key=key, size=sizes
    )
    strongest.write(table, out, plan=plan, found=found, lm=lm)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
