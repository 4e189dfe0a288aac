"""Judge the claims of the literature on relation neurons, in words and figures."""

import numpy as np
import pandas as pd

from neuron_atlas.findings.effects import ITEM, against_random
from neuron_atlas.findings.verdict import ALPHA, Verdict, Word, harm
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.statistics.estimates import Estimate, excess_over_draws


def relation_neurons_exist(table: pd.DataFrame, *, negligible: float) -> Verdict:
    """Judge whether a relation's held-out facts need its neurons more than random sets."""
    within = table["relation"] == table["measured"]
    own, random = (
        table[within & (table["kind"] == "set")],
        table[within & (table["kind"] == "random")],
    )
    found = against_random(own, random)
    effect, p_value = found.excess()
    because = (
        f"Without a relation's neurons its held-out answers change by {found.effect.mean():+.2f} "
        f"nats, without matched random neurons by {found.draws.mean():+.2f}; typed accuracy goes "
        f"from {found.before.mean():.2f} to {found.after.mean():.2f} "
        f"(random {found.random_after.mean():.2f})."
    )
    return Verdict(harm(effect, p_value, negligible=negligible), effect, p_value, because)


def versatility_relations(
    table: pd.DataFrame, cells: pd.DataFrame, shared: tuple[int, int], *, negligible: float
) -> Verdict:
    """Judge whether a relation's neurons serve other relations: switching them off harms those.

    Args:
        table: Measured interventions.
        cells: The corrected table of relation x relation effects.
        shared: Pairs of relations whose sets overlap beyond chance, and all pairs.
        negligible: Harm, in nats, that is too small to matter.
    """
    across = table["relation"] != table["measured"]
    own, random = (
        table[across & (table["kind"] == "set")],
        table[across & (table["kind"] == "random")],
    )
    effect, p_value = against_random(own, random).excess()
    off = cells[cells["relation"] != cells["measured"]]
    harmed = off[(off["q_value"] < ALPHA) & (off["excess"] < 0)]
    because = (
        f"{len(harmed)} of {len(off)} other-relation cells are harmed beyond random after "
        f"correction; {shared[0]} of {shared[1]} pairs of sets overlap beyond chance."
    )
    return Verdict(harm(effect, p_value, negligible=negligible), effect, p_value, because)


def versatility_languages(table: pd.DataFrame, *, negligible: float) -> Verdict | None:
    """Judge whether neurons found in one language serve the relation in others; None with one."""
    table = table[table["source"] != POOLED]
    foreign = table["source"] != table["language"]
    mean, p_value, because = {}, {}, ""
    for name, mask in (("across", foreign), ("within", ~foreign)):
        own = table[mask & (table["kind"] == "transfer")]
        random = table[mask & (table["kind"] == "transfer_random")]
        keys = {"relation": own["relation"] + "|" + own["source"]}
        control = {"relation": random["relation"] + "|" + random["source"]}
        if own.empty:
            continue
        mean[name], p_value[name] = against_random(
            own.assign(**keys), random.assign(**control)
        ).excess()
    if "across" not in mean:
        return None
    because = (
        f"Neurons found in another language change held-out answers by {mean['across'].mean:+.2f} "
        "nats beyond random"
    )
    if "within" in mean:
        because += f", those found in the same language by {mean['within'].mean:+.2f}"
    word = harm(mean["across"], p_value["across"], negligible=negligible)
    return Verdict(word, mean["across"], p_value["across"], because + ".")


def cumulativity(items: pd.DataFrame, table: pd.DataFrame, *, negligible: float) -> Verdict | None:
    """Judge whether the weaker half of a set still adds harm: it is not all in a few neurons.

    Tested: the growth of the harm from half of the set (by rank) to all of it, beyond the growth
    for matched random sets of the same sizes. None for sets too small to be halved.
    """
    sizes = sorted(items.loc[items["order"] == "rank", "k"].unique())
    if len(sizes) < 2:
        return None
    full = int(sizes[-1])
    half = int(min(sizes[:-1], key=lambda k: abs(k - full / 2)))
    rank = items[items["order"] == "rank"].pivot_table(
        index=["relation", *ITEM], columns="k", values="effect"
    )
    growth = (rank[full] - rank[half]).sort_index()
    draws = _random_growth(table, half, full).reindex(growth.index)
    effect, p_value = excess_over_draws(
        growth.to_numpy(np.float64),
        draws.to_numpy(np.float64).T,
        growth.index.get_level_values("fact").to_numpy(),
    )
    tenth = min(rank.columns.to_numpy(np.int64), key=lambda k: abs(k - full / 10))
    first = int(tenth)
    because = (
        f"The best {first} of {full} neurons change answers by {rank[first].mean():+.2f} nats, the "
        f"best {half} by {rank[half].mean():+.2f}, all {full} by {rank[full].mean():+.2f}."
    )
    return Verdict(harm(effect, p_value, negligible=negligible), effect, p_value, because)


def _random_growth(table: pd.DataFrame, half: int, full: int) -> pd.DataFrame:
    within = table[table["relation"] == table["measured"]]
    some = within[(within["order"] == "matched_random") & (within["k"] == half)]
    every = within[(within["kind"] == "random") & within["draw"].isin(some["draw"].unique())]
    keys = ["relation", *ITEM]
    small = some.pivot_table(index=keys, columns="draw", values="effect")
    return (
        every[every["k"] == full].pivot_table(index=keys, columns="draw", values="effect") - small
    )


def interference(cells: pd.DataFrame, *, negligible: float) -> Verdict:
    """Judge whether some relation improves when another relation's neurons are switched off.

    An improvement counts if it is significant after correction over all other-relation cells and
    its interval reaches beyond `negligible`. Only answers that were right are measured.
    """
    off = cells[cells["relation"] != cells["measured"]]
    improved = off[(off["q_value"] < ALPHA) & (off["excess"] > 0) & (off["high"] > negligible)]
    best = (improved if len(improved) else off).sort_values("excess").iloc[-1]
    effect = Estimate(float(best["excess"]), float(best["low"]), float(best["high"]))
    word: Word = "supported"
    if improved.empty:
        word = (
            "undecided"
            if float(off["high"].to_numpy(np.float64).max()) > negligible
            else "not supported"
        )
    such = " such" if len(improved) else ""
    because = (
        f"{len(improved)} of {len(off)} other-relation cells improve after correction; the largest"
        f"{such} change is {effect.mean:+.2f} nats ({best['measured']} without {best['relation']} "
        f"neurons, q = {best['q_value']:.3f}; its interval is not adjusted for having been picked)."
    )
    return Verdict(word, effect, float(best["q_value"]), because)
