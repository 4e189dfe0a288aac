"""Find which of each fact's neurons can replace one another, and confirm and test them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from neuron_atlas.degenerate_neurons import degeneracy, families
from neuron_atlas.degenerate_neurons.confirmation import confirmed
from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, Members
from neuron_atlas.degenerate_neurons.families import Family, Key
from neuron_atlas.degenerate_neurons.other_facts import both_matter_elsewhere
from neuron_atlas.degenerate_neurons.settings import DegenerateNeurons
from neuron_atlas.degenerate_neurons.suppression import FactPrompts, PromptSets
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints, store

METHOD = "attribution"  # whose scores grade a fact's neurons
PART = 4  # facts measured at a time
TEXT, NUMBER, WHOLE, TRUTH = "object", "float64", "int64", "bool"
JUDGED = {
    **{"size": WHOLE, "drop": NUMBER, "largest": NUMBER, "surplus": NUMBER, "clean": NUMBER},
    **{"audited_error": NUMBER, "fact": TEXT, "relation": TEXT, "kind": TEXT, "draw": WHOLE},
    **{"template": WHOLE, "held_out": WHOLE, "shown": WHOLE, "small": TRUTH, "threshold": NUMBER},
    **{"found": TRUTH, "opposed": TRUTH, "published": TRUTH, "held_out_surplus": NUMBER},
    **{"confirmed": TRUTH, "shown_surplus": NUMBER, "shown_confirmed": TRUTH, "testable": TRUTH},
    **{"degenerate": TRUTH, "opposite": TRUTH, "elsewhere": TRUTH},
}  # the columns of sets
OF_PAIRS = {
    **{"a": WHOLE, "b": WHOLE, "own_a": WHOLE, "own_b": WHOLE, "drop_a": NUMBER, "drop_b": NUMBER},
    **{"interaction": NUMBER, "log_odds_interaction": NUMBER, "mismatch": NUMBER},
}  # those that pairs have beside


@dataclass(frozen=True)
class FoundSets:
    """All measured pairs, and the sets of every size that were found or opposed, one row each."""

    pairs: pd.DataFrame
    sets: pd.DataFrame

    @classmethod
    def none(cls) -> "FoundSets":
        """Return the tables of a language of which no fact is known."""
        of_pairs = {**JUDGED, **OF_PAIRS}
        del of_pairs["size"]
        return cls(store.no_rows(of_pairs), store.no_rows({"members": TEXT, **JUDGED}))


def find_sets(
    prompts: FactPrompts,
    recalled: pd.DataFrame,
    scores: pd.DataFrame,
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
        scores: Stored attributions; `METHOD` grades each fact's neurons.
        source: Activation sizes, which random neurons match.
        how: How far to search, and the rule for degenerate sets.
        seed: The seed.
        key: Names the finished parts on disk, so that a killed run continues where it stopped.
    """
    if scores.empty:
        return FoundSets.none()
    graded = knowledge_sets.grade_neurons(scores, method=METHOD)
    rows = families.choose(prompts, recalled, graded, source, how, seed=seed)
    if rows.empty:
        return FoundSets.none()
    width, small = source.size.shape[1], how.rule.small
    run = partial(families.measure, prompts, small=small, width=width)
    measured = checkpoints.in_parts(rows, run, key=key, size=PART)
    return judge_families(prompts, rows, measured, source, how, seed=seed)


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

    Controls, matched and random ones, go through every step just as the facts' own sets do.

    Args:
        prompts: The model and its prompts.
        rows: From `families.choose`.
        measured: Their singles and pairs, from `families.measure`.
        source: Activation sizes, which random neurons match.
        how: How far to search, and the rule for degenerate sets.
        seed: The seed.
    """
    found = families.by_key(measured)
    for size in range(3, how.search.max_size + 1):
        _grow(prompts, rows, found, how, size=size)
    described = _described(rows, found)
    if described.empty:
        return FoundSets.none()
    sets = degeneracy.judge(described, how.rule, seed=seed)
    sets = confirmed(prompts, sets, small=how.rule.small)
    sets = sets.assign(elsewhere=both_matter_elsewhere(prompts, rows, sets, source, how, seed=seed))
    pairs = _pairs(sets[sets["size"] == 2], found)
    strange = sets["found"] | sets["opposed"]
    kept = sets[strange].reset_index(drop=True)
    return FoundSets(_typed(pairs, {**JUDGED, **OF_PAIRS}), _typed(kept, JUDGED))


def _typed(table: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    return table.astype({name: kind for name, kind in kinds.items() if name in table})


def _grow(
    prompts: FactPrompts,
    rows: pd.DataFrame,
    found: Mapping[Key, Family],
    how: DegenerateNeurons,
    *,
    size: int,
) -> None:
    """Measure sets of `size` of all families, a fact's together, and add them to these."""
    asked, wanted = [], []
    for row, own in families.of_each_fact(rows, found):
        sets = {key: _larger(family, how, size=size) for key, family in own.items()}
        every = list(dict.fromkeys(s for some in sets.values() for s in some))
        asked.append(sets)
        wanted.append(PromptSets(row["fact"], row["template"], every))
    for sets, new in zip(asked, prompts.suppress(wanted), strict=True):
        for key, some in sets.items():
            found[key].measured.drops.update({s: new.drops[s] for s in some})


def _larger(family: Family, how: DegenerateNeurons, *, size: int) -> list[Members]:
    known = family.measured
    return degeneracy.sets_to_measure(
        known.clean,
        known.drops,
        family.members,
        size=size,
        small=how.rule.small,
        beam=how.search.beam,
    )


def _described(rows: pd.DataFrame, found: Mapping[Key, Family]) -> pd.DataFrame:
    """Return all sets of two and more, with what `degeneracy.describe` says of them."""
    tables = []
    for row, own in families.of_each_fact(rows, found):
        for (_, kind, draw), family in own.items():
            one = family.measured
            info = {name: row[name] for name in families.PROMPTS}
            measured = {"clean": one.clean, "audited_error": one.error}
            if len(family.members) > 1:
                sets = degeneracy.describe(one.clean, one.drops)
                tables.append(sets.assign(**measured, kind=kind, draw=draw, **info))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _pairs(sets: pd.DataFrame, found: Mapping[Key, Family]) -> pd.DataFrame:
    """Describe each pair: its neurons, what they match, the drop of each, and interactions.

    `own_a` and `own_b`, rising, are the pair that a control is matched to; a fact's own pair is
    matched to itself. `mismatch` is the mean absolute difference of the drops of a control's two
    neurons from those that they match, nats; NaN for other pairs.
    """
    rows = []
    keys = sets[["fact", "kind", "draw"]].itertuples(index=False, name=None)
    for (fact, kind, draw), (a, b) in zip(keys, sets["members"], strict=True):
        family = found[fact, kind, draw]
        drops = family.measured.drops
        odds = degeneracy.in_log_odds(family.measured.clean, drops)
        own, apart = family.matched((a, b)), np.nan
        if kind == MATCHED:
            known = found[fact, OWN, 0].measured.drops
            apart = (abs(drops[a,] - known[own[0],]) + abs(drops[b,] - known[own[1],])) / 2
        between = (degeneracy.interaction(one, a, b) for one in (drops, odds))
        rows.append((a, b, *sorted(own), drops[a,], drops[b,], *between, apart))
    spelt = pd.DataFrame(rows, columns=list(OF_PAIRS), index=sets.index)
    return pd.concat([sets.drop(columns=["members", "size"]), spelt], axis=1).reset_index(drop=True)
