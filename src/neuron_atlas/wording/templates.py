"""Read and check prompt templates: one YAML file per language, which a native speaker can edit."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuron_atlas.facts.labels import cleaned
from neuron_atlas.pipeline.params import read_yaml
from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.wording.blanks import literal_blank

FOLDER = Path(__file__).parents[1] / "templates"
MIN_PARAPHRASES = 3
EXAMPLE = "Oslo"  # put in for subject and object when spaces are checked
KEYS = {"name", "separator", "templates"}


@dataclass(frozen=True)
class Templates:
    """One language's paraphrases by relation.

    `separator` stands between prompt and answer: a space, or nothing in a language that does not
    put spaces between words.
    """

    name: str
    separator: str
    templates: Mapping[str, tuple[str, ...]]

    def first(self, n: int) -> dict[str, tuple[str, ...]]:
        """Return the first `n` paraphrases of each relation.

        Raises:
            ValueError: a relation has fewer.
        """
        short = sorted(r for r, texts in self.templates.items() if len(texts) < n)
        if short:
            most = min(map(len, self.templates.values()))
            raise ValueError(
                f"{self.name} has fewer than {n} paraphrases of {short}; lower facts.paraphrases "
                f"to {most} or write more templates"
            )
        return {relation: texts[:n] for relation, texts in self.templates.items()}


def languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the codes of the languages that have templates, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load(
    language: str, folder: Path = FOLDER, *, at_least: int = MIN_PARAPHRASES, encoder: bool = False
) -> Templates:
    """Read and check a language's templates.

    Args:
        language: Its code.
        folder: Where its file is.
        at_least: Fewest paraphrases per relation.
        encoder: Whether text may follow the object, which then is written as `{object}`.

    Raises:
        ValueError: there is no file for `language`, or a template breaks a rule; the message names
            the file, the relation and the paraphrase's number, from 1, of each one that does.
    """
    if language not in languages(folder):
        raise ValueError(
            f"language must be one of {', '.join(languages(folder))}, got {language!r}; "
            f"to add it, write {folder / f'{language}.yaml'} on the model of en.yaml"
        )
    path = folder / f"{language}.yaml"
    content = read_yaml(path)
    found = problems(path, content, known=_relations(folder), at_least=at_least, encoder=encoder)
    if found:
        raise ValueError("; ".join(found))
    texts: dict[str, list[str]] = content["templates"]
    return Templates(
        name=content["name"],
        separator=content["separator"],
        templates={relation: tuple(listed) for relation, listed in texts.items()},
    )


def lint(folder: Path = FOLDER, *, at_least: int = 1, encoder: bool = False) -> list[str]:
    """Return every problem of a folder's templates, with its file, relation and number."""
    known = _relations(folder)
    return [
        problem
        for code in languages(folder)
        for problem in problems(
            folder / f"{code}.yaml",
            read_yaml(folder / f"{code}.yaml"),
            known=known,
            at_least=at_least,
            encoder=encoder,
        )
    ]


def _relations(folder: Path) -> set[str] | None:
    """Return the relations of en.yaml, the model of every other file; None if there is none."""
    path = folder / "en.yaml"
    content = read_yaml(path).get("templates") if path.exists() else None
    return {str(name) for name in content} if isinstance(content, dict) else None


def problems(
    path: Path,
    content: Mapping[str, Any],
    *,
    known: set[str] | None,
    at_least: int,
    encoder: bool,
) -> list[str]:
    """Return the problems of one file's content, as `lint` does.

    Args:
        path: The file, to be named.
        content: What it holds.
        known: Relations that it may have; None allows any.
        at_least: Fewest paraphrases per relation.
        encoder: Whether text may follow the object.
    """
    header = _header(content)
    if header:
        return [f"{path}{header}"]
    relations: dict[str, Any] = content["templates"]
    unknown = sorted(set(map(str, relations)) - known) if known is not None else []
    found = (
        [f"{path}: unknown relations {unknown}; known: {sorted(known or ())}"] if unknown else []
    )
    for relation, texts in relations.items():
        found += _paraphrases(f"{path}: {relation}", texts, at_least=at_least, encoder=encoder)
    return found


