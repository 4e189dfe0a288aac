"""Put solved development facts before prompts, none of which holds a right answer of its prompt."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from neuron_atlas.facts import roles
from neuron_atlas.facts.fact_table import solved
from neuron_atlas.pipeline.store import records
from neuron_atlas.pipeline.streams import stream


def questions(facts: pd.DataFrame, *, shots: int, seed: int) -> pd.DataFrame:
    """Return what the model is asked: `with_demonstrations` without the halves.

    Without demonstrations nothing in it depends on the seed, so one model's answers, and the values
    of its neurons, serve all seeds.
    """
    return with_demonstrations(facts, shots=shots, seed=seed).drop(columns=roles.HALVES)


def with_demonstrations(facts: pd.DataFrame, *, shots: int, seed: int) -> pd.DataFrame:
    """Return the evaluated facts, each prompt after `shots` solved development facts.

    The two halves of the subjects see different demonstrations where a relation has enough
    development facts, so a result that holds on both is not due to them; see `put_before`.

    Returns:
        The identification and held-out facts by relation and template, after demonstrations also
        by half, with `context` ("none") and `answer_shown`, whether a demonstration shows a right
        answer.

    Raises:
        ValueError: a relation has fewer development facts than `shots`.
    """
    evaluated = facts[facts["split"] != "development"]
    order = ["relation", "template", "split"] if shots else ["relation", "template"]
    evaluated = evaluated.sort_values(order, kind="stable", ignore_index=True)
    evaluated = evaluated.assign(context="none", answer_shown=False)
    if shots == 0:
        return evaluated
    shown = [
        put_before(rows, facts, shots=shots, turn=(int(half == "held_out"), 2), seed=seed)
        for half, rows in evaluated.groupby("split", sort=True)
    ]
    return pd.concat(shown).sort_index().drop(columns="demonstrations")


def in_blocks(facts: pd.DataFrame, *, shots: int, blocks: int, seed: int) -> pd.DataFrame:
    """Ask the held-out facts with the testing template, after each of several demonstrations.

    Blocks have different demonstrations where a relation has enough development facts.

    Args:
        facts: A fact table.
        shots: Demonstrations per prompt, at least 1.
        blocks: How often each fact is asked; 0 gives no rows.
        seed: Of the order in which demonstrations are taken.

    Returns:
        As `put_before`, with `context` ("block_0", ...) and `repeated`: whether a demonstration
        also precedes the fact in an earlier block. Prompts that begin alike are neighbours.

    Raises:
        ValueError: a relation has fewer development facts than `shots`.
    """
    asked = facts[(facts["split"] == "held_out") & roles.testing_templates(facts)]
    tables, before = [], dict[str, set[str]]()
    for block in range(blocks):
        table = put_before(asked, facts, shots=shots, turn=(block, blocks), seed=seed)
        again = [
            not before.setdefault(fact, set()).isdisjoint(shown)
            for fact, shown in zip(table["fact"], table["demonstrations"], strict=True)
        ]
        for fact, shown in zip(table["fact"], table["demonstrations"], strict=True):
            before[fact].update(shown)
        table = table.assign(context=f"block_{block}", repeated=again)
        tables.append(table.sort_values(["relation", "template", "demonstrations"], kind="stable"))
    empty = asked.iloc[:0].assign(
        answer_shown=False, demonstrations=None, context="", repeated=False
    )
    return pd.concat(tables or [empty], ignore_index=True)


def put_before(
    asked: pd.DataFrame, facts: pd.DataFrame, *, shots: int, turn: tuple[int, int], seed: int
) -> pd.DataFrame:
    """Put `shots` solved development facts of the same relation and template before each prompt.

    They are the first in a seeded order that show no right answer of the prompt, neither as their
    answer nor as their subject. Where too few do not, others make up the number.

    Args:
        asked: Rows of a fact table.
        facts: The fact table, with the development facts.
        shots: How many, at least 1.
        turn: Where in the order to begin: the first of (k, n) begins k n-ths after its start.
        seed: Of the order.

    Returns:
        `asked` with prompts and subject spans moved, `answer_shown` (whether a demonstration shows
        a right answer) and `demonstrations` (ids of the facts shown, in their order).

    Raises:
        ValueError: a relation has fewer development facts than `shots`.
    """
    solved_facts = facts[facts["split"] == "development"]
    pools = {
        (relation, template): _pool(solved_facts, relation, template, shots=shots, seed=seed)
        for relation, template in sorted(
            set(zip(asked["relation"], asked["template"], strict=True))
        )
    }
    chosen = []
    for row in records(asked):
        pool = pools[row["relation"], row["template"]]
        first = turn[0] * len(pool) // turn[1]
        chosen.append(_chosen(row, [*pool[first:], *pool[:first]], shots))
    texts = pd.Series(
        ["".join(f"{d['text']}\n" for d in shown) for shown in chosen], asked.index, dtype=object
    )
    return asked.assign(
        prompt=texts + asked["prompt"],
        subject_start=asked["subject_start"] + texts.str.len().astype(int),
        subject_end=asked["subject_end"] + texts.str.len().astype(int),
        answer_shown=[
            any(_shows(d, row) for d in shown)
            for row, shown in zip(records(asked), chosen, strict=True)
        ],
        demonstrations=pd.Series(
            [tuple(d["fact"] for d in shown) for shown in chosen], asked.index, dtype=object
        ),
    )


def _pool(
    solved_facts: pd.DataFrame, relation: str, template: int, *, shots: int, seed: int
) -> list[dict[str, Any]]:
    """Return a relation's development facts in the order in which they are shown."""
    pool = solved_facts[
        (solved_facts["relation"] == relation) & (solved_facts["template"] == template)
    ]
    if len(pool) < shots:
        raise ValueError(
            f"recall asks for {shots} demonstrations, but relation {relation!r} has only "
            f"{len(pool)} development facts; lower recall.shots and recall.demonstrations.shots or "
            "raise facts.development_share"
        )
    texts = solved(pool["prompt"], pool["separator"], pool["answer"])
    order = stream(seed, "recall", "demonstrations", template).permutation(len(pool)).tolist()
    return records(pool.assign(text=texts).iloc[order])


def _chosen(
    row: dict[str, Any], pool: Sequence[dict[str, Any]], shots: int
) -> list[dict[str, Any]]:
    """Return the first demonstrations that show no right answer, then others; in their order."""
    order = sorted(range(len(pool)), key=lambda i: (_shows(pool[i], row), i))
    return [pool[i] for i in sorted(order[:shots])]


def _shows(demonstration: dict[str, Any], row: dict[str, Any]) -> bool:
    shown = {demonstration["answer"].casefold(), demonstration["subject_label"].casefold()}
    return not shown.isdisjoint(label.casefold() for label in row["object_labels"])
