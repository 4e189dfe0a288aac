"""Which of a fact's neurons stand in for one another: found, confirmed, and of use elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.other_facts import both_matter
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.degenerate_neurons.suppression import Bench, Request, Suppressed, up_to_pairs
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints, store

PART = 16  # families measured at a time: what a kill can cost
REAL, ABSENT = -1, -1  # draw of a fact's own neurons; template where there is no other paraphrase
Key = tuple[str, int]  # fact and draw
FAMILY = ["fact", "relation", "draw", "random", "template", "held_out"]


@dataclass(frozen=True)
class FoundSets:
    """All pairs that were examined, and the found sets of every size; a row each."""

    pairs: pd.DataFrame
    sets: pd.DataFrame


def find(
    bench: Bench,
    recalled: pd.DataFrame,
    graded: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    key: str,
) -> FoundSets:
    """Find the degenerate sets of all facts that have attributions.

    Args:
        bench: The model and its prompts.
        recalled: The recall table.
        graded: `knowledge_sets.graded`: each fact's neurons, best first.
        source: Activation sizes, which random neurons match.
        how: How far to search, and what makes a set degenerate.
        key: Names the work, so that a killed run goes on where it was.
    """
    rows = families(recalled, graded, source, how)
    measured = checkpoints.in_parts(
        rows, lambda part: measure_families(bench, part), key=key, size=PART
    )
    return examine(bench, rows, measured, source, how)


def families(
    recalled: pd.DataFrame, graded: pd.DataFrame, source: RelationSets, how: DegenerateNeurons
) -> pd.DataFrame:
    """Return the neurons to combine: each fact's strongest, and matched random ones.

    Every fact is asked in one of the paraphrases that were answered right, and sets are confirmed
    in the next one; which paraphrase comes first rotates over facts.

    Returns:
        `fact`, `relation`, `draw` (-1 the fact's own), `random`, `template`, `held_out` (template
        of the confirmation, -1 if only one was answered right), `members` (flat, best first).
    """
    best = graded[graded["rank"] < how.search.candidates].sort_values(["fact", "rank"])
    right = recalled[recalled["correct"] & recalled["fact"].isin(best["fact"].unique())]
    ways = right.sort_values("template").groupby("fact")["template"].agg(list)
    rows = []
    for i, (name, own) in enumerate(best[best["fact"].isin(ways.index)].groupby("fact")):
        fact, chosen = str(name), own["neuron"].to_numpy(np.int64)
        templates = ways[fact]
        first = templates[i % len(templates)]
        other = templates[(i + 1) % len(templates)] if len(templates) > 1 else ABSENT
        rng = np.random.default_rng([how.seed, *fact.encode()])
        sets = [chosen, *source.matched(chosen, n_draws=how.search.n_draws, rng=rng)]
        for draw, members in enumerate(sets, start=REAL):
            info = (fact, own["relation"].iloc[0], draw, draw != REAL, first, other)
            rows.append((*info, members.tolist()))
    return pd.DataFrame(rows, columns=[*FAMILY, "members"])


def measure_families(bench: Bench, rows: pd.DataFrame) -> pd.DataFrame:
    """Suppress every neuron and every pair of each family.

    Returns:
        `fact`, `draw`, `members` (rising), `clean` and `drop` (nats).
    """
    requests = [
        Request(fact, int(template), up_to_pairs(members))
        for fact, template, members in zip(
            rows["fact"], rows["template"], rows["members"], strict=True
        )
    ]
    tables = [
        pd.DataFrame(
            {"members": list(map(list, one.drops)), "drop": list(one.drops.values())}
        ).assign(fact=fact, draw=draw, clean=one.clean)
        for fact, draw, one in zip(
            rows["fact"], rows["draw"], bench.suppress(requests), strict=True
        )
    ]
    return pd.concat(tables, ignore_index=True)


def examine(
    bench: Bench,
    rows: pd.DataFrame,
    measured: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
) -> FoundSets:
    """Judge all sets, grow larger ones, confirm what is found, and try its neurons elsewhere.

    `degenerate` are the sets that are found and, on the other paraphrase, confirmed: there too
    every proper subset stays small and the surplus exceeds the same threshold. Where a language has
    one paraphrase alone nothing can be confirmed, and found is all that is asked. Random sets go
    through every step as the facts' own do.

    Args:
        bench: The model and its prompts.
        rows: The families.
        measured: Their singles and pairs, from `measure`.
        source: Activation sizes, for the controls.
        how: How far to search, and what makes a set degenerate.
    """
    drops = _by_family(measured)
    for size in range(3, how.search.max_size + 1):
        _grow(bench, rows, drops, how, size=size)
    sets = degeneracy.judge(_table(rows, drops), how.rule, seed=how.seed)
    sets = _confirmed(bench, sets, small=how.rule.small)
    asked = rows[rows["draw"] == REAL]
    sets = sets.assign(elsewhere=both_matter(bench, asked, sets, source, how))
    pairs = _pairs(sets[sets["size"] == 2], drops)
    return FoundSets(pairs, sets[sets["found"]].reset_index(drop=True))


def _by_family(measured: pd.DataFrame) -> dict[Key, Suppressed]:
    return {
        (str(part["fact"].iloc[0]), int(part["draw"].iloc[0])): Suppressed(
            float(part["clean"].iloc[0]),
            {
                tuple(map(int, members)): drop
                for members, drop in zip(part["members"], part["drop"].tolist(), strict=True)
            },
        )
        for _, part in measured.groupby(["fact", "draw"])
    }


def _grow(
    bench: Bench,
    rows: pd.DataFrame,
    drops: Mapping[Key, Suppressed],
    how: DegenerateNeurons,
    *,
    size: int,
) -> None:
    """Add larger sets to the measured ones."""
    wanted = []
    for row in store.records(rows):
        known = drops[row["fact"], row["draw"]].drops
        sets = degeneracy.grown(
            known, row["members"], size=size, small=how.rule.small, beam=how.search.beam
        )
        wanted.append(Request(row["fact"], row["template"], sets))
    for row, new in zip(store.records(rows), bench.suppress(wanted), strict=True):
        drops[row["fact"], row["draw"]].drops.update(new.drops)


def _table(rows: pd.DataFrame, drops: Mapping[Key, Suppressed]) -> pd.DataFrame:
    tables = []
    for row in store.records(rows):
        one = drops[row["fact"], row["draw"]]
        info = {name: row[name] for name in FAMILY}
        tables.append(degeneracy.describe(one.drops).assign(clean=one.clean, **info))
    return pd.concat(tables, ignore_index=True)


def _confirmed(bench: Bench, sets: pd.DataFrame, *, small: float) -> pd.DataFrame:
    """Add `held_out_surplus` (NaN unless found), `confirmed` and `degenerate`."""
    again = sets[sets["found"] & (sets["held_out"] != ABSENT)]
    wanted = [
        Request(fact, int(template), [*degeneracy.parts(members), members])
        for fact, template, members in zip(
            again["fact"], again["held_out"], again["members"], strict=True
        )
    ]
    seen = [degeneracy.describe(one.drops).iloc[-1] for one in bench.suppress(wanted)]
    surplus = pd.Series([float(s["surplus"]) for s in seen], index=again.index, dtype="float64")
    largest = pd.Series([float(s["largest"]) for s in seen], index=again.index, dtype="float64")
    holds = (surplus > again["threshold"]) & (largest <= small)
    confirmed = holds.reindex(sets.index, fill_value=False)
    return sets.assign(
        held_out_surplus=surplus.reindex(sets.index),
        confirmed=confirmed,
        degenerate=sets["found"] & (confirmed | (sets["held_out"] == ABSENT)),
    )


def _pairs(sets: pd.DataFrame, drops: Mapping[Key, Suppressed]) -> pd.DataFrame:
    """Spell pairs out: their two neurons, each one's drop, and the interactions."""
    rows = []
    for fact, draw, (a, b) in zip(sets["fact"], sets["draw"], sets["members"], strict=True):
        one = drops[fact, draw]
        known: Sequence[float] = [one.drops[(a,)], one.drops[(b,)], one.drops[a, b]]
        lost = degeneracy.log_odds(one.clean - np.array([0.0, *known]))
        odds = float(lost[1] + lost[2] - lost[0] - lost[3])
        rows.append((a, b, *known[:2], degeneracy.interaction(one.drops, a, b), odds))
    names = ["a", "b", "drop_a", "drop_b", "interaction", "log_odds_interaction"]
    spelt = pd.DataFrame(rows, columns=names, index=sets.index)
    return pd.concat([sets.drop(columns=["members", "size"]), spelt], axis=1).reset_index(drop=True)
