"""Make the fact table and the report of each language from a source."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.fact_sets import aligned_facts, notices, reading
from neuron_atlas.fact_sets.aligned_facts import FactSets
from neuron_atlas.fact_sets.alignment import align, require_shared
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.facts import fact_table
from neuron_atlas.facts.fact_table import solved
from neuron_atlas.facts.labels import cleaned
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources import glance, readers
from neuron_atlas.sources.raw import NEW_OBJECT, POPULARITY, Origin, Raw
from neuron_atlas.wording import prompts
from neuron_atlas.wording.prompts import Prompts
from neuron_atlas.wording.templates import stand_ins


@dataclass(frozen=True)
class LanguageFacts:
    """A language's fact table, and the report on it.

    The report has the `source` (`raw.Origin`), the folder of `templates`, and in `relations`, by
    relation: counts of facts kept and dropped and of templates, and an `example`, a prompt with
    its answer. If there is something to say of the language, `notices` has it, in sentences; and
    `popularity` that of the facts' subjects, by fact, where the source tells it; and `new_objects`
    the ids of what edits shall say instead, by fact, likewise.
    """

    table: pd.DataFrame
    report: Mapping[str, Any]


def with_report(
    table: pd.DataFrame,
    counts: Mapping[str, Mapping[str, Any]],
    *,
    origin: Origin,
    templates: Path,
    notices: Sequence[str] = (),
    popularity: Mapping[str, float] | None = None,
    new_objects: Mapping[str, str] | None = None,
) -> LanguageFacts:
    """Return a table with its report: the counts, an example per relation, and what is given."""
    first = table.drop_duplicates("relation")
    examples = dict(
        zip(
            first["relation"],
            solved(first["prompt"], first["separator"], first["answer"]),
            strict=True,
        )
    )
    relations = {name: {**row, "example": examples.get(name)} for name, row in counts.items()}
    about: dict[str, Any] = {"source": asdict(origin), "templates": templates.as_posix()}
    if notices:
        about["notices"] = list(notices)
    if popularity:
        about[POPULARITY] = dict(popularity)
    if new_objects:
        about["new_objects"] = dict(new_objects)
    return LanguageFacts(table, {**about, "relations": relations})


def make(
    facts: Facts, languages: Sequence[str], *, seed: int, shots: int, model_folder: Path
) -> Iterator[tuple[str, LanguageFacts]]:
    """Yield each language's facts, those that can be asked of the model in `model_folder`.

    Args:
        facts: Where from, and how many.
        languages: Codes; each must be one of the source's.
        seed: The seed.
        shots: Development facts that each relation needs, for demonstrations.
        model_folder: Holds the tokenizer, which answers are counted with.

    Raises:
        ValueError: the source cannot be read, or too few facts are left; the message says why.
    """
    encoder = bool(store.read_json(model_folder / "provenance.json")["architecture"]["encoder"])
    raw = readers.read_source(facts, languages, facts.relations)
    _require_two({name for one in raw.values() for name in one.table["relation"].unique()})
    read_notices = {code: one.notices for code, one in raw.items()}
    asked = {code: _prompts(one, facts, encoder=encoder) for code, one in raw.items()}
    at_least = len(languages) if facts.min_languages == "all" else facts.min_languages
    aligned = align(
        {code: comparable(one.table) for code, one in raw.items()},
        at_least=at_least,
        reading=reading.of_model(model_folder, required=facts.max_answer_tokens is not None),
        most_tokens=facts.max_answer_tokens,
        allowed=facts.allow,
    )
    require_shared(aligned, at_least)
    origin = readers.origin(facts, languages)
    found = aligned_facts.build(aligned, facts, shots=shots, seed=seed)
    popular = {code: _popularity(table) for code, table in aligned.tables.items()}
    new = {code: _new_objects(table) for code, table in aligned.tables.items()}
    del raw, aligned
    _require_comparison(found, asked)
    for code in languages:
        texts = asked[code].texts
        rows = [fact for fact in found.facts[code] if fact.relation in texts]
        table = fact_table.build(rows, texts, separator="")
        counts = _counts(found, asked[code], code)
        said = (*read_notices[code], *notices.of_facts(counts, asked[code], table, facts))
        used = table["fact"].unique()
        about = {fact: popular[code][fact] for fact in used if fact in popular[code]}
        edits = {fact: new[code][fact] for fact in used if fact in new[code]}
        report = partial(with_report, origin=origin, templates=facts.templates)
        yield code, report(table, counts, notices=said, popularity=about, new_objects=edits)


def _popularity(table: pd.DataFrame) -> dict[str, float]:
    """Return the popularity of each fact's subject, the largest that a row gives, where known."""
    if POPULARITY not in table:
        return {}
    known = table.dropna(subset=[POPULARITY])
    facts = known["relation"] + ":" + known["subject"]
    most = known[POPULARITY].groupby(facts.to_numpy()).max()
    return {str(fact): float(number) for fact, number in most.items()}


