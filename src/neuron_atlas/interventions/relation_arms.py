"""Which sets and controls are measured on one relation's facts in stage `interference`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from neuron_atlas.arms.arm import Arm, Scaled
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.settings import Interference
from neuron_atlas.neurons.language_sets import LanguageSets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline.streams import stream

ZERO = "(zero)"  # the table that switches language-specific neurons off; no relation's name


def interference_arms(
    asked: Asked, language: str, found: RelationSets, how: Interference
) -> list[Scaled]:
    """List the arms of a relation's own set and of the other relations' sets.

    Kinds: `set` (any relation's set as it is); on the relation's own set `size_matched`,
    `push_matched` and `direction` (random controls), `other_set` (another relation's set with the
    smaller of the two pushes, beside `own_scaled`, its own with the same), `dose` (parts of its
    own) and `curve` (its own and `push_matched` ones at multiples of its push); on other relations'
    sets `push_matched`.
    """
    sets = {r: _set(language, r, found, asked) for r in sorted(found.sets)}
    own = sets[asked.relation]
    others = [arm for relation, arm in sets.items() if relation != asked.relation]
    matched = list(asked.push_matched(own, found, kind="push_matched", n_draws=how.n_draws))
    planned = [Scaled(arm) for arm in (own, *others)]
    planned += asked.size_matched(own, found, kind="size_matched", n_draws=how.n_across_draws)
    planned += matched
    if asked.takes_directions:
        planned += asked.directions(own, kind="direction", n_draws=how.n_across_draws)
    planned += equal_pairs(own, others)
    for arm in others:
        planned += asked.push_matched(arm, found, kind="push_matched", n_draws=how.n_across_draws)
    planned += _doses(own, [one.arm for one in matched], asked, how)
    planned += _curves(own, [one.arm for one in matched[: how.n_dose_draws]], how.pushes)
    return planned


def few_arms(planned: Sequence[Scaled], relation: str, *, n_draws: int) -> list[int]:
    """Return the places of a relation's own set and of fewer controls of it.

    They are measured with demonstrations and on seen answers, which carry no verdict.
    """
    return [
        i
        for i, one in enumerate(planned)
        if one.arm.kind in {"set", "push_matched"}
        and one.arm.relation == relation
        and one.arm.draw < n_draws
    ]


def written_arms(asked: Asked, language: str, found: RelationSets, *, n_draws: int) -> list[Scaled]:
    """List the arms under which texts are read: a relation's own set and the first controls."""
    own = _set(language, asked.relation, found, asked)
    controls = asked.push_matched(own, found, kind="push_matched", n_draws=n_draws)
    return [Scaled(own), *controls]


def equal_pairs(own: Arm, others: Sequence[Arm], prefix: str = "") -> Iterator[Scaled]:
    """Compare a set with each other one at the smaller of their pushes.

    The larger is scaled down. Scaled up, a set that hardly moves on these questions would be driven
    far beyond the values that its neurons take, which installs its own relation.
    """
    for arm in others:
        other = replace(arm, kind=f"{prefix}other_set")
        yield Scaled(other, (own, other))
        yield Scaled(replace(own, kind=f"{prefix}own_scaled", order=arm.relation), (own, other))


def transfer_arms(
    asked: Asked, found: Mapping[str, RelationSets], how: Interference
) -> list[Scaled]:
    """List the arms of every source's set for a relation, on its facts in one language.

    Kinds: `transfer` (the source's set), `transfer_matched` (random controls of equal push), and
    `transfer_other_set` (sets of other relations from the same source) beside `transfer_own_scaled`
    at equal push.
    """
    planned: list[Scaled] = []
    for source in sorted(found):
        sets = found[source].sets
        if asked.relation not in sets:
            continue
        own = replace(_set(source, asked.relation, found[source], asked), kind="transfer")
        planned.append(Scaled(own))
        n = how.n_across_draws
        planned += asked.push_matched(own, found[source], kind="transfer_matched", n_draws=n)
        drawn = asked.drawn(source, sorted(sets), how.n_others)
        others = [_set(source, relation, found[source], asked) for relation in drawn]
        planned += equal_pairs(own, others, prefix="transfer_")
    return planned


def specific_arms(
    asked: Asked, found: Mapping[str, RelationSets], specific: LanguageSets
) -> list[Scaled]:
    """List the arms that compare each source's set with neurons that serve its language.

    Kinds: `specific_set` (the source's set, as it is), and `specific_other_set` (at most as many
    neurons that are active in the source's language and in few others, set to 0, none of which sets
    may not hold) beside `specific_own_scaled`, both with the smaller of the two pushes. Set to
    their mean over prompts of one language, language-specific neurons would hardly move. A source
    without such neurons has no arms.
    """
    planned: list[Scaled] = []
    for source in sorted(set(found) & set(specific)):
        if asked.relation in found[source].sets:
            own = replace(_set(source, asked.relation, found[source], asked), kind="specific_set")
            free = ~np.isin(specific[source], found[source].banned)
            chosen = specific[source][free][: len(own.neurons)]
            other = replace(own, kind="set", neurons=chosen, table=ZERO)
            if len(chosen):
                planned += [Scaled(own), *equal_pairs(own, [other], prefix="specific_")]
    return planned


def with_zero(asked: Asked) -> Asked:
    """Return the questions with one more table of values, that of `specific_arms`: all are 0."""
    values = next(iter(asked.tables.values()))
    return replace(asked, tables={**asked.tables, ZERO: torch.zeros_like(values)})


def _set(source: str, relation: str, found: RelationSets, asked: Asked) -> Arm:
    return Arm("set", source, relation, found.sets[relation], table=asked.table_of(relation))


def _doses(own: Arm, matched: Sequence[Arm], asked: Asked, how: Interference) -> Iterator[Scaled]:
    """List parts of a set: its best neurons, its worst, random ones, and parts of matched sets.

    Neuron i of a matched set matches the set's neuron of rank i, so its first ones are the control
    of the best, and get their push. The test of cumulativity needs the half with every draw.
    """
    size = len(own.neurons)
    half = round(0.5 * size)
    orders = [
        stream(asked.seed, *asked.names, "order", own.relation, i).permutation(own.neurons)
        for i in range(how.n_dose_draws)
    ]
    for k in dose_sizes(size, (*how.doses, 0.5)):
        best = replace(own, kind="dose", order="rank", neurons=own.neurons[:k])
        yield Scaled(best)
        yield Scaled(replace(best, order="reverse", neurons=own.neurons[-k:]))
        for i, order in enumerate(orders):
            yield Scaled(replace(best, order="random_order", neurons=order[:k], draw=i))
        for arm in matched if k == half else matched[: how.n_dose_draws]:
            part = replace(arm, kind="dose", order="push_matched", neurons=arm.neurons[:k])
            yield Scaled(part, (best,))


def dose_sizes(k: int, shares: Sequence[float]) -> list[int]:
    """Return the distinct numbers of neurons, at least one and fewer than all."""
    return sorted({max(1, round(share * k)) for share in shares} - {k})


def _curves(own: Arm, matched: Sequence[Arm], pushes: Sequence[float]) -> Iterator[Scaled]:
    for alpha in pushes:
        yield Scaled(replace(own, kind="curve", order="set", alpha=alpha), (own,))
        for arm in matched:
            yield Scaled(replace(arm, kind="curve", order="push_matched", alpha=alpha), (own,))
