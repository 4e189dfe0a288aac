"""From a source to the fact table and the report of each language."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field
from tokenizers import Tokenizer

from neuron_atlas.facts import fact_table
from neuron_atlas.facts.fact_table import solved
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import Count
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources import aligned_facts, readers
from neuron_atlas.sources.aligned_facts import FactPlan, FactSets
from neuron_atlas.sources.alignment import align
from neuron_atlas.sources.raw import Origin, Raw
from neuron_atlas.sources.readers import FactSource
from neuron_atlas.wording import prompts
from neuron_atlas.wording.prompts import Prompts
from neuron_atlas.wording.templates import stand_ins

Allowed = Literal["label_is_id", "same_label", "copy", "mixed_scripts"]


@dataclass(frozen=True)
class LanguageFacts:
    """A language's fact table, and the report on it.

    The report has the `source` (`raw.Origin`), the folder of `templates` and, by relation in
    `relations`, counts of what was kept and dropped, of templates, and an `example`: a prompt with
    its answer.
    """

    table: pd.DataFrame
    report: Mapping[str, Any]


def with_report(
    table: pd.DataFrame,
    counts: Mapping[str, Mapping[str, Any]],
    *,
    origin: Origin,
    templates: Path,
) -> LanguageFacts:
    """Put a table and its counts together, and add examples."""
    first = table.drop_duplicates("relation")
    examples = dict(
        zip(
            first["relation"],
            solved(first["prompt"], first["separator"], first["answer"]),
            strict=True,
        )
    )
    relations = {name: {**row, "example": examples.get(name)} for name, row in counts.items()}
    about = {"source": asdict(origin), "templates": templates.as_posix()}
    return LanguageFacts(table, {**about, "relations": relations})


class Facts(FactSource, FactPlan):
    """Where facts come from, and which of them and of their templates are used."""

    relations: Annotated[list[str], Field(min_length=1)] | None
    """Names; `null` takes all of a source, and ten of the built-in ones."""
    paraphrases: Count
    """Templates per relation, in their order."""
    min_languages: Count | Literal["all"]
    """Languages that need to have a fact, or `all`. Not of `builtin`."""
    max_answer_tokens: Count | None
    """Tokens of the longest answer; `null` keeps all. Not of `builtin`."""
    allow: list[Allowed]
    """Reasons of the cleaning for which a fact is counted and stays. Not of `builtin`."""
    stand_in: bool
    """Whether a template of ours stands in where a source has none that a decoder can be asked
    with. Not of `builtin`."""


def make(
    facts: Facts, languages: Sequence[str], *, shots: int, model_folder: Path
) -> Iterator[tuple[str, LanguageFacts]]:
    """Yield each language's facts, those that can be asked of the model in `model_folder`.

    Args:
        facts: Where from, and how many.
        languages: Codes; each must be one of the source's.
        shots: Development facts that a relation needs, for demonstrations.
        model_folder: Holds the tokenizer, which answers are counted with.

    Raises:
        ValueError: the source cannot be read, or too little of it is left; the message says why.
    """
    encoder = bool(store.read_json(model_folder / "provenance.json")["architecture"]["encoder"])
    raw = readers.read_source(facts, languages, facts.relations)
    asked = {code: _prompts(one, facts, encoder=encoder) for code, one in raw.items()}
    aligned = align(
        {code: _one_line(one.table) for code, one in raw.items()},
        at_least=len(languages) if facts.min_languages == "all" else facts.min_languages,
        count_tokens=_tokens(model_folder) if facts.max_answer_tokens else len,
        most_tokens=facts.max_answer_tokens,
        allowed=facts.allow,
    )
    origin = readers.origin(facts, languages)
    found = aligned_facts.build(aligned, facts, shots=shots)
    del raw, aligned
    _require_comparison(found, asked)
    for code in languages:
        texts = asked[code].texts
        rows = [fact for fact in found.facts[code] if fact.relation in texts]
        table = fact_table.build(rows, texts, separator="")
        counts = _counts(found, asked[code], code)
        yield code, with_report(table, counts, origin=origin, templates=facts.templates)


def _prompts(raw: Raw, facts: Facts, *, encoder: bool) -> Prompts:
    ours = stand_ins(raw.language) if facts.stand_in else {}
    return prompts.choose(raw.templates, ours, encoder=encoder, most=facts.paraphrases)


def _one_line(table: pd.DataFrame) -> pd.DataFrame:
    """Make each white space of a label one space; empty a label that holds one of our slots."""
    cleared = {}
    for name in ("subject_label", "object_label"):
        plain = table[name].str.replace(r"\s+", " ", regex=True)
        slot = plain.str.contains(SUBJECT, regex=False) | plain.str.contains(OBJECT, regex=False)
        cleared[name] = plain.mask(slot, "")
    return table.assign(**cleared)


def _tokens(model_folder: Path) -> Callable[[str], int]:
    """Return what counts an answer's tokens, behind a space or not, whichever are fewer."""
    path = model_folder / "tokenizer.json"
    if not path.exists():
        raise ValueError(f"{path} does not exist; run `dvc repro model` or `dvc pull model` first")
    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: min(
        len(tokenizer.encode(gap + text, add_special_tokens=False).ids) for gap in ("", " ")
    )


def _require_comparison(found: FactSets, asked: Mapping[str, Prompts]) -> None:
    """Require two relations in every language: neurons of one are compared with others'.

    Raises:
        ValueError: a language has fewer.
    """
    for code, rows in found.facts.items():
        names = sorted({fact.relation for fact in rows})
        usable = [name for name in names if name in asked[code].texts]
        if len(usable) < 2:
            raise ValueError(
                f"language {code!r}: at least two relations need facts and a template that fits "
                f"the model, got {usable} with templates out of {names} with facts; choose other "
                "facts.relations, lower facts.min_per_relation or facts.min_languages, or set "
                "facts.stand_in: true"
            )


def _counts(found: FactSets, asked: Prompts, code: str) -> dict[str, dict[str, Any]]:
    """Join the counts of facts and of templates; facts without a template are counted too."""
    joined = {}
    for name, row in found.counts[code].items():
        templates = asked.counts.get(name, {"n_given": 0, "n_used": 0})
        unasked = 0 if templates["n_used"] else row["n_facts"]
        kept = {**row, **aligned_facts.described([])} if unasked else row
        joined[name] = {**kept, "n_without_template": unasked, "templates": templates}
    return joined
