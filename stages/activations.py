"""Record the neuron values of every fact that is answered right at least once, in one language."""

from pathlib import Path

from neuron_atlas.activations import extraction
from neuron_atlas.activations.settings import Recording
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load
from neuron_atlas.scoring import prompt_choice

Params = Recording


def main(model_folder: Path, answers_file: Path, out: Path, /) -> None:
    """Write one safetensors file per layer, and the table of the prompts in their rows."""
    params = load("activations", Params)
    prompts = prompt_choice.answered_prompts(store.read_table(answers_file))
    lm = language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, answers_file]
    key = checkpoints.key(f"activations {out.name}", inputs, params.model_dump())
    extraction.save(
        lm,
        prompts,
        out,
        site=params.site,
        pooling=params.pooling,
        place=checkpoints.parts_folder(key),
    )
    checkpoints.done(key)


if __name__ == "__main__":
    run(main)