def unlike_endings(folder: Path = FOLDER) -> list[str]:
    """Return the templates that end otherwise than most of their number do in their language.

    Where a relation's templates alone end in "." a neuron that responds to "." seems to respond to
    the relation. So all relations' first templates, second templates and so on end alike: in a
    letter, in a colon, or in another mark.
    """
    found = []
    for code in languages(folder):
        texts = load(code, folder, at_least=1, encoder=True).templates
        for number in range(max(map(len, texts.values()))):
            kinds = {r: _ending(t[number]) for r, t in texts.items() if len(t) > number}
            usual = Counter(kinds.values()).most_common(1)[0][0]
            path = folder / f"{code}.yaml"
            found += [
                f"{path}: {relation}, paraphrase {number + 1}: ends in a {kind}, "
                f"but most of its number end in a {usual}: {texts[relation][number]!r}"
                for relation, kind in kinds.items()
                if kind != usual
            ]
    return found


def _ending(text: str) -> str:
    """Return the kind of the last character before the answer."""
    last = text.partition(OBJECT)[0].rstrip()[-1:]
    if last.isalnum() or last == "}":
        return "letter"
    return "colon" if last in ":：" else "mark"


def _header(content: Mapping[str, Any]) -> str | None:
    if set(content) != KEYS:
        return f" must have the keys {sorted(KEYS)}, got {sorted(map(str, content))}"
    if not isinstance(content["name"], str) or content["separator"] not in ("", " "):
        return (
            ": name must be text and separator '' or ' ', "
            f"got {content['name']!r} and {content['separator']!r}"
        )
    if not isinstance(content["templates"], dict):
        return ": templates must map relations to lists of prompts"
    return None


def _paraphrases(where: str, texts: object, *, at_least: int, encoder: bool) -> list[str]:
    if not isinstance(texts, list) or len(texts) < at_least:
        n = len(texts) if isinstance(texts, list) else 0
        return [f"{where}: expected at least {at_least} paraphrases, got {n}"]
    found, seen = [], dict[str, int]()
    for number, text in enumerate(texts, start=1):
        problem = _problem(text, encoder=encoder)
        bare = "".join(c for c in str(text) if c.isalnum()).casefold()
        if problem is None and bare in seen:
            problem = f"the same as number {seen[bare]}, but for punctuation"
        if problem:
            found.append(f"{where}, paraphrase {number}: {problem}: {text!r}")
        seen.setdefault(bare, number)
    return found


def _problem(text: object, *, encoder: bool) -> str | None:
    """Return the first rule that one template breaks, in words."""
    if not isinstance(text, str):
        return "expected text; put it in quotes"
    if text.count(SUBJECT) != 1:
        return f"expected {SUBJECT} exactly once, found it {text.count(SUBJECT)} times"
    if text.count(OBJECT) > 1:
        return f"expected {OBJECT} at most once, found it {text.count(OBJECT)} times"
    blank = literal_blank(text)
    if blank is not None:
        return f"a literal blank {blank!r}, which the answer would follow; write {OBJECT} instead"
    rest = text.replace(SUBJECT, "").replace(OBJECT, "")
    if "{" in rest or "}" in rest:
        return f"a brace outside of {SUBJECT}"
    if OBJECT in text and not encoder and not text.endswith(OBJECT):
        return f"the object is not last, where a decoder needs it; {OBJECT} may be left out there"
    return _spaces(text.replace(SUBJECT, EXAMPLE).replace(OBJECT, EXAMPLE))


def _spaces(text: str) -> str | None:
    if text != text.strip():
        return "a space at the beginning or end; the separator puts it before the answer"
    if "  " in text or any(c.isspace() and c != " " for c in text):
        return "a doubled space, or a line break, tab or other odd space"
    if text != cleaned(text):
        return "a character that nobody sees, or a letter that is not composed (NFC)"
    return None


RELATION_LABELS = Path(__file__).parents[1] / "relation_labels.yaml"


def stand_ins(language: str) -> Mapping[str, str]:
    """Return one template per relation, which is no sentence but a label: "France, capital: …".

    Empty for a language without labels.
    """
    content = read_yaml(RELATION_LABELS)
    form = content["form"].get(language)
    if form is None:
        return {}
    return {
        relation: form.replace("{label}", labels[language])
        for relation, labels in content["labels"].items()
        if language in labels
    }
