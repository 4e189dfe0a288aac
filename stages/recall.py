"""Ask the model every fact of one language."""

from functools import partial
from pathlib import Path

from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load
from neuron_atlas.recall import answers
from neuron_atlas.recall.settings import Asking

Params = Asking


def main(model_folder: Path, facts_file: Path, out: Path, /) -> None:
    """Write one row per prompt: the answer's log-probability, rank, and whether it is right."""
    params = load("recall", Params)
    table = fact_table.read_facts(facts_file)
    asked = answers.with_demonstrations(table, shots=params.shots, seed=params.seed)
    lm = language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, facts_file]
    key = checkpoints.key(f"recall {out.stem}", inputs, params.model_dump())
    score = partial(answers.score, lm, exact=params.exact_ranks)
    scored = checkpoints.in_parts(asked, score, key=key, size=64)
    exact = language_model.in_float32(lm, model_folder)
    reference = None if exact is lm else exact
    scored = answers.with_reference(scored, reference, n=params.n_reference, seed=params.seed)
    store.write_table(out, answers.with_known(scored))
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
