"""Say of each answer in which half its fact is, and ask one language after demonstrations."""

from functools import partial
from pathlib import Path

from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_seed
from neuron_atlas.recall import answers
from neuron_atlas.recall.settings import Asking
from neuron_atlas.wording import demonstrations

Params = Asking


def main(
    model_folder: Path, facts_file: Path, answers_file: Path, out: Path, demonstrated: Path, /
) -> None:
    """Write the answers with their halves, and the held-out facts after demonstrations."""
    params, seed = load("recall", Params), load_seed()
    table = fact_table.read_facts(facts_file)
    recalled = answers.with_halves(store.read_table(answers_file), table)
    blocks = demonstrations.in_blocks(table, **params.demonstrations.model_dump(), seed=seed)
    inputs = [Path(__file__), model_folder, facts_file]
    settings = {**params.model_dump(), "seed": seed}
    key = checkpoints.key(f"recall {out.stem}", inputs, settings)
    exact = params.exact_ranks and 1  # nobody compares these ranks
    ask = partial(answers.score, language_model.load(model_folder), exact=exact)
    shown = checkpoints.in_parts(blocks, ask, key=key, size=64)
    store.write_table(out, recalled)
    store.write_table(demonstrated, answers.with_known(shown))
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
