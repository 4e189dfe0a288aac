"""Which neurons are combined: each fact's strongest, their controls, and random ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, RANDOM, Members
from neuron_atlas.degenerate_neurons.matching import control_pool, matched_controls
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.degenerate_neurons.suppression import (
    SHOWN,
    AnswerDrops,
    FactPrompts,
    PromptSets,
    up_to_pairs,
)
from neuron_atlas.facts import roles
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream

ABSENT = -1  # template if there is no such prompt; neuron that is matched to none
Key = tuple[str, str, int]  # fact, kind and draw
PROMPTS = ["fact", "relation", "template", "held_out", "shown"]
COLUMNS = [*PROMPTS, "own", "pool", "random"]


@dataclass(frozen=True)
class Family:
    """Neurons that are combined with one another on one fact's prompt, and what was measured.

    Attributes:
        measured: Drops by suppressed set.
        matches: By member, the fact's own neuron that it is a control of: itself in the fact's own
            family, nothing in a random one.
    """

    measured: AnswerDrops
    matches: Mapping[int, int]

    @property
    def members(self) -> list[int]:
        """The neurons, rising."""
        return sorted(n for s in self.measured.drops if len(s) == 1 for n in s)

    def matched(self, members: Members) -> Members:
        """Return the own neurons that some members are controls of, `ABSENT` for none."""
        return tuple(self.matches.get(n, ABSENT) for n in members)


def choose(
    prompts: FactPrompts,
    recalled: pd.DataFrame,
    graded: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> pd.DataFrame:
    """Choose each fact's neurons and prompts.

    Every fact is asked in one of its correctly answered paraphrases, and its sets are confirmed in
    the next one and after demonstrations. Which paraphrase comes first is drawn for each fact.

    Args:
        prompts: The prompts that can be asked.
        recalled: The recall table.
        graded: `knowledge_sets.grade_neurons`: each fact's neurons, best first.
        source: Activation sizes, which random neurons match.
        how: How far to search.
        seed: The seed.

    Returns:
        One row per fact: `fact`, `relation`, `template`, `held_out` (template of the confirmation,
        -1 if only one was answered right), `shown` (`SHOWN`, -1 if it cannot be asked), `own`
        (neurons, best first), `pool` (where controls are looked for), `random` (one list a draw).
    """
    best = graded[graded["rank"] < how.search.candidates].sort_values(["fact", "rank"])
    usable = recalled["correct"].astype(bool) & roles.selecting_templates(recalled)
    right = recalled[usable & recalled["fact"].isin(best["fact"].unique())]
    ways = right.sort_values("template").groupby("fact")["template"].agg(list)
    rows = []
    for name, own in best[best["fact"].isin(ways.index)].groupby("fact"):
        fact, chosen = str(name), own["neuron"].to_numpy(np.int64)
        turn = int(stream(seed, "degenerate_neurons", "paraphrase", fact).integers(len(ways[name])))
        places = _places(prompts, fact, ways[name], turn=turn)
        lists = (
            chosen.tolist(),
            _pool(graded, fact, chosen, source, how).tolist(),
            _random(fact, chosen, source, how, seed=seed).tolist(),
        )
        rows.append((fact, own["relation"].iloc[0], *places, *lists))
    return pd.DataFrame(rows, columns=COLUMNS)


def _places(
    prompts: FactPrompts, fact: str, templates: Sequence[int], *, turn: int
) -> tuple[int, int, int]:
    """Return the template that is asked, the one that confirms, and whether the context can."""
    n = len(templates)
    other = templates[(turn + 1) % n] if n > 1 else ABSENT
    return templates[turn % n], other, SHOWN if prompts.can_ask(fact, SHOWN) else ABSENT


def _pool(
    graded: pd.DataFrame,
    fact: str,
    own: Int64[np.ndarray, " own"],
    source: RelationSets,
    how: DegenerateNeurons,
) -> Int64[np.ndarray, " pool"]:
    size, tried = how.search.pool, how.search.tried
    return control_pool(graded, fact, own, size=size, tried=tried, width=source.size.shape[1])


def _random(
    fact: str,
    own: Int64[np.ndarray, " own"],
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> Int64[np.ndarray, "draw neuron"]:
    names, some = ("degenerate_neurons", "families", fact), own[: how.search.random]
    return source.matched(some, names=names, seed=seed, n_draws=how.search.n_draws)


def measure(prompts: FactPrompts, rows: pd.DataFrame, *, small: float, width: int) -> pd.DataFrame:
    """Suppress the neurons of each fact one by one, then every pair of each of its families.

    A neuron that costs more than `small` alone is in no degenerate set, so it is in no family.
    Controls are chosen on the way, by the drops of single neurons.

    Args:
        prompts: The model and its prompts.
        rows: From `choose`.
        small: Largest drop of a single neuron, nats.
        width: Neurons of a layer.

    Returns:
        One row per set of a family: `fact`, `kind`, `draw`, `members` (rising), `matches` (which
        own neurons they are controls of), `drop`, `clean` and `audited_error` (nats).
    """
    listed = store.records(rows)
    first = list(prompts.suppress([_asked(row, _singles(row)) for row in listed]))
    formed = [
        _formed(row, one, small=small, width=width) for row, one in zip(listed, first, strict=True)
    ]
    new = [_pairs(some) for some in formed]
    more = prompts.suppress([_asked(row, sets) for row, sets in zip(listed, new, strict=True)])
    tables = [
        _table(row["fact"], key, _joined(one, again), matches)
        for row, one, again, some in zip(listed, first, more, formed, strict=True)
        for key, matches in some.items()
        if matches
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _asked(row: Mapping[str, Any], sets: Sequence[Members]) -> PromptSets:
    return PromptSets(row["fact"], row["template"], sets)


def _singles(row: Mapping[str, Any]) -> list[Members]:
    neurons = [*row["own"], *row["pool"], *(n for draw in row["random"] for n in draw)]
    return [(n,) for n in dict.fromkeys(neurons)]


def _formed(
    row: Mapping[str, Any], one: AnswerDrops, *, small: float, width: int
) -> dict[tuple[str, int], dict[int, int]]:
    """Return the families by kind and draw: what each of their neurons is matched to."""
    alone = {n: drop for (n,), drop in one.drops.items() if drop <= small}
    own, pool = ([n for n in row[name] if n in alone] for name in ("own", "pool"))
    controls = matched_controls(
        np.array(own, dtype=np.int64), np.array(pool, dtype=np.int64), alone, width=width
    )
    return {
        (OWN, 0): {n: n for n in own},
        (MATCHED, 0): {control: n for n, control in controls.items()},
        **{
            (RANDOM, draw): {n: ABSENT for n in members if n in alone}
            for draw, members in enumerate(row["random"])
        },
    }


def _pairs(formed: Mapping[tuple[str, int], Mapping[int, int]]) -> list[Members]:
    pairs = [s for matches in formed.values() for s in up_to_pairs(list(matches)) if len(s) == 2]
    return list(dict.fromkeys(pairs))


def _joined(one: AnswerDrops, more: AnswerDrops) -> AnswerDrops:
    drops = {**one.drops, **more.drops}
    return AnswerDrops(one.clean, drops, float(np.fmax(one.error, more.error)))


def _table(
    fact: str, kind: tuple[str, int], whole: AnswerDrops, matches: Mapping[int, int]
) -> pd.DataFrame:
    sets = up_to_pairs(list(matches))
    return pd.DataFrame(
        {
            "fact": fact,
            "kind": kind[0],
            "draw": kind[1],
            "members": list(map(list, sets)),
            "matches": [[matches[n] for n in s] for s in sets],
            "drop": [whole.drops[s] for s in sets],
            "clean": whole.clean,
            "audited_error": whole.error,
        }
    )


def by_key(measured: pd.DataFrame) -> dict[Key, Family]:
    """Return the families of a table that `measure` made; one without neurons is missing."""
    if measured.empty:
        return {}
    named = ["fact", "kind", "draw"]
    rows = measured[named].drop_duplicates().itertuples(index=False, name=None)
    parts = measured.groupby(named, sort=False)
    return {
        (fact, kind, int(draw)): _family(parts.get_group((fact, kind, draw)))
        for fact, kind, draw in rows
    }


def _family(part: pd.DataFrame) -> Family:
    members = [tuple(map(int, s)) for s in part["members"]]
    drops = dict(zip(members, part["drop"].astype(float).tolist(), strict=True))
    one = AnswerDrops(float(part["clean"].iloc[0]), drops, float(part["audited_error"].iloc[0]))
    matches = {
        s[0]: int(own[0]) for s, own in zip(members, part["matches"], strict=True) if len(s) == 1
    }
    return Family(one, matches)


def of_each_fact(
    rows: pd.DataFrame, families: Mapping[Key, Family]
) -> Iterator[tuple[dict[str, Any], dict[Key, Family]]]:
    """Yield each fact's row with its families, by key."""
    for row in store.records(rows):
        yield row, {key: family for key, family in families.items() if key[0] == row["fact"]}
