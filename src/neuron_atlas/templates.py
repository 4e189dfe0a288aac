"""Prompt templates: one YAML file a language, which a native speaker can correct."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuron_atlas.facts import SLOT
from neuron_atlas.params import read_yaml

FOLDER = Path(__file__).parent / "templates"
MIN_PARAPHRASES = 3
KEYS = {"name", "separator", "templates"}


@dataclass(frozen=True)
class Templates:
    """One language's paraphrases by relation.

    `separator` stands between prompt and answer: a space, or nothing where words are not spaced.
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
            raise ValueError(
                f"{self.name} has fewer than {n} paraphrases of {short}; lower facts.paraphrases "
                "or write more templates"
            )
        return {relation: texts[:n] for relation, texts in self.templates.items()}


def languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the codes of the languages that have templates, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load(language: str, folder: Path = FOLDER) -> Templates:
    """Read and check a language's templates.

    Raises:
        ValueError: there is no file for `language`, or a template breaks a rule; the message names
            the file, the relation and the paraphrase's number, counted from 1.
    """
    if language not in languages(folder):
        raise ValueError(
            f"language must be one of {', '.join(languages(folder))}, got {language!r}; "
            f"to add it, write {folder / f'{language}.yaml'} on the model of en.yaml"
        )
    path = folder / f"{language}.yaml"
    content = read_yaml(path)
    _check_header(path, content)
    relations: dict[str, Any] = content["templates"]
    _check_names(path, relations, known=_relations(folder))
    return Templates(
        name=content["name"],
        separator=content["separator"],
        templates={r: _paraphrases(f"{path}: {r}", texts) for r, texts in relations.items()},
    )


def _relations(folder: Path) -> set[str]:
    """Return the relations that en.yaml, the model of every other file, has templates for."""
    return set(read_yaml(folder / "en.yaml").get("templates", {}))


def _check_header(path: Path, content: Mapping[str, Any]) -> None:
    if set(content) != KEYS:
        raise ValueError(f"{path} must have the keys {sorted(KEYS)}, got {sorted(content)}")
    if not isinstance(content["name"], str) or content["separator"] not in ("", " "):
        raise ValueError(
            f"{path}: name must be text and separator '' or ' ', "
            f"got {content['name']!r} and {content['separator']!r}"
        )
    if not isinstance(content["templates"], dict):
        raise ValueError(f"{path}: templates must map relations to lists of prompts")


def _check_names(path: Path, relations: Mapping[str, Any], *, known: set[str]) -> None:
    unknown = sorted(set(map(str, relations)) - known)
    if unknown:
        raise ValueError(f"{path}: unknown relations {unknown}; known: {sorted(known)}")


def _paraphrases(where: str, texts: object) -> tuple[str, ...]:
    if not isinstance(texts, list) or len(texts) < MIN_PARAPHRASES:
        n = len(texts) if isinstance(texts, list) else 0
        raise ValueError(f"{where}: expected at least {MIN_PARAPHRASES} paraphrases, got {n}")
    for number, text in enumerate(texts, start=1):
        problem = _problem(text)
        if problem:
            raise ValueError(f"{where}, paraphrase {number}: {problem}: {text!r}")
        if text in texts[: number - 1]:
            raise ValueError(f"{where}, paraphrase {number}: the same as an earlier one: {text!r}")
    return tuple(texts)


def _problem(text: object) -> str | None:
    """Return the first rule that one template breaks, in words."""
    if not isinstance(text, str):
        return "expected text; put it in quotes"
    if text.count(SLOT) != 1:
        return f"expected {SLOT} exactly once, found it {text.count(SLOT)} times"
    if "{" in text.replace(SLOT, "") or "}" in text.replace(SLOT, ""):
        return f"a brace outside of {SLOT}"
    if text != text.strip():
        return "a space at the beginning or end; the separator puts it before the answer"
    if "  " in text or any(c.isspace() and c != " " for c in text):
        return "a doubled space, or a line break, tab or other odd space"
    return None
