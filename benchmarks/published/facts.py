"""The facts of Liu et al. 2025 (arXiv 2502.17355): 12 relations of LRE, their prompts, their rule.

The paper's prompt is a template of LRE and "? Answer:". Of LRE's templates of a relation we take
the one with which Gemma 3 270M knew most of 80 facts, before any neuron was looked at. The second
template is our own and selects nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neuron_atlas.pipeline.slots import OBJECT, SUBJECT
from neuron_atlas.sources import lre

ASK = "? Answer:"


class Wording(NamedTuple):
    """Two ways to ask: LRE's, to select and to test; our own, to test alone."""

    published: str
    second: str


WORDINGS = {
    "company_ceo": Wording(
        "The name of the CEO of {subject} is", "Question: Who is the CEO of {subject}? Answer:"
    ),
    "company_hq": Wording(
        "{subject} is headquartered in the city of",
        "Question: In which city is {subject} based? Answer:",
    ),
    "landmark_in_country": Wording(
        "{subject} is in the country of", "Question: In which country is {subject}? Answer:"
    ),
    "landmark_on_continent": Wording(
        "{subject} is on the continent of", "Question: On which continent is {subject}? Answer:"
    ),
    "person_father": Wording(
        "{subject}'s father is named", "Question: Who is the father of {subject}? Answer:"
    ),
    "person_mother": Wording(
        "Name of mother of {subject} is", "Question: Who is the mother of {subject}? Answer:"
    ),
    "person_occupation": Wording(
        "By profession, {subject} is a",
        "Question: What is the occupation of {subject}? Answer:",
    ),
    "person_plays_instrument": Wording(
        "What instrument does {subject} play? They play the",
        "Question: Which instrument does {subject} play? Answer: the",
    ),
    "person_plays_position_in_sport": Wording(
        "Which position does {subject} play? They play as a",
        "Question: In which position does {subject} play? Answer: as a",
    ),
    "person_plays_pro_sport": Wording(
        "{subject} plays the sport of", "Question: Which sport does {subject} play? Answer:"
    ),
    "product_by_company": Wording(
        "{subject} was created by", "Question: Which company makes {subject}? Answer:"
    ),
    "star_constellation": Wording(
        "{subject} is part of the constellation named",
        "{subject} belongs to the constellation called? Answer:",
    ),
}


@dataclass(frozen=True)
class Fact:
    """A subject of a relation and all answers that LRE has for it."""

    relation: str
    subject: str
    answers: tuple[str, ...]

    def prompt(self, *, second: bool = False) -> str:
        """Return the question; one that asks already ("What ...?") gets no "? Answer:"."""
        published, own = WORDINGS[self.relation]
        text = own if second else published + ("" if "?" in published else ASK)
        return text.replace(SUBJECT, self.subject)


def read(folder: Path, *, most: int, rng: np.random.Generator) -> dict[str, list[Fact]]:
    """Draw up to `most` subjects of each of the 12 relations.

    Raises:
        ValueError: `folder` is not LRE, or lacks a relation or one of its templates.
    """
    raw = lre.read(folder, "en", list(WORDINGS))
    found = {}
    for relation, table in raw.table.groupby("relation", sort=True):
        template = f"{WORDINGS[str(relation)].published} {OBJECT}"
        if template not in raw.templates[str(relation)]:
            raise ValueError(
                f"{folder}: expected {relation} to have the template {template!r}, got "
                f"{raw.templates[str(relation)]}; is it LRE's release of 2024?"
            )
        answers = table.groupby("subject_label", sort=True)["object_label"].agg(tuple)
        order = rng.permutation(len(answers))[:most]
        found[str(relation)] = [
            Fact(str(relation), str(answers.index[i]), tuple(answers.iloc[i])) for i in order
        ]
    return found


def is_prefix(output: str, answer: str) -> bool:
    """Apply the paper's rule by the letter: a non-empty output that is the answer's beginning."""
    said = output.strip()
    return bool(said) and answer.startswith(said)


def agrees(output: str, answer: str) -> bool:
    """Return whether an output and an answer agree as far as the shorter of the two goes.

    The paper's rule calls "Boston." wrong, because two tokens of a vocabulary of 262,144 reach
    beyond a short answer. So an output may also go on after the answer, at the end of a word.
    """
    said = output.strip()
    beyond = said[len(answer) : len(answer) + 1]
    return is_prefix(said, answer) or (
        bool(answer) and said.startswith(answer) and not beyond.isalnum()
    )


def agrees_with_any(output: str, answers: tuple[str, ...]) -> bool:
    """Return whether an output agrees with one of the answers."""
    return any(agrees(output, answer) for answer in answers)
