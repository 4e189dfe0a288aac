"""What is scored in each language: relations, with and without siblings, and chimeras."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from neuron_atlas.activations.files import Recorded
from neuron_atlas.detectors import chimeras, eligible
from neuron_atlas.detectors.blocks import Unit
from neuron_atlas.detectors.eligible import Eligible
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.relation_neurons.scores import Cast
from neuron_atlas.relation_neurons.settings import SetPlan


@dataclass(frozen=True)
class Language:
    """One language's activations, what is scored on them, and what the scores depend on."""

    values: Recorded
    eligible: Eligible
    cast: Cast


def languages(
    values: Mapping[str, Recorded],
    siblings: Mapping[str, Collection[str]],
    plan: SetPlan,
    *,
    seed: int,
) -> dict[str, Language]:
    """Return what is scored in each language.

    A language's own chimeras depend on its relations alone. Others are dealt from the blocks of all
    languages, so that they can be pooled; a language scores those of which it has all blocks.

    Args:
        values: Each language's recorded values.
        siblings: By relation, its siblings; see `siblings.find`.
        plan: Floors, and how many chimeras.
        seed: Of the chimeras.

    Raises:
        ValueError: no language has two relations with enough known facts.
    """
    found = {
        language: eligible.find(
            one.index, min_facts=plan.min_facts, min_positives=plan.min_positives
        )
        for language, one in values.items()
    }
    if not any(one.relations for one in found.values()):
        raise ValueError(
            f"no language of {list(values)} has two relations with {plan.min_facts} known facts "
            "in each half; lower relation_neurons.min_facts or min_positives"
        )
    shared = _shared(list(found.values()), plan, seed)
    return {
        language: Language(
            values[language], one, _cast(language, one, siblings, shared, plan, seed)
        )
        for language, one in found.items()
    }


def _shared(found: Sequence[Eligible], plan: SetPlan, seed: int) -> tuple[Unit, ...]:
    """Deal the chimeras that are pooled."""
    first, second = (
        frozenset().union(*half) for half in zip(*(f.blocks for f in found), strict=True)
    )
    testing = {r: block for one in found for r, block in one.testing.items()}
    rng = stream(seed, "relation_neurons", "chimeras")
    return chimeras.deal(first, second, testing, n=plan.n_chimeras, rng=rng)


def _cast(
    language: str,
    found: Eligible,
    siblings: Mapping[str, Collection[str]],
    shared: Sequence[Unit],
    plan: SetPlan,
    seed: int,
) -> Cast:
    rng = stream(seed, "relation_neurons", "chimeras", language)
    own = chimeras.deal(*found.blocks, found.testing, n=plan.n_chimeras, rng=rng)
    names = {unit.name for unit in found.relations}
    apart = tuple(
        replace(unit, ignored=tuple(sorted(siblings[unit.name])))
        for unit in found.relations
        if names - {unit.name, *siblings.get(unit.name, names)}  # there are negatives left
    )
    return Cast(found.relations, apart, own, chimeras.usable(shared, found))
