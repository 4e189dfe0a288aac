"""Find which of each fact's neurons can replace one another, and confirm and test them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy
from neuron_atlas.degenerate_neurons.other_facts import both_matter_elsewhere
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.degenerate_neurons.suppression import (
    AnswerDrops,
    FactPrompts,
    PromptSets,
    up_to_pairs,
)
from neuron_atlas.facts import roles
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints, store

PART = 8  # families measured at a time
REAL, ABSENT = -1, -1  # draw of the fact's own neurons; template if no other paraphrase
Key = tuple[str, int]  # fact and draw
FAMILY = ["fact", "relation", "draw", "random", "template", "held_out"]
JUDGED = {  # columns of pairs and of sets, with their types
    **dict.fromkeys(("drop", "largest", "surplus", "clean", "audited_error"), "float64"),
    **{"fact": "str", "relation": "str", "draw": "int64", "random": "bool"},
    **{"template": "int64", "held_out": "int64", "small": "bool", "threshold": "float64"},
    **{"found": "bool", "published": "bool", "held_out_surplus": "float64"},
    **dict.fromkeys(("confirmed", "degenerate", "elsewhere"), "bool"),
}
OF_PAIRS = {
    **{"a": "int64", "b": "int64"},
    **dict.fromkeys(("drop_a", "drop_b", "interaction", "log_odds_interaction"), "float64"),
}


@dataclass(frozen=True)
class FoundSets:
    """All measured pairs, and the found sets of every size, one row each."""

    pairs: pd.DataFrame
    sets: pd.DataFrame

    @classmethod
    def none(cls) -> "FoundSets":
        """Return what there is to find where no fact is known."""
        sets = {"members": "object", "size": "int64", **JUDGED}
        return cls(store.no_rows(JUDGED | OF_PAIRS), store.no_rows(sets))


def find_sets(
    prompts: FactPrompts,
    recalled: pd.DataFrame,
    graded: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
    key: str,
) -> FoundSets:
    """Find the degenerate sets of all facts that have attributions; none if no fact has.

    Args:
        prompts: The model and its prompts.
        recalled: The recall table.
        graded: `knowledge_sets.grade_neurons`: each fact's neurons, best first.
        source: Activation sizes, which random neurons match.
        how: How far to search, and the rule for degenerate sets.
        seed: The seed.
        key: Names the finished parts on disk, so that a killed run continues where it stopped.
    """
    rows = families(recalled, graded, source, how, seed=seed)
    if rows.empty:
        return FoundSets.none()
    measured = checkpoints.in_parts(
        rows, lambda part: measure_families(prompts, part), key=key, size=PART
    )
    return judge_families(prompts, rows, measured, source, how, seed=seed)


def families(
    recalled: pd.DataFrame,
    graded: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> pd.DataFrame:
    """Return the neurons to combine: each fact's strongest, and matched random ones.

    Every fact is asked in one of its correctly answered paraphrases, and its sets are confirmed in
    the next one. Which paraphrase comes first rotates over facts.

    Returns:
        `fact`, `relation`, `draw` (-1 for the fact's own neurons), `random`, `template`, `held_out`
        (template of the confirmation, -1 if only one was answered right), `members` (flat indices,
        best first).
    """
    best = graded[graded["rank"] < how.search.candidates].sort_values(["fact", "rank"])
    usable = recalled["correct"] & roles.selecting_templates(recalled)
    right = recalled[usable & recalled["fact"].isin(best["fact"].unique())]
    ways = right.sort_values("template").groupby("fact")["template"].agg(list)
    rows = []
    for i, (name, own) in enumerate(best[best["fact"].isin(ways.index)].groupby("fact")):
        fact, chosen = str(name), own["neuron"].to_numpy(np.int64)
        templates = ways[fact]
        first = templates[i % len(templates)]
        other = templates[(i + 1) % len(templates)] if len(templates) > 1 else ABSENT
        names = ("degenerate_neurons", "families", fact)
        random = source.matched(chosen, names=names, seed=seed, n_draws=how.search.n_draws)
        sets = [chosen, *random]
        for draw, members in enumerate(sets, start=REAL):
            info = (fact, own["relation"].iloc[0], draw, draw != REAL, first, other)
            rows.append((*info, members.tolist()))
    return pd.DataFrame(rows, columns=[*FAMILY, "members"])


def measure_families(prompts: FactPrompts, rows: pd.DataFrame) -> pd.DataFrame:
    """Suppress every neuron and every pair of each family.

    Returns:
        `fact`, `draw`, `members` (rising), `clean`, `drop` and `audited_error` (nats).
    """
    requests = [
        PromptSets(fact, int(template), up_to_pairs(members))
        for fact, template, members in zip(
            rows["fact"], rows["template"], rows["members"], strict=True
        )
    ]
    tables = [
        pd.DataFrame(
            {"members": list(map(list, one.drops)), "drop": list(one.drops.values())}
        ).assign(fact=fact, draw=draw, clean=one.clean, audited_error=one.error)
        for fact, draw, one in zip(
            rows["fact"], rows["draw"], prompts.suppress(requests), strict=True
        )
    ]
    return pd.concat(tables, ignore_index=True)


def judge_families(
    prompts: FactPrompts,
    rows: pd.DataFrame,
    measured: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> FoundSets:
    """Judge all sets, extend them, confirm those that are found, and test them on other facts.

    A set is `degenerate` if it is found and confirmed on the other paraphrase: there too, every
    proper subset stays small and the surplus exceeds the same threshold. If there is only one
    paraphrase nothing can be confirmed, and found is enough. Random sets go through every step just
    as the facts' own sets do.

    Args:
        prompts: The model and its prompts.
        rows: The families.
        measured: Their singles and pairs, from `measure_families`.
        source: Activation sizes, which random neurons match.
        how: How far to search, and the rule for degenerate sets.
        seed: The seed.
    """
    drops = _by_family(measured)
    for size in range(3, how.search.max_size + 1):
        _grow(prompts, rows, drops, how, size=size)
    sets = degeneracy.judge(_table(rows, drops), how.rule, seed=seed)
    sets = _confirmed(prompts, sets, small=how.rule.small)
    asked = rows[rows["draw"] == REAL]
    sets = sets.assign(
        elsewhere=both_matter_elsewhere(prompts, asked, sets, source, how, seed=seed)
    )
    pairs = _pairs(sets[sets["size"] == 2], drops)
    return FoundSets(pairs, sets[sets["found"]].reset_index(drop=True))


def _by_family(measured: pd.DataFrame) -> dict[Key, AnswerDrops]:
    return {
        (str(part["fact"].iloc[0]), int(part["draw"].iloc[0])): AnswerDrops(
            float(part["clean"].iloc[0]),
            {
                tuple(map(int, members)): drop
                for members, drop in zip(part["members"], part["drop"].tolist(), strict=True)
            },
            float(part["audited_error"].iloc[0]),
        )
        for _, part in measured.groupby(["fact", "draw"])
    }


def _grow(
    prompts: FactPrompts,
    rows: pd.DataFrame,
    drops: Mapping[Key, AnswerDrops],
    how: DegenerateNeurons,
    *,
    size: int,
) -> None:
    """Measure sets of `size` and add them to `drops`."""
    wanted = []
    for row in store.records(rows):
        known = drops[row["fact"], row["draw"]].drops
        sets = degeneracy.sets_to_measure(
            known, row["members"], size=size, small=how.rule.small, beam=how.search.beam
        )
        wanted.append(PromptSets(row["fact"], row["template"], sets))
    for row, new in zip(store.records(rows), prompts.suppress(wanted), strict=True):
        drops[row["fact"], row["draw"]].drops.update(new.drops)


def _table(rows: pd.DataFrame, drops: Mapping[Key, AnswerDrops]) -> pd.DataFrame:
    tables = []
    for row in store.records(rows):
        one = drops[row["fact"], row["draw"]]
        info = {name: row[name] for name in FAMILY}
        known = {"clean": one.clean, "audited_error": one.error, **info}
        tables.append(degeneracy.describe(one.drops).assign(**known))
    return pd.concat(tables, ignore_index=True)


def _confirmed(prompts: FactPrompts, sets: pd.DataFrame, *, small: float) -> pd.DataFrame:
    """Add `held_out_surplus` (NaN unless found), `confirmed` and `degenerate`."""
    again = sets[sets["found"] & (sets["held_out"] != ABSENT)]
    wanted = [
        PromptSets(fact, int(template), [*degeneracy.proper_subsets(members), members])
        for fact, template, members in zip(
            again["fact"], again["held_out"], again["members"], strict=True
        )
    ]
    seen = [degeneracy.describe(one.drops).iloc[-1] for one in prompts.suppress(wanted)]
    surplus = pd.Series([float(s["surplus"]) for s in seen], index=again.index, dtype="float64")
    largest = pd.Series([float(s["largest"]) for s in seen], index=again.index, dtype="float64")
    holds = (surplus > again["threshold"]) & (largest <= small)
    confirmed = holds.reindex(sets.index, fill_value=False)
    return sets.assign(
        held_out_surplus=surplus.reindex(sets.index),
        confirmed=confirmed,
        degenerate=sets["found"] & (confirmed | (sets["held_out"] == ABSENT)),
    )


def _pairs(sets: pd.DataFrame, drops: Mapping[Key, AnswerDrops]) -> pd.DataFrame:
    """Describe each pair: its two neurons, the drop of each, and the interactions."""
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
