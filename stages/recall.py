"""Ask the model every fact of one language."""

from functools import partial
from pathlib import Path

from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.recall import answers, demonstrations
from neuron_atlas.recall.settings import Asking

Params = Asking


def main(model_folder: Path, facts_file: Path, out: Path, demonstrated: Path, /) -> None:
    """Write one row per prompt: the answer's log-probability, rank, and whether it is right.

    `demonstrated` has the held-out facts after demonstrations, in several blocks.
    """
    params, seed = load("recall", Params), load_seed()
    table = fact_table.read_facts(facts_file)
    asked = answers.with_demonstrations(table, shots=params.shots, seed=seed)
    lm = language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, facts_file]
    blocks = demonstrations.in_blocks(table, **params.demonstrations.model_dump(), seed=seed)
    keys = [
        checkpoints.key(f"{name} {out.stem}", inputs, {**params.model_dump(), "seed": seed})
        for name in ("recall", "demonstrations")
    ]
    ranks = (params.exact_ranks, params.exact_ranks and 1)  # nobody compares the second's ranks
    scored, shown = (
        checkpoints.in_parts(prompts, partial(answers.score, lm, exact=exact), key=key, size=64)
        for prompts, exact, key in zip((asked, blocks), ranks, keys, strict=True)
    )
    precise = language_model.in_float32(lm, model_folder)
    reference = None if precise is lm else precise
    scored = answers.with_reference(scored, reference, n=params.n_reference, seed=seed)
    store.write_table(out, answers.with_known(scored))
    store.write_table(demonstrated, answers.with_known(shown))
    for key in keys:
        checkpoints.done(key)


if __name__ == "__main__":
    run(main)
