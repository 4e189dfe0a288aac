"""Read BMLAMA, balanced facts of mLAMA: one TSV file per language, aligned by line."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from neuron_atlas.files import delimited
from neuron_atlas.files.json_values import filled
from neuron_atlas.files.text_files import Folder, opened
from neuron_atlas.sources import derived
from neuron_atlas.sources.codes import known_language
from neuron_atlas.sources.raw import Origin, Raw, relations_to_read
from neuron_atlas.sources.reference import Entry, aligned, files_by_language, reference_of

ORIGIN = Origin(
    name="BMLAMA",
    version="",
    licence="see the source's page; derived from mLAMA, CC-BY-NC 4.0",
    reference="Qi, Fernández and Bisazza (2023), Cross-Lingual Consistency of Factual Knowledge, "
    "EMNLP",
)
PROMPT, ANSWER, CANDIDATES, SUBJECT = COLUMNS = ("Prompt", "Ans", "Candidate Ans", "Subject")
OTHER = "other"  # relation of lines whose prompt does not name their subject


def read(path: Path, language: str, relations: Sequence[str] | None) -> Raw:
    """Read one language of BMLAMA-17 or -53 (Qi, Fernández and Bisazza 2023).

    The files name no relations: lines belong together whose prompts in the reference language
    (English if it is there) differ in their subject alone, and are named by the words of these. The
    list of candidates of each line is not used: a relation's answers are each other's candidates.

    Args:
        path: A folder or an archive with `<language>.tsv`.
        language: The name of one of its files.
        relations: Those to read; None reads all.

    Returns:
        The lines, with the labels of the reference language as ids, and the templates that are
        left of the prompts without their subjects.

    Raises:
        ValueError: `path` has no such files, lacks the language or a relation, a line is
            malformed, or two languages have different numbers of lines.
    """
    with opened(path) as folder:
        files = files_by_language(folder, ".tsv")
        known_language(language, list(files), str(path))
        here = _lines(folder, files[language])
        first = reference_of(files)
        there = here if first == language else _lines(folder, files[first])
    if len(here) != len(there):
        raise ValueError(
            f"{folder.where(files[language])}: expected {len(there)} lines as in "
            f"{reference_of(files)}, got {len(here)}; lines are aligned by their number"
        )
    groups = [derived.relation_of(one[2]) if one[2] else OTHER for one in there]
    names = set(relations_to_read(relations, sorted(set(groups)), str(path)))
    found = [
        [
            Entry(group, str(number), subject, answer, template)
            for number, (group, (subject, answer, template)) in enumerate(
                zip(groups, rows, strict=True)
            )
            if group in names
        ]
        for rows in (here, there)
    ]
    n_without = sum(one.template is None for one in found[0])
    said = (f"{n_without} prompts do not name their subject exactly once",) if n_without else ()
    return aligned(language, found[0], found[1], {}, said)


def origin(path: Path, languages: Iterable[str] | None = None) -> Origin:
    """Return BMLAMA's origin, with digests of the archive or of the files of some languages."""
    with opened(path) as folder:
        files = files_by_language(folder, ".tsv")
        codes = {reference_of(files), *(files if languages is None else languages)}
        return replace(
            ORIGIN, files=folder.sha256([files[code] for code in sorted(codes) if code in files])
        )


def _lines(folder: Folder, name: str) -> list[tuple[str, str, str | None]]:
    """Return subject, answer and template of each line."""
    found = []
    with folder.open(name) as stream:
        for where, row in delimited.rows(
            stream, folder.where(name), required=COLUMNS, delimiter="\t"
        ):
            subject, answer, prompt = (filled(row, key, where) for key in (SUBJECT, ANSWER, PROMPT))
            found.append((subject.strip(), answer.strip(), derived.template_of(prompt, subject)))
    return found
