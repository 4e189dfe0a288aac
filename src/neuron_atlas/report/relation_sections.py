"""What is known of each relation: what breaks without its neurons, and what these are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from neuron_atlas.cards import tables as card_tables
from neuron_atlas.findings.effects import MATCHED
from neuron_atlas.findings.recall import recall_by_relation, relations
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline.store import records
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.plot_data import CONTROL_NAMES, PART_NAMES, SIGNIFICANT

Row = Mapping[str, Any]
N_OTHERS = 5  # of the other relations that change most
N_TOKENS = 24  # of what a set promotes, and of what it suppresses
ASKED = {"all": "all held-out questions", "right": "those answered right before"}


@dataclass(frozen=True)
class RelationSection:
    """What the page shows of one relation.

    Attributes:
        name: Of the relation.
        anchor: The section's id in the page.
        state: `worse`, `better`, `nothing shown` or `not measured`: its own answers without its
            neurons, beyond random neurons of equal push, over all languages.
        own: That effect: a row of the table of own effects; None where it was not measured.
        beyond: By group of questions: by control, its rows by part of the answer.
        changed: Other relations that change without its neurons, after adjustment.
        others: The other relations that change most, whether or not that is more than chance.
        neurons: The first neurons of its pooled set, best first.
        stability: How well the set holds, an entry of data/relation_neurons/summary.json.
        promoted: What the set as a whole writes, strongest first.
        suppressed: What it writes against.
        writes: How well what it writes tells its answers from others', pooled; None if unknown.
        languages: A row per language: recall, own effect, and what the set writes.
        examples: Prompts with the model's answers.
    """

    name: str
    anchor: str
    state: str
    own: Row | None
    beyond: Mapping[str, Sequence[Row]]
    changed: Sequence[Row]
    others: Sequence[Row]
    neurons: Sequence[Row]
    stability: Row | None
    promoted: Sequence[Row]
    suppressed: Sequence[Row]
    writes: Row | None
    languages: Sequence[Row]
    examples: Sequence[Row]


def relation_sections(results: Results, *, top_neurons: int) -> list[RelationSection]:
    """Return the section of each relation that was asked, in the order of the facts."""
    recalled = recall_by_relation(results.recall, results.consistency["paraphrase"])
    names = relations(results.recall)
    return [
        _section(results, name, anchor, recalled[recalled["relation"] == name], top_neurons)
        for name, anchor in zip(names, anchors(names), strict=True)
    ]


def anchors(names: Sequence[str]) -> list[str]:
    """Return an id for each relation, `relation-<name>`, of letters, digits, `_` and `-` alone."""
    plain = [re.sub(r"[^\w-]+", "-", f"relation-{name}") for name in names]
    return [
        one if plain.count(one) == 1 else f"{one}-{number}"
        for number, one in enumerate(plain, start=1)
    ]


def _section(
    results: Results, name: str, anchor: str, recalled: pd.DataFrame, top_neurons: int
) -> RelationSection:
    own = results.own[results.own["relation"] == name]
    joint = own[own["language"].isna()]
    main = _first(_of(joint, questions="all", control=MATCHED, part="effect"))
    others = results.cells[(results.cells["relation"] == name)]
    others = others[others["measured"] != name]
    return RelationSection(
        name=name,
        anchor=anchor,
        state=state(main),
        own=main,
        beyond=_beyond(joint),
        changed=records(others[others["p_adjusted"] < SIGNIFICANT].sort_values("excess")),
        others=records(_largest(others)),
        neurons=_neurons(results.sets, name, top_neurons),
        stability=_stability(results.relation_neurons, name),
        promoted=_tokens(results, name, card_tables.PROMOTED),
        suppressed=_tokens(results, name, card_tables.SUPPRESSED),
        writes=_writes(results, name).get(POOLED),
        languages=_languages(results, name, recalled, own),
        examples=_examples(results.examples, name),
    )


def state(own: Row | None) -> str:
    """Return what was shown of a relation's own answers, in two words at most."""
    if own is None:
        return "not measured"
    if own["p_adjusted"] >= SIGNIFICANT:
        return "nothing shown"
    return "worse" if own["excess"] < 0 else "better"


def _of(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    kept = pd.Series(True, index=table.index)
    for column, value in wanted.items():
        kept &= table[column] == value
    return table[kept]


def _first(rows: pd.DataFrame) -> Row | None:
    return records(rows)[0] if len(rows) else None


def _beyond(joint: pd.DataFrame) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for questions, asked in ASKED.items():
        for control, words in CONTROL_NAMES.items():
            rows = records(_of(joint, questions=questions, control=control))
            parts = {row["part"]: row for row in rows}
            if "effect" in parts:
                known = {part: parts.get(part) for part in PART_NAMES}
                found.setdefault(asked, []).append({"control": words, "parts": known})
    return found


def _largest(cells: pd.DataFrame) -> pd.DataFrame:
    order = cells["excess"].abs().sort_values(ascending=False, kind="stable").index
    return cells.loc[order[:N_OTHERS]]


def _neurons(sets: pd.DataFrame, name: str, top: int) -> Sequence[Row]:
    pooled = sets[(sets["source"] == POOLED) & (sets["relation"] == name)]
    return records(pooled.sort_values("rank", kind="stable").head(top))


def _stability(found: Mapping[str, Any], name: str) -> Row | None:
    rows = [s for s in found["sets"] if s["source"] == POOLED and s["relation"] == name]
    return rows[0] if rows else None


def _tokens(results: Results, name: str, direction: str) -> Sequence[Row]:
    if results.cards is None:
        return []
    tokens = results.cards.relation_tokens
    own = _of(tokens, relation=name, direction=direction, script=card_tables.ALL_SCRIPTS)
    return records(own.sort_values("rank").head(N_TOKENS))


def _writes(results: Results, name: str) -> dict[str, Row]:
    """Return what the relation's set writes, by language and pooled."""
    if results.cards is None:
        return {}
    found = results.cards.relations
    return {row["language"]: row for row in records(found[found["relation"] == name])}


def _languages(
    results: Results, name: str, recalled: pd.DataFrame, own: pd.DataFrame
) -> Sequence[Row]:
    asked = {row["language"]: row for row in records(recalled)}
    effects = _of(own, questions="all", control=MATCHED, part="effect")
    measured = {row["language"]: row for row in records(effects[effects["language"].notna()])}
    writes = _writes(results, name)
    return [
        {"language": code, "recall": row, "own": measured.get(code), "writes": writes.get(code)}
        for code, row in asked.items()
    ]


def _examples(examples: Mapping[str, pd.DataFrame], name: str) -> Sequence[Row]:
    return [
        {"language": code, **row}
        for code, table in examples.items()
        for row in records(table[table["relation"] == name])
    ]
