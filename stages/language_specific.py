"""Find the neurons that are active in one language, and switch them off in all languages."""

from pathlib import Path

from neuron_atlas.language_specific import experiment, texts
from neuron_atlas.language_specific.settings import LanguageSpecific
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages, load_seed

Params = LanguageSpecific


def main(model_folder: Path, recall: Path, out: Path, /) -> None:
    """Write each language's neurons, and what texts and answers lose without them."""
    params, languages, seed = load("language_specific", Params), load_languages(), load_seed()
    recalls = store.by_language(recall, languages, suffix=".parquet")
    lines = texts.read_lines(params, languages, model_folder / "tokenizer.json")
    files = [params.texts / f"{code}.txt" for code in languages] if lines is not None else []
    inputs = [Path(__file__), model_folder, *recalls.values(), *files]
    settings = {**params.model_dump(), "seed": seed}
    key = checkpoints.key("language_specific", inputs, settings)
    given = experiment.Inputs(
        {code: store.read_table(path) for code, path in recalls.items()}, lines
    )
    lm = language_model.load(model_folder)
    experiment.run(lm, given, out, params, seed=seed, key=key)


if __name__ == "__main__":
    run(main)
