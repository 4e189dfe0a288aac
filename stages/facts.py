"""Make the fact set of one language: prompts, answers and candidate sets."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas import builtin, command, facts, store, templates
from neuron_atlas.params import Section, load
from neuron_atlas.selection import Limits


class Params(Section):
    """`facts` section of params.yaml."""

    source: Literal["builtin"]  # CLDR and GeoNames, from installed packages
    relations: Annotated[list[str], Field(min_length=1)]  # names in neuron_atlas.world.RELATIONS
    max_per_relation: Annotated[int, Field(ge=4)]  # facts, most prominent subjects first
    max_candidates: Annotated[int, Field(ge=2)]  # possible answers of a relation
    max_majority_share: Annotated[float, Field(gt=0, le=1)]  # of facts with the same answer
    paraphrases: Annotated[int, Field(ge=1)]  # templates a relation, in their file's order
    development_share: Annotated[float, Field(ge=0, lt=1)]  # of subjects; the rest is halved
    seed: int  # of the split


def main(table: Path, report: Path, /, *, language: str) -> None:
    """Write the facts of one language and the counts of what was kept and dropped."""
    params = load("facts", Params)
    texts = templates.load(language)
    limits = Limits(params.max_per_relation, params.max_candidates, params.max_majority_share)
    found, counts = builtin.build(
        language,
        params.relations,
        limits=limits,
        development_share=params.development_share,
        seed=params.seed,
    )
    facts.write(
        table, facts.build(found, texts.first(params.paraphrases), separator=texts.separator)
    )
    store.write_json(report, counts)


if __name__ == "__main__":
    command.run(main)
