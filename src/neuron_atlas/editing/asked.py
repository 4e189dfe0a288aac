"""The prompts on which each fact's edits are measured."""

from collections.abc import Iterator, Sequence

import pandas as pd

from neuron_atlas.editing import tables as names
from neuron_atlas.editing.plan import Case, Tables, of_fact, shown
from neuron_atlas.facts.fact_table import solved
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice

Part = tuple[str, pd.DataFrame]


def asked(tables: Tables, chosen: Sequence[Case], *, n_unrelated: int, seed: int) -> pd.DataFrame:
    """List the prompts on which each fact's edits are measured.

    `tables` says what the places mean. A fact with a single selecting paraphrase holds none out,
    and has no `generality`. The facts of `locality` are of other relations, `neighbour` is of the
    same one, both with another subject and no answer in common, from the first source and the
    languages that are no source in turn; `text` is the first such fact, said as a whole.

    Returns:
        Rows of the recall table, with `language`, `measured` (the fact that is asked), `where`,
        `text` (the whole text; empty but for `text`) and `fact` (whose edits are measured).
    """
    parts = [
        part.rename(columns={"fact": "measured"}).assign(where=where, fact=case.fact)
        for case in chosen
        for where, part in _of_case(tables, case, n_unrelated, seed)
        if len(part)
    ]
    if not parts:
        return pd.DataFrame(columns=["where", "fact", "text", *prompt_choice.KEY])
    rows = pd.concat(parts, ignore_index=True)
    texts = pd.Series(solved(rows["prompt"], rows["separator"], rows["answer"]), rows.index)
    return rows.assign(text=texts.where(rows["where"] == names.TEXT, ""))


def _of_case(tables: Tables, case: Case, n_unrelated: int, seed: int) -> Iterator[Part]:
    first, *more = case.sources
    fitted, held = shown(tables, case.fact, first), of_fact(tables.held[first], case.fact)
    yield names.RELIABILITY, fitted
    yield names.GENERALITY, _without(held, fitted)
    every = of_fact(tables.prompts[first], case.fact)
    yield names.MORE_PARAPHRASES, _without(every, fitted, held)
    for language in more:
        yield names.OTHER_SOURCES, of_fact(tables.prompts[language], case.fact)
    for language in case.others:
        own = of_fact(tables.held[language], case.fact)
        yield names.PORTABILITY, own
        yield names.PORTABILITY_MORE, _without(of_fact(tables.prompts[language], case.fact), own)
    far = list(_far(tables, case, n_unrelated, seed))
    yield from ((names.LOCALITY, one) for one in far)
    yield names.TEXT, far[0] if far else tables.held[first].iloc[:0]
    yield names.NEIGHBOUR, _neighbour(tables, case, seed)


def _without(rows: pd.DataFrame, *used: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose templates none of the others have."""
    taken = {template for part in used for template in part["template"]}
    return rows[~rows["template"].isin(taken)]


def _far(tables: Tables, case: Case, n: int, seed: int) -> Iterator[pd.DataFrame]:
    languages = (case.sources[0], *case.others)
    for place, language in enumerate(languages):
        table = tables.held[language]
        wanted = len(range(place, n, len(languages)))
        fact = store.records(of_fact(table, case.fact))[0]
        if not prompt_choice.all_unrelated(table, fact):
            continue
        rng = stream(seed, "editing", "unrelated", language, case.fact)
        for name in prompt_choice.unrelated(table, fact, n=wanted, rng=rng) if wanted else ():
            yield table[table["fact"] == name]


def _neighbour(tables: Tables, case: Case, seed: int) -> pd.DataFrame:
    """Return the held prompt of another fact of the relation, in the first source; maybe none."""
    table = tables.held[case.sources[0]]
    own = store.records(of_fact(table, case.fact))[0]
    apart = (table["relation"] == case.relation) & (table["subject"] != own["subject"])
    right = {*own["objects"], case.new}
    free = [str(r.fact) for r in table[apart].itertuples() if right.isdisjoint(r.objects)]
    if not free:
        return table.iloc[:0]
    rng = stream(seed, "editing", "neighbour", case.fact)
    return of_fact(table, free[int(rng.integers(len(free)))])
