"""Every stage whose cost grows with the model or the facts: its work, and what it is run on."""

from collections.abc import Callable, Mapping

from neuron_atlas.costs import asking, explaining
from neuron_atlas.costs.passes import Passes, Work
from neuron_atlas.costs.settings import Settings

Formula = Callable[[Passes, Settings], Work]
WORK: Mapping[str, Formula] = {
    "answers": asking.answers,
    "recall": asking.recall,
    "activations": asking.activations,
    "relation_neurons": asking.relation_neurons,
    "interference": asking.interference,
    "sufficiency": asking.sufficiency,
    "other_selectors": asking.other_selectors,
    "language_specific": asking.language_specific,
    "transfer": asking.transfer,
    "attributions": explaining.attributions,
    "attribution_methods": explaining.attribution_methods,
    "selection": explaining.selection,
    "degenerate_neurons": explaining.degenerate_neurons,
    "editing": explaining.editing,
    "cards": explaining.cards,
}
PER_LANGUAGE = frozenset(
    {
        *("answers", "recall", "activations", "interference", "sufficiency", "other_selectors"),
        *("attributions", "attribution_methods", "selection", "degenerate_neurons"),
    }
)
WITHOUT_MODEL = frozenset({"relation_neurons"})


def work(given: Passes, how: Settings) -> dict[str, Work]:
    """Return the work of every stage, of the whole run."""
    return {name: formula(given, how) for name, formula in WORK.items()}
