"""Make the fact set of every language: prompts, answers and candidate sets."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.fact_sets import tables
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.fact_sets.tables import LanguageFacts
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages, load_seed
from neuron_atlas.recall.settings import Demonstrations
from neuron_atlas.wording import demonstrations

Params = Facts


class RecallParams(Section, extra="ignore"):
    """What the facts depend on in the `recall` section."""

    shots: int
    demonstrations: Demonstrations

    @property
    def most_shown(self) -> int:
        """The largest number of solved facts before a prompt."""
        second = self.demonstrations
        return max(self.shots, second.shots if second.blocks else 0)


def main(model_folder: Path, out: Path, asked: Path, report: Path, /) -> None:
    """Write each language's facts, what a model is asked, and counts of what was kept."""
    params, languages = load("facts", Params), load_languages()
    how, seed = load("recall", RecallParams), load_seed()
    with store.whole(out) as folder, store.whole(asked) as ask, store.whole(report) as counts:
        for code, one in _made(params, languages, model_folder, most_shown=how.most_shown):
            fact_table.write_facts(folder / f"{code}.parquet", one.table)
            questions = demonstrations.questions(one.table, shots=how.shots, seed=seed)
            store.write_table(ask / f"{code}.parquet", questions)
            store.write_json(counts / f"{code}.json", one.report)
            for notice in one.report.get("notices", ()):
                print(f"notice: {code}: {notice}", file=sys.stderr)


def _made(
    params: Params, languages: Sequence[str], model_folder: Path, *, most_shown: int
) -> Iterator[tuple[str, LanguageFacts]]:
    seed = load_seed()
    if params.source == "builtin":
        return builtin.make(params, languages, seed=seed)
    return tables.make(params, languages, seed=seed, shots=most_shown, model_folder=model_folder)


if __name__ == "__main__":
    run(main)
