"""Texts of each language: those that find neurons, and those on which neurons are tested."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tokenizers import Tokenizer

from neuron_atlas.facts import roles
from neuron_atlas.files import text_files
from neuron_atlas.language_specific.settings import OWN_TEXTS, LanguageSpecific, require_texts
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Prompt, encode
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.trees import Query

LONGEST = 128  # tokens of a line; what follows is left out
Lines = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Text:
    """A text as the model reads it.

    Attributes:
        name: What it is called.
        ids: Its tokens, and the special ones around it.
        before: Special tokens in front of it, such as the one that begins a sequence.
        after: Special tokens behind it.
        asked: The positions, half-open, of the tokens whose probability is asked: in a decoder all
            but the very first of a model without a special one in front, in an encoder those that
            masks stand for.
    """

    name: str
    ids: tuple[int, ...]
    before: int
    after: int
    asked: tuple[int, int]

    @property
    def n_tokens(self) -> int:
        """Tokens of its own."""
        return len(self.ids) - self.before - self.after

    @property
    def n_asked(self) -> int:
        """Tokens whose probability is asked."""
        return self.asked[1] - self.asked[0]

    def query(self, *, encoder: bool) -> Query:
        """Return it as a prompt, empty in a decoder but for special tokens, and an answer."""
        start, end = self.asked
        rest = self.ids[end:] if encoder else ()
        return Query(Prompt(self.ids[:start], rest), (self.ids[start:end],))

    def as_asked(self, mask_id: int | None) -> "Text":
        """Return the tokens that the model sees when it is asked, all behind `before` as its own.

        A decoder does not see the last token; an encoder sees masks.
        """
        start, end = self.asked
        if mask_id is None:
            return Text(self.name, self.ids[: end - 1], self.before, 0, (start, end - 1))
        ids = (*self.ids[:start], *[mask_id] * (end - start), *self.ids[end:])
        return Text(self.name, ids, self.before, 0, self.asked)


@dataclass(frozen=True)
class Sample:
    """One language's texts: those that find neurons, and those that test them."""

    finding: Sequence[Text]
    testing: Sequence[Text]

    @property
    def n_tokens(self) -> int:
        """Tokens that find neurons."""
        return sum(text.n_tokens for text in self.finding)


def read_lines(how: LanguageSpecific, languages: Sequence[str], tokenizer: Path) -> Lines | None:
    """Read the files of all languages; None if the run's own prompts serve.

    Args:
        how: Where they are, and how many tokens must be in a file.
        languages: Codes.
        tokenizer: The model's `tokenizer.json`, by which tokens are counted: no model is needed.

    Raises:
        ValueError: a file is missing, empty, not UTF-8, or its lines that find neurons have too
            few tokens; the message names it.
    """
    if how.texts == OWN_TEXTS:
        return None
    require_texts(how.texts, languages)
    found = {code: _lines(how.texts / f"{code}.txt") for code in languages}
    words = Tokenizer.from_file(str(tokenizer))
    for code, lines in found.items():
        finding, testing = _halves(lines)
        n = sum(t.n_tokens for t in _as_texts(words, lines, finding, encoder=False))
        if n < how.min_tokens or not testing:
            raise ValueError(
                f"language_specific.texts: {how.texts / f'{code}.txt'}: expected at least "
                f"{how.min_tokens} tokens in every other line, and lines between them, got {n}; "
                "add lines or lower language_specific.min_tokens"
            )
    return found


def _lines(file: Path) -> list[str]:
    """Return a file's lines that are not blank, each once: a line must not find and test."""
    with file.open("rb") as raw:
        found = [line.strip() for _, line in text_files.lines(raw, str(file))]
    kept = list(dict.fromkeys(line for line in found if line))
    if not kept:
        raise ValueError(f"language_specific.texts: {file} has blank lines alone; fill it")
    return kept


def of_lines(
    lm: LanguageModel, lines: Lines, how: LanguageSpecific, *, seed: int
) -> dict[str, Sample]:
    """Return samples of lines: the first, third, ... of a file find neurons, the others test them.

    Of a line the first `LONGEST` tokens are read. In an encoder its middle token is asked.
    """
    found = {}
    for code, own in lines.items():
        finding, testing = (
            _as_texts(
                lm.tokenizer, own, _shuffled(half, code, seed), encoder=lm.architecture.encoder
            )
            for half in _halves(own)
        )
        found[code] = Sample(_limited(finding, how), testing[: how.n_texts])
    return found


