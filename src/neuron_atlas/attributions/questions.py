"""Questions, each a prompt and its answer, split into tokens that are predicted one by one."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text, encode, tokenise
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True)
class Question:
    """A prompt and the tokenised answer whose probability is asked.

    Attributes:
        prompt: Text that ends where the answer begins.
        answer: Token ids of the answer, as `candidates.CandidateTokens` gives them.
        candidates: All answers of the type, tokenised; needed by the target `candidates` alone.
        query: Characters of the prompt whose words occlusion replaces: all but demonstrations.
    """

    prompt: str
    answer: Text
    candidates: tuple[Text, ...] = ()
    query: tuple[int, int] = (0, 0)


class Point(NamedTuple):
    """One predicted token: what the model reads, where it answers, and with what.

    Attributes:
        ids: Tokens that the model reads: in a decoder prompt and earlier answer tokens, in an
            encoder prompt and one mask for each of the answer's tokens.
        position: Index in `ids` whose output predicts `token`: the answer position.
        token: The answer's token.
        choices: Tokens that candidates allow here, `token` among them.
    """

    ids: Text
    position: int
    token: int
    choices: Text


def points(lm: LanguageModel, question: Question) -> list[Point]:
    """Return the points of a question, one for each token of the answer.

    A decoder reads the gold prefix of the answer, never its own greedy tokens; choices are those of
    candidates that begin with this prefix. An encoder's masks are filled in parallel; choices are
    the word pieces that candidates have at this place.
    """
    answer, (before, after) = question.answer, encode(lm, question.prompt)
    if not lm.architecture.encoder:
        return [
            Point((*before, *answer[:t]), len(before) + t - 1, token, _next(question, t))
            for t, token in enumerate(answer)
        ]
    masks = [int(lm.mask_id or 0)] * len(answer)
    ids = (*before, *masks, *after)
    pieces = [[c[t] for c in question.candidates if len(c) > t] for t in range(len(answer))]
    return [
        Point(ids, len(before) + t, token, _distinct([token, *pieces[t]]))
        for t, token in enumerate(answer)
    ]


def _next(question: Question, t: int) -> Text:
    prefix = question.answer[:t]
    allowed = [c[t] for c in question.candidates if len(c) > t and c[:t] == prefix]
    return _distinct([question.answer[t], *allowed])


def _distinct(tokens: Sequence[int]) -> Text:
    return tuple(dict.fromkeys(tokens))


def words(lm: LanguageModel, question: Question) -> list[Text]:
    """Return the token positions of each word of the question's query.

    Words are runs of characters between spaces that hold a letter or a digit; in scripts without
    spaces each token is a word. Special tokens are not words, nor is the answer position: a
    decoder's last token stays, since the value that is compared is read there.

    Raises:
        ValueError: the query has no word.
    """
    (before, _), spans = tokenise(lm, question.prompt)
    gap = len(question.answer) if lm.architecture.encoder else 0
    offsets = [*spans[0], *spans[1]]
    places = [i if i < len(before) else i + gap for i in range(len(offsets))]
    last = len(before) - 1 if not lm.architecture.encoder else None
    found = []
    for start, end in _spans(question, offsets):
        inside = [
            place
            for place, (a, b) in zip(places, offsets, strict=True)
            if a < end and b > start and place != last
        ]
        found.append(tuple(inside))
    found = [inside for inside in dict.fromkeys(found) if inside]
    if not found:
        raise ValueError(
            f"the prompt {question.prompt!r} has no word to occlude in its characters "
            f"{question.query}; use attributions.baseline: zero"
        )
    return found


def _spans(question: Question, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the characters of each word, as half-open spans of the prompt."""
    start, end = question.query
    text = question.prompt.replace(OBJECT, " " * len(OBJECT))
    spans = []
    for match in re.finditer(r"\S+", text[start:end]):
        a, b = start + match.start(), start + match.end()
        if any(map(_is_unspaced, match[0])):
            inside = [(max(x, a), min(y, b)) for x, y in offsets if x < b and y > a]
            spans += [(x, y) for x, y in inside if _is_word(text[x:y])]
        elif _is_word(match[0]):
            spans.append((a, b))
    return spans


def _is_word(text: str) -> bool:
    return any(c.isalnum() for c in text)


def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)


def question_of(
    tokens: CandidateTokens, row: Mapping[str, Any], *, answer: int | None = None
) -> Question:
    """Make the question of a row of the recall table.

    Args:
        tokens: Tokenises the candidates.
        row: The row.
        answer: Which candidate is asked for; by default the most probable right one.
    """
    texts = tokens.answers(row["prompt"], row["separator"], row["candidate_labels"])
    place = asked_for(row) if answer is None else answer
    start = row["prompt"].rfind("\n", 0, row["subject_start"]) + 1
    return Question(row["prompt"], texts[place], tuple(texts), (start, len(row["prompt"])))
