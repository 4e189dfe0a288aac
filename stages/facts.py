"""Make the fact set of every language: prompts, answers and candidate sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages
from neuron_atlas.sources import aligned_facts, readers, tables
from neuron_atlas.sources.limits import Limits
from neuron_atlas.sources.tables import LanguageFacts

Count = Annotated[int, Field(ge=1)]
Allowed = Literal["label_is_id", "same_label", "copy", "mixed_scripts"]


class Hub(Section):
    """`facts.hub`: a data set of the Hugging Face hub."""

    dataset: str  # owner/name
    revision: str  # commit, 40 hex digits
    subset: str | None
    split: str
    columns: dict[str, str]  # ours (relation, language, subject, object, ...) to the data set's


class Params(Section):
    """`facts` section of params.yaml."""

    source: Literal["builtin", "mlama", "lre", "jsonl", "csv", "hub"]
    relations: Annotated[list[str], Field(min_length=1)] | None  # null: all, or builtin.DEFAULT
    max_per_relation: Annotated[int, Field(ge=4)] | None  # facts; null keeps all
    max_candidates: Annotated[int, Field(ge=2)]  # possible answers of a relation
    max_majority_share: Annotated[float, Field(gt=0, le=1)]  # of facts with the same answer
    paraphrases: Count  # templates a relation, first ones first
    templates: str  # folder of templates: <language>.yaml, or mParaRel's patterns
    development_share: Annotated[float, Field(ge=0, lt=1)]  # of subjects; the rest is halved
    seed: int  # of the choice of facts and of the split
    # What follows concerns all sources but builtin.
    path: str  # folder, archive or file that is read
    hub: Hub | None
    min_languages: Count | Literal["all"]  # that need to have a fact
    min_per_relation: Annotated[int, Field(ge=4)]  # facts; smaller relations are left out
    max_answer_tokens: Count | None  # null keeps answers of any length
    allow: list[Allowed]  # reasons for which a fact stays nevertheless
    stand_in: bool  # a template of ours where a relation has none that a decoder can be asked with

    def plan(self, *, shots: int) -> aligned_facts.FactPlan:
        """How many facts are kept, enough to show `shots` of them."""
        limits = Limits(self.max_per_relation, self.max_candidates, self.max_majority_share)
        return aligned_facts.FactPlan(
            limits, self.min_per_relation, shots, self.development_share, self.seed
        )

    def from_source(self) -> readers.FactSource:
        """Where facts that are not built in come from."""
        if self.source == "builtin":
            raise ValueError("the built-in facts are not read from files")
        hub = None if self.hub is None else readers.Hub(**self.hub.model_dump())
        return readers.FactSource(self.source, Path(self.path), Path(self.templates), hub)

    def choice(self, n_languages: int, *, shots: int) -> tables.Choice:
        """Which of a source's facts and templates are used."""
        least = n_languages if self.min_languages == "all" else self.min_languages
        return tables.Choice(
            relations=self.relations,
            min_languages=least,
            most_tokens=self.max_answer_tokens,
            allowed=tuple(self.allow),
            stand_in=self.stand_in,
            paraphrases=self.paraphrases,
            plan=self.plan(shots=shots),
        )


class RecallParams(Section, extra="ignore"):
    """What the `recall` section asks of the facts."""

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
        return builtin.make(
            languages,
            params.relations,
            plan=params.plan(shots=shots),
            paraphrases=params.paraphrases,
            templates_folder=Path(params.templates),
        )
    return tables.make(
        params.from_source(),
        languages,
        params.choice(len(languages), shots=shots),
        model_folder=model_folder,
    )


if __name__ == "__main__":
    run(main)
