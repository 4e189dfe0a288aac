"""Make the fact set of every language: prompts, answers and candidate sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages
from neuron_atlas.sources import tables
from neuron_atlas.sources.settings import Facts
from neuron_atlas.sources.tables import LanguageFacts

Params = Facts


class RecallParams(Section, extra="ignore"):
    """What the facts depend on in the `recall` section."""

    shots: int


def main(model_folder: Path, out: Path, report: Path, /) -> None:
    """Write each language's facts, and the counts of what was kept and dropped."""
    params, languages = load("facts", Params), load_languages()
    with store.whole(out) as folder, store.whole(report) as counts:
        for code, one in _made(params, languages, model_folder):
            fact_table.write_facts(folder / f"{code}.parquet", one.table)
            store.write_json(counts / f"{code}.json", one.report)


def _made(
    params: Params, languages: Sequence[str], model_folder: Path
) -> Iterator[tuple[str, LanguageFacts]]:
    shots = load("recall", RecallParams).shots
    if params.source == "builtin":
        return builtin.make(params, languages)
    return tables.make(params, languages, shots=shots, model_folder=model_folder)


if __name__ == "__main__":
    run(main)