def _halves(lines: Sequence[str]) -> tuple[list[int], list[int]]:
    return list(range(0, len(lines), 2)), list(range(1, len(lines), 2))


def _shuffled(numbers: Sequence[int], code: str, seed: int) -> list[int]:
    """Put lines in an order in which a line's place does not depend on the others."""
    return sorted(
        numbers, key=lambda n: stream(seed, "language_specific", "lines", code, n).random()
    )


def _as_texts(
    words: Tokenizer, lines: Sequence[str], numbers: Iterable[int], *, encoder: bool
) -> list[Text]:
    before, after = around(words)
    found = []
    for number in numbers:
        own = words.encode(lines[number], add_special_tokens=False).ids[:LONGEST]
        middle = len(before) + len(own) // 2
        whole = (max(len(before), 1), len(before) + len(own))
        asked = (middle, middle + 1) if encoder else whole
        ids = (*before, *own, *after)
        found.append(Text(f"line {number + 1}", ids, len(before), len(after), asked))
    return [text for text in found if text.n_tokens >= 2]


def around(words: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and behind every text."""
    encoding = words.encode("a")
    own = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: own[0]], encoding.ids[own[-1] + 1 :]


def of_prompts(
    lm: LanguageModel, recalled: Mapping[str, pd.DataFrame], how: LanguageSpecific, *, seed: int
) -> dict[str, Sample]:
    """Return samples of the run's own prompts with their right answers appended.

    Prompts that find neurons elsewhere find them here (`roles.selects`): no subject of these, no
    answer within a relation, and no template but for a relation's only one is among the texts that
    test. Their order is the same in every language. Where a language needs more tokens for a
    prompt, fewer of them are within the limit.
    """
    tokens = CandidateTokens(lm)
    found = {}
    for code, table in recalled.items():
        selecting = _in_order(table[roles.selects(table)], seed)
        testing = balanced(table[roles.tests(table)], how.n_texts, seed=seed)
        every = [_solved(lm, tokens, row) for row in store.records(selecting)]
        finding = _limited(every, how)
        found[code] = Sample(finding, [_solved(lm, tokens, r) for r in store.records(testing)])
    return found


def _in_order(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    names = zip(rows["fact"], rows["template"].tolist(), strict=True)
    number = [stream(seed, "language_specific", "prompts", f, t).random() for f, t in names]
    return rows.assign(number=number).sort_values("number", kind="stable")


def balanced(rows: pd.DataFrame, n: int, *, seed: int) -> pd.DataFrame:
    """Keep `n` rows, as many of each relation as there are of the others if they suffice.

    Args:
        rows: One row per fact, with `fact` and `relation`.
        n: How many rows.
        seed: Of the choice, which is the same in every language.
    """
    number = [stream(seed, "language_specific", "tested", f).random() for f in rows["fact"]]
    place = rows.assign(number=number).sort_values("number", kind="stable")
    turn = place.groupby("relation").cumcount()
    return place.assign(turn=turn).sort_values(["turn", "number"], kind="stable").head(n)


def _solved(lm: LanguageModel, tokens: CandidateTokens, row: Mapping[str, Any]) -> Text:
    """Return a row's prompt with its answer; in an encoder the answer is asked, else all of it."""
    before, behind = encode(lm, row["prompt"])
    (answer,) = tokens.answers(row["prompt"], row["separator"], [row["answer"]])
    first, last = (len(special) for special in around(lm.tokenizer))
    end = len(before) + len(answer)
    asked = (len(before), end) if lm.architecture.encoder else (max(first, 1), end)
    name = f"{row['fact']} {row['template']}"
    return Text(name, (*before, *answer, *behind), first, last * bool(behind), asked)


def _limited(texts: Sequence[Text], how: LanguageSpecific) -> list[Text]:
    """Keep the first texts, as many as have no more tokens together, and no fewer than needed."""
    total, kept = 0, []
    for text in texts:
        if total + text.n_tokens > how.max_tokens and total >= how.min_tokens:
            break
        total += text.n_tokens
        kept.append(text)
    return kept
