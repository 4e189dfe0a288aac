"""Ask the model every fact of one language."""

import sys
from functools import partial
from pathlib import Path

from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Count, Section, load
from neuron_atlas.recall import answers


class Params(Section, extra="ignore"):
    """What the answers depend on in the section `recall`, besides the questions."""

    exact_ranks: Count | None
    n_reference: int


def main(model_folder: Path, questions: Path, out: Path, /) -> None:
    """Write one row per prompt: the answer's log-probability, rank, and whether it is right."""
    params = load("recall", Params)
    asked = store.read_table(questions)
    lm = language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, questions]
    key = checkpoints.key(f"answers {out.stem}", inputs, params.model_dump())
    ask = partial(answers.score, lm, exact=params.exact_ranks)
    scored = checkpoints.in_parts(asked, ask, key=key, size=64)
    precise = language_model.in_float32(lm, model_folder)
    reference = None if precise is lm else precise
    scored = answers.with_reference(scored, reference, n=params.n_reference)
    store.write_table(out, answers.with_known(scored))
    if not scored["correct"].any():
        print(f"notice: {out.stem}: no prompt is answered right; it is left out", file=sys.stderr)
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
