"""Read a user's own facts: one JSON Lines or CSV file for all languages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from math import inf, isnan, nan
from pathlib import Path

import pandas as pd

from neuron_atlas.files import text_files
from neuron_atlas.files.delimited import Row
from neuron_atlas.files.json_values import filled, parsed, relation_name, shown, text
from neuron_atlas.sources import derived, glance
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.glance import REQUIRED
from neuron_atlas.sources.raw import COLUMNS, POPULARITY, Origin, Raw, relations_to_read

LABELS = ("subject_label", "object_label")
OPTIONAL = ("prompt", "aliases", POPULARITY)


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of a file with one fact per line.

    Args:
        path: `.jsonl` or `.csv`, with the columns `REQUIRED` and, if labels differ from ids,
            `LABELS`; `OPTIONAL` ones as `collect` takes them. Others are named in a notice.
        language: One of the file's languages.
        relations: Those to read; None reads all that the file has in any language.

    Returns:
        The rows in the file's order.

    Raises:
        ValueError: the file is of another kind, lacks the language or a relation, or a line of
            any language is malformed.
    """
    with closing(glance.rows(path)) as rows:
        return collect(rows, source=str(path), language=language, relations=relations)


def origin(path: Path) -> Origin:
    """Return the file's name and digest; its licence is not known."""
    return Origin(
        name=path.name,
        version="",
        licence="not stated",
        reference="a file of one's own",
        files={path.name: text_files.sha256(path)},
    )


def collect(
    rows: Iterable[Row], *, source: str, language: str, relations: Sequence[str] | None
) -> Raw:
    """Collect one language's rows of a source that holds all languages.

    A `prompt`, a text with the subject in it, becomes a template of its relation. `aliases` are
    further names of the object: each is an answer of its own, and right. `popularity` is a number
    of the subject, at least 0.

    Args:
        rows: The rows of all languages, which tell what languages and relations there are.
        source: Its name in error messages.
        language: One of the source's languages.
        relations: Those to keep; None keeps all.

    Raises:
        ValueError: a row is malformed, or the source lacks the language or a relation.
    """
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    numbers: list[float] = []
    known, codes, strange = set[str](), set[str](), set[str]()
    prompts: list[tuple[str, str | None]] = []
    for where, row in rows:
        found = checked(row, where)
        known.add(found["relation"])
        codes.add(found["language"])
        strange |= set(row) - {*REQUIRED, *LABELS, *OPTIONAL}
        more, number = aliases(row, where), popularity(row, where)
        asked = text(row, "prompt", where) if row.get("prompt") is not None else ""
        if found["language"] != language:
            continue
        for one in (found, *(_alias(found, name) for name in more)):
            for name in COLUMNS:
                columns[name].append(one[name])
            numbers.append(number)
        if asked:
            template = derived.template_of(asked, found["subject_label"])
            prompts.append((found["relation"], template))
    known_language(language, sorted(codes), source)
    table = pd.DataFrame(columns, dtype="str")
    if not all(map(isnan, numbers)):
        table[POPULARITY] = numbers
    names = relations_to_read(relations, sorted(known), source)
    kept = table[table["relation"].isin(names)].reset_index(drop=True)
    texts, n_without = derived.most_frequent(p for p in prompts if p[0] in names)
    return Raw(language, kept, texts, tuple(_notices(strange, n_without)))


def _notices(strange: set[str], n_without: int) -> Iterator[str]:
    if strange:
        yield f"columns that are not read: {shown(sorted(strange))}"
    if n_without:
        yield f"{n_without} prompts do not name their subject exactly once, and give no template"


def _alias(row: Mapping[str, str], alias: str) -> dict[str, str]:
    return {**row, "object": f"{row['object']}#{alias}", "object_label": alias}


def aliases(row: Mapping[str, object], where: str) -> list[str]:
    """Return the names in a row's `aliases`: a list, or a text with `|` between them.

    Raises:
        ValueError: it is neither, or a name is no text.
    """
    value = row.get("aliases")
    if isinstance(value, str):
        written = value.strip()
        value = parsed(written, where) if written.startswith("[") else written.split("|")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(
            f"{where}: expected a list of names in 'aliases', got {shown(value)}; correct it"
        )
    names = (text({"aliases": name}, "aliases", where).strip() for name in value)
    return [name for name in dict.fromkeys(names) if name]


def popularity(row: Mapping[str, object], where: str) -> float:
    """Return the number in a row's `popularity`, NaN where there is none.

    Raises:
        ValueError: it is no finite number of at least 0.
    """
    value = row.get(POPULARITY)
    if value is None or value == "":
        return nan
    try:
        number = nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = nan
    if not 0 <= number < inf:
        raise ValueError(
            f"{where}: expected a number of at least 0 in {POPULARITY!r}, got {shown(value)}; "
            "correct it"
        )
    return number


def checked(row: Mapping[str, object], where: str) -> dict[str, str]:
    """Return a row's `REQUIRED` and `LABELS`, as text.

    A missing label becomes the id; a label that is null becomes empty.

    Raises:
        ValueError: a value is missing, blank where it is required, or not text.
    """
    found = {name: filled(row, name, where).strip() for name in REQUIRED}
    relation_name(found["relation"], where)
    for name in LABELS:
        value = row.get(name, found[name.removesuffix("_label")])
        found[name] = "" if value is None else text({name: value}, name, where)
    return found
