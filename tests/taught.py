"""Write the encoder of `toy.py` and its recall tables: `python tests/taught.py FOLDER`."""

import sys
from pathlib import Path

import toy
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from saved import save


def write(folder: Path) -> None:
    """Train the encoder and ask it all its facts, as the stages `model` and `answers` do."""
    save(toy.encoder(), folder / "model")
    lm = language_model.load(folder / "model", device="cpu")
    for language in toy.LANGUAGES:
        found = answers.with_known(answers.score(lm, toy.fact_table(language)))
        store.write_table(folder / "recall" / f"{language}.parquet", found)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
