"""Choose the facts to edit, the languages of their neurons, and the new answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from neuron_atlas.facts import roles
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens


@dataclass(frozen=True)
class Tables:
    """Each language's prompts, in the order of the parameters.

    Attributes:
        prompts: Attributed facts in all selecting templates: recall rows and `language`.
        held: For each fact, the correctly answered paraphrase that nothing is fitted to.
    """

    prompts: Mapping[str, pd.DataFrame]
    held: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """One fact to be edited.

    Attributes:
        sources: Languages in which its neurons are looked for; the first is the edited one.
        others: All other languages that know it; they only serve to measure transfer.
        new: The object that is to become the answer.
    """

    fact: str
    relation: str
    sources: tuple[str, ...]
    others: tuple[str, ...]
    new: str


def read_tables(recalled: Mapping[str, pd.DataFrame], scores: Mapping[str, pd.DataFrame]) -> Tables:
    """Collect the prompts of the facts that were attributed in each language."""
    prompts = {
        language: table[
            roles.selecting_templates(table) & table["fact"].isin(scores[language]["fact"].unique())
        ].assign(language=language)
        for language, table in recalled.items()
    }
    held = {
        language: prompt_choice.attributed_prompts(table, scores[language], language=language)
        for language, table in prompts.items()
    }
    return Tables(prompts, held)


def cases(
    tables: Tables, tokens: CandidateTokens, *, n_sources: int, max_facts: int, seed: int
) -> list[Case]:
    """Choose the facts: known in `n_sources` languages and one more, the most prominent first.

    The sources are the first `n_sources` languages, in the order of the parameters, that know the
    fact. In all arms, the other languages that know it only serve to measure transfer.

    Args:
        tables: Prompts of each language.
        tokens: Tokenised answers.
        n_sources: Languages in which each fact's neurons are looked for.
        max_facts: Largest number of facts per relation.
        seed: The seed.
    """
    known: dict[str, list[str]] = {}
    relation: dict[str, str] = {}
    for language, held in tables.held.items():
        for row in held.itertuples():
            known.setdefault(str(row.fact), []).append(language)
            relation[str(row.fact)] = str(row.relation)
    count: dict[str, int] = {}
    found = []
    for fact, languages in known.items():
        full = count.get(relation[fact], 0) >= max_facts
        if full or len(languages) <= n_sources:
            continue
        new = _new_object(tables, tokens, fact, languages, seed)
        if new is not None:
            parts = tuple(languages[:n_sources]), tuple(languages[n_sources:])
            found.append(Case(fact, relation[fact], *parts, new))
            count[relation[fact]] = count.get(relation[fact], 0) + 1
    return sorted(found, key=lambda c: (c.relation, c.fact))


def _new_object(
    tables: Tables, tokens: CandidateTokens, fact: str, languages: Sequence[str], seed: int
) -> str | None:
    """Draw a wrong object whose first token is never that of a right one in the fact's prompts."""
    allowed: set[str] | None = None
    for language in languages:
        table = tables.prompts[language]
        for row in store.records(table[table["fact"] == fact]):
            texts = tokens.answers(row["prompt"], row["separator"], row["candidate_labels"])
            begin = dict(zip(row["candidates"], (t[0] for t in texts), strict=True))
            right = {begin[o] for o in row["objects"] if o in begin}
            here = {c for c in row["candidates"] if c not in row["objects"]}
            here = {c for c in here if begin[c] not in right}
            allowed = here if allowed is None else allowed & here
    free = sorted(allowed or ())
    rng = stream(seed, "editing", "new object", fact)
    return free[int(rng.integers(len(free)))] if free else None


def fitted(tables: Tables, case: Case) -> pd.DataFrame:
    """Return the prompts that an edit is fitted to: the sources' paraphrases but no held one."""
    return pd.concat([shown(tables, case.fact, language) for language in case.sources])


def shown(tables: Tables, fact: str, language: str) -> pd.DataFrame:
    """Return the fact's paraphrases except the held one, or its only one."""
    table = tables.prompts[language]
    rows = table[table["fact"] == fact]
    held = tables.held[language].set_index("fact")["template"]
    free = rows[rows["template"] != held[fact]]
    return free if len(free) else rows


def asked(tables: Tables, chosen: Sequence[Case], *, n_unrelated: int, seed: int) -> pd.DataFrame:
    """List the prompts on which each fact's edits are measured.

    `same_language` is a prompt of the first source to which edits are fitted, `paraphrase` is its
    held one, `other_languages` are the held ones of languages that are not sources, and `unrelated`
    are prompts of other facts, taken from the first source and the other languages in turn.

    Returns:
        Rows of the recall table, with `language`, `measured` (the fact that is asked), `where`, and
        `fact` (whose edits are measured).
    """
    parts = []
    for case in chosen:
        first = case.sources[0]
        rows = [("same_language", shown(tables, case.fact, first).iloc[:1])]
        own = _held(tables, case.fact, first)
        if own["template"].iloc[0] != rows[0][1]["template"].iloc[0]:
            rows.append(("paraphrase", own))
        rows += [("other_languages", _held(tables, case.fact, name)) for name in case.others]
        rows += [("unrelated", far) for far in _far(tables, case, n_unrelated, seed)]
        for where, part in rows:
            named = part.rename(columns={"fact": "measured"})
            parts.append(named.assign(where=where, fact=case.fact))
    return pd.concat(parts, ignore_index=True)


def _held(tables: Tables, fact: str, language: str) -> pd.DataFrame:
    table = tables.held[language]
    return table[table["fact"] == fact]


def _far(tables: Tables, case: Case, n: int, seed: int) -> Iterator[pd.DataFrame]:
    languages = (case.sources[0], *case.others)
    for place, language in enumerate(languages):
        table = tables.held[language]
        wanted = len(range(place, n, len(languages)))
        fact = store.records(_held(tables, case.fact, language))[0]
        rng = stream(seed, "editing", "unrelated", language, case.fact)
        for name in prompt_choice.unrelated(table, fact, n=wanted, rng=rng) if wanted else ():
            yield table[table["fact"] == name]