def _new_objects(table: pd.DataFrame) -> dict[str, str]:
    """Return the id of what an edit shall say instead of each fact, the first given, if any is."""
    if NEW_OBJECT not in table:
        return {}
    known = table[table[NEW_OBJECT].fillna("") != ""].iloc[::-1]
    facts = known["relation"] + ":" + known["subject"]
    return {str(f): cleaned(str(new)) for f, new in zip(facts, known[NEW_OBJECT], strict=True)}


def _prompts(raw: Raw, facts: Facts, *, encoder: bool) -> Prompts:
    ours = stand_ins(raw.language) if facts.stand_in else {}
    chosen = prompts.choose_templates(raw.templates, ours, encoder=encoder, most=facts.paraphrases)
    if not any(raw.checked.values()):
        return chosen
    counts = {
        relation: {
            **row,
            "n_checked": min(
                row["n_used"],
                len(prompts.keep_usable(raw.checked.get(relation, ()), encoder=encoder).texts),
            ),
        }
        for relation, row in chosen.counts.items()
    }
    return Prompts(chosen.texts, counts)


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """Clean labels and ids (`labels.cleaned`); empty labels that have a placeholder."""
    cleared = {}
    for name in ("subject", "subject_label", "object", "object_label"):
        codes, values = pd.factorize(table[name])
        texts = [cleaned(str(value)) for value in values]
        if name.endswith("_label"):
            texts = ["" if SUBJECT in text or OBJECT in text else text for text in texts]
        else:  # an id of nothing but marks is still an id
            texts = [text or str(value) for text, value in zip(texts, values, strict=True)]
        cleared[name] = pd.Series(np.array(texts, dtype=object)[codes], table.index, dtype="str")
    return table.assign(**cleared)


def _require_two(relations: Collection[str]) -> None:
    """Require two relations before anything is compared.

    Raises:
        ValueError: there is one.
    """
    if len(relations) == 1:
        raise ValueError(f"the facts have one relation, {next(iter(relations))!r}; {glance.WHY}")


def _require_comparison(found: FactSets, asked: Mapping[str, Prompts]) -> None:
    """Require two relations in every language, as each is compared with others.

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
                "facts.relations, lower facts.min_per_relation or facts.min_languages, set "
                "facts.stand_in: true, or leave the language out of languages"
            )


def _counts(found: FactSets, asked: Prompts, code: str) -> dict[str, dict[str, Any]]:
    """Join the counts of facts and templates; without a template a relation has no facts."""
    joined = {}
    for name, row in found.counts[code].items():
        templates = asked.counts.get(name, {"n_given": 0, "n_used": 0})
        unasked = 0 if templates["n_used"] else row["n_facts"]
        kept = {**row, **aligned_facts.count_facts([])} if unasked else row
        joined[name] = {**kept, "n_without_template": unasked, "templates": templates}
    return joined
