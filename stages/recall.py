"""Ask the model every fact of one language."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas import facts, model, recall, store, work
from neuron_atlas.command import run
from neuron_atlas.params import Section, load


class Params(Section):
    """`recall` section of params.yaml."""

    shots: Annotated[int, Field(ge=0)]  # solved development facts before each prompt
    seed: int  # of the choice of demonstrations, and of the prompts asked again in float32
    n_reference: Annotated[int, Field(ge=0)]  # prompts asked again in float32


def main(model_folder: Path, facts_file: Path, out: Path, /) -> None:
    """Write one row a prompt: the answer's log-probability, rank, and whether it is right."""
    params = load("recall", Params)
    table = facts.read(facts_file)
    asked = recall.with_demonstrations(table, shots=params.shots, seed=params.seed)
    lm = model.load(model_folder)
    inputs = [Path(__file__), model_folder, facts_file]
    key = work.key(f"recall {out.stem}", inputs, params.model_dump())
    scored = work.in_parts(asked, lambda part: recall.score(lm, part), key=key, size=256)
    exact = model.exact(lm, model_folder)
    reference = None if exact is lm else exact
    scored = recall.with_reference(scored, reference, n=params.n_reference, seed=params.seed)
    store.write_table(out, recall.with_known(scored))
    work.done(key)


if __name__ == "__main__":
    run(main)
