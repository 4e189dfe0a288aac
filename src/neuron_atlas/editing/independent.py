"""The language-independent neurons of facts, by the stage's rule on the sources' scores alone."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neuron_atlas.editing.plan import Case
from neuron_atlas.language_neurons import shared
from neuron_atlas.language_neurons.build import METHOD
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.knowledge_sets import SetsByFact


def independent_neurons(
    scores: Mapping[str, pd.DataFrame], cases: Sequence[Case], rule: SharingRule
) -> SetsByFact:
    """Return each fact's language-independent neurons, best first; there may be few, or none.

    This is the definition of the stage `language_neurons`, with its settings: the `k` strongest
    neurons of each language that are positive in `share` of the paraphrases, shared by at least
    `min_languages`, or by all of a fact's languages where those are fewer. The stage's own sets are
    found in all languages, also in those in which edits are measured, so that an arm of them would
    have looked at the test. Here the fact's languages are the sources alone.

    Args:
        scores: Of each source, the scores of the paraphrases that are not measured.
        cases: The facts, each with its sources.
        rule: The section `language_neurons`.
    """
    groups: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        groups.setdefault(case.sources, []).append(case)
    found: SetsByFact = {}
    for sources, some in groups.items():
        names = {case.fact for case in some}
        own = {c: scores[c][scores[c]["fact"].isin(names)] for c in sorted(sources)}
        found |= _of_sources(own, {case.fact: case.relation for case in some}, rule)
    return found


def _of_sources(
    scores: Mapping[str, pd.DataFrame], relation: Mapping[str, str], rule: SharingRule
) -> SetsByFact:
    sets = {
        code: knowledge_sets.select(table, method=METHOD, tau=0.0, share=rule.share, k=rule.k)
        for code, table in scores.items()
    }
    members = shared.members(sets, relation)
    wanted = shared.needed(members, rule.min_languages)
    kept = shared.in_enough_languages(shared.languages_per_neuron(members), wanted)
    every = [knowledge_sets.neurons_by_grade(table, method=METHOD) for table in scores.values()]
    found: SetsByFact = {fact: np.empty(0, dtype=np.int64) for fact in relation}
    for item in np.unique(kept["item"].to_numpy()).tolist():
        fact = members.items[item]
        neurons = np.sort(kept.loc[kept["item"] == item, "neuron"].to_numpy(np.int64))
        rank = knowledge_sets.geometric_rank([order[fact] for order in every], neurons)
        found[fact] = neurons[np.lexsort((neurons, rank.round(9)))]
    return found
