"""Choose the facts to edit, the languages of their neurons, and the new answers."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.facts import roles
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens


@dataclass(frozen=True)
class Tables:
    """Each language's prompts, in the order of the parameters.

    Attributes:
        prompts: Known facts in all templates: recall rows and `language`.
        held: For each fact, the correctly answered paraphrase that nothing is fitted to.
        given: By fact, the new object that its source gives, where there is one.
    """

    prompts: Mapping[str, pd.DataFrame]
    held: Mapping[str, pd.DataFrame]
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One fact to be edited.

    Attributes:
        sources: Languages in which its neurons are looked for; the first is the edited one.
        others: All other languages that know it; they only serve to measure transfer.
        new: The object that is to become the answer.
        given: Whether the fact's source gives it; else it is drawn.
    """

    fact: str
    relation: str
    sources: tuple[str, ...]
    others: tuple[str, ...]
    new: str
    given: bool = False


@dataclass(frozen=True)
class Cases:
    """The facts to be edited, and those on which the baselines' layers are chosen."""

    edited: list[Case]
    development: list[Case]


def read_tables(
    recalled: Mapping[str, pd.DataFrame], given: Mapping[str, str] | None = None
) -> Tables:
    """Collect the prompts of the facts that are known in each language; there may be none.

    Args:
        recalled: Recall tables.
        given: As in `Tables`.
    """
    prompts = {
        language: table[table["known"]].assign(language=language)
        for language, table in recalled.items()
    }
    held = {language: _measured(table) for language, table in prompts.items()}
    return Tables(prompts, held, given or {})


def _measured(known: pd.DataFrame) -> pd.DataFrame:
    if known.empty:
        return known
    order = prompt_choice.first_known(known, max_facts=None)["fact"].drop_duplicates()
    return prompt_choice.measured_prompts(known, order.tolist())


def choose_cases(
    tables: Tables,
    tokens: CandidateTokens,
    how: EditingPlan,
    *,
    stored: Mapping[str, Collection[str]],
    seed: int,
) -> Cases:
    """Choose the facts: known in `n_sources` languages and one more, the most prominent first.

    The sources are the first `n_sources` languages, in the order of the parameters, that know the
    fact. In all arms, the other languages that know it only serve to measure transfer. Facts whose
    scores are stored in all their sources come before others, whose scores have to be computed.

    The development facts are other facts that the sources know, of each relation in turn; they need
    no further language.

    Args:
        tables: Prompts of each language.
        tokens: Tokenised answers.
        how: How many facts and sources.
        stored: Of each language, the facts that were attributed.
        seed: The seed.
    """
    known = _known(tables, how.n_sources)
    wanted = [fact for fact in known if len(known[fact]) > how.n_sources]
    n = how.n_sources
    first = sorted(wanted, key=lambda f: any(f not in stored[c] for c in known[f][:n]))
    edited = list(_made(tables, tokens, {f: known[f] for f in first}, how, seed, how.max_facts))
    taken = {case.fact for case in edited}
    rest = {fact: languages for fact, languages in known.items() if fact not in taken}
    others = _in_turn(_made(tables, tokens, rest, how, seed, how.baselines.n_facts))
    return Cases(
        sorted(edited, key=lambda c: (c.relation, c.fact)), others[: how.baselines.n_facts]
    )


def _in_turn(cases: Iterable[Case]) -> list[Case]:
    """Return the first fact of each relation, then the second of each, and so on."""
    count = Counter[str]()
    placed: list[tuple[int, Case]] = []
    for case in cases:
        placed.append((count[case.relation], case))
        count[case.relation] += 1
    return [case for _, case in sorted(placed, key=lambda one: one[0])]


def _known(tables: Tables, at_least: int) -> dict[str, list[str]]:
    """Return the languages that know each fact, of those that enough languages know."""
    known: dict[str, list[str]] = {}
    for language, held in tables.held.items():
        for fact in held["fact"]:
            known.setdefault(str(fact), []).append(language)
    return {fact: languages for fact, languages in known.items() if len(languages) >= at_least}


def _made(
    tables: Tables,
    tokens: CandidateTokens,
    known: Mapping[str, Sequence[str]],
    how: EditingPlan,
    seed: int,
    most: int,
) -> Iterator[Case]:
    """Yield the first `most` facts of each relation that have a new object."""
    relation = {
        str(fact): str(name)
        for held in tables.held.values()
        for fact, name in zip(held["fact"], held["relation"], strict=True)
    }
    count = Counter[str]()
    for fact, languages in known.items():
        name = relation[fact]
        if count[name] >= most:
            continue
        allowed = _new_objects(tables, tokens, fact, languages)
        if allowed:
            given = tables.given.get(fact)
            new = given if given in allowed else _drawn(allowed, fact, seed)
            n = how.n_sources
            parts = tuple(languages[:n]), tuple(languages[n:])
            yield Case(fact, name, *parts, str(new), given in allowed)
            count[name] += 1


def _new_objects(
    tables: Tables, tokens: CandidateTokens, fact: str, languages: Sequence[str]
) -> list[str]:
    """Return the wrong objects whose first token is that of no right one in the fact's prompts."""
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
    return sorted(allowed or ())


def _drawn(allowed: Sequence[str], fact: str, seed: int) -> str:
    rng = stream(seed, "editing", "new object", fact)
    return allowed[int(rng.integers(len(allowed)))]


def fitted(tables: Tables, case: Case) -> pd.DataFrame:
    """Return the prompts that an edit is fitted to: the sources' paraphrases but no held one."""
    return pd.concat([shown(tables, case.fact, language) for language in case.sources])


def shown(tables: Tables, fact: str, language: str) -> pd.DataFrame:
    """Return the fact's selecting paraphrases except the held one, or its only one."""
    rows = of_fact(tables.prompts[language], fact)
    rows = rows[roles.selecting_templates(rows)]
    held = of_fact(tables.held[language], fact)["template"].iloc[0]
    free = rows[rows["template"] != held]
    return free if len(free) else rows


def of_fact(table: pd.DataFrame, fact: str) -> pd.DataFrame:
    """Return a fact's rows."""
    return table[table["fact"] == fact]
