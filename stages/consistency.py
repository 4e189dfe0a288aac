"""Compare the languages' answers to the same facts."""

from pathlib import Path

from neuron_atlas.findings import consistency
from neuron_atlas.pipeline import params, store
from neuron_atlas.pipeline.command import run


def main(recall: Path, out: Path, /) -> None:
    """Write agreement across paraphrases and languages, and the precision's error."""
    files = store.by_language(recall, params.load_languages(), suffix=".parquet")
    tables = {language: store.read_table(path) for language, path in files.items()}
    store.write_json(out, consistency.measure_consistency(tables))


if __name__ == "__main__":
    run(main)
