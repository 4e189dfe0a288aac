"""Read CounterFact and what has its layout: facts with the new answers that editing puts in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuron_atlas.files.json_values import filled, mapping, parsed, relation_name, shown
from neuron_atlas.files.text_files import Folder, opened
from neuron_atlas.sources import derived
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.raw import Origin, Raw, relations_to_read
from neuron_atlas.sources.reference import Entry, aligned, files_by_language, reference_of

ORIGIN = Origin(
    name="CounterFact",
    version="",
    licence="see the source's page (CounterFact: MIT)",
    reference="Meng et al. (2022), Locating and Editing Factual Associations in GPT, NeurIPS",
)
MAX_BYTES = 2**28  # of one file
ONE = "en"  # the language of a file that is not named by its language
NOT_USED = (
    "paraphrases, neighbourhood and locality prompts are not used; new answers are those of edits "
    "where every language has them among the relation's own"
)


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of CounterFact, Multi-CounterFact or KnowEdit's zsRE.

    Args:
        path: A `.json` file, in English; or a folder or an archive of `<language>.json`, which are
            aligned by `case_id`, or else by place.
        language: "en" for a file, else the name of one of the files.
        relations: Those to read; None reads all.

    Returns:
        The facts with what is true (`target_true`, or the first of `ground_truth`) and what an
        edit shall say instead (`target_new`), and the templates of their own prompts. The relation
        is `relation_id`, or where there is none the words of the prompt. The labels of the
        reference language are the ids.

    Raises:
        ValueError: nothing has this layout, or a record is malformed.
    """
    with _opened(path) as (folder, files):
        known_language(language, list(files), str(path))
        here, n_without = _entries(folder, files[language])
        first, there = reference_of(files), here
        if first != language:
            there, _ = _entries(folder, files[first])
    known = sorted({one.relation for one in there} | {one.relation for one in here})
    names = set(relations_to_read(relations, known, str(path)))
    kept, reference = ([e for e in rows if e.relation in names] for rows in (here, there))
    said = (f"{n_without} records tell no relation and are left out",) if n_without else ()
    return aligned(language, kept, reference, {}, (NOT_USED, *said))


def origin(path: Path, languages: Iterable[str] | None = None) -> Origin:
    """Return CounterFact's origin, with digests of the files of some languages."""
    with _opened(path) as (folder, files):
        codes = {reference_of(files), *(files if languages is None else languages)}
        named = [files[code] for code in sorted(codes) if code in files]
        return replace(ORIGIN, files=folder.sha256(named))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Folder, dict[str, str]]]:
    """Yield a folder, an archive or the folder of one file, and file names by language."""
    if path.suffix != ".json":
        with opened(path) as folder:
            yield folder, files_by_language(folder, ".json")
    elif path.is_file():
        yield Folder(path.parent, (path.name,)), {ONE: path.name}
    else:
        raise ValueError(f"{path}: expected a file, found none; check the path")


def _entries(folder: Folder, name: str) -> tuple[list[Entry], int]:
    """Return a file's facts, and the number of records that tell no relation."""
    where = folder.where(name)
    content = parsed(folder.text(name, MAX_BYTES), where)
    if not isinstance(content, list) or not content:
        raise ValueError(f"{where}: expected a filled list of records, got {shown(content)}")
    found = []
    for number, value in enumerate(content, start=1):
        here = f"{where}, record {number}"
        found.append(_entry(mapping(value, here), number, here))
    entries = [one for one in found if one is not None]
    return entries, len(found) - len(entries)


def _entry(record: Mapping[str, Any], number: int, where: str) -> Entry | None:
    """Return a record's fact; None if it has neither a relation nor a prompt that tells it."""
    rewrite = mapping(record.get("requested_rewrite", record), where)
    subject = filled(rewrite, "subject", where).strip()
    prompt = filled(rewrite, "prompt", where)
    if "{}" in prompt:
        marked = prompt.replace("{}", "\ufffc")  # a sign that no prompt has
        template = derived.template_of(marked, "\ufffc")
    else:
        template = derived.template_of(prompt, subject)
    relation = rewrite.get("relation_id")
    if relation is None:
        if template is None:
            return None
        relation = derived.relation_of(template)
    answer = _true(rewrite, where)
    key = str(record.get("case_id", number))
    name, new = relation_name(str(relation), where), _new(rewrite)
    return Entry(name, key, subject, answer, template, new)


def _new(rewrite: Mapping[str, Any]) -> str:
    """Return what an edit shall say instead: a text, or an object with `str`; empty without."""
    value = rewrite.get("target_new")
    if isinstance(value, dict):
        value = value.get("str")
    return value.strip() if isinstance(value, str) else ""


def _true(rewrite: Mapping[str, Any], where: str) -> str:
    """Return what is true: a text, an object with `str`, or the first of a list."""
    key = "target_true" if "target_true" in rewrite else "ground_truth"
    value = rewrite.get(key)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return filled(value, "str", where).strip()
    return filled({key: value}, key, where).strip()
