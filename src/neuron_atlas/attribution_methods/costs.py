"""What a method costs: passes of one prompt, or of its answer position from some layer on."""

from typing import NamedTuple

from neuron_atlas.attribution_methods.case import Case
from neuron_atlas.attributions.quadrature import OWN, Quadrature


class Passes(NamedTuple):
    """Passes per token of the answer, those that only check completeness left out.

    Attributes:
        forward: Forward passes; a path of one layer counts one for each of its nodes, though it
            passes only the layers above. What several methods share counts for each.
        backward: Backward passes, counted alike.
    """

    forward: int
    backward: int


def passes(case: Case) -> dict[str, Passes]:
    """Return every method's passes on one question; of `amig` before its screen, at most."""
    plan, n_layers = case.plan, case.lm.n_layers
    hidden = case.low["path"].shape[1] if plan.baseline == "occlusion" else 0
    paths = n_layers * case.low["path"].shape[1]
    adapted = _integrated(paths, plan.quadrature, first=1 + hidden)
    single = Passes(1, 1)
    return {
        "amig": adapted,
        "amig_published": adapted,
        "zero_ig": _integrated(n_layers, plan.zero_quadrature, first=1),
        "gradient_activation": single,
        "attribution_patching": single,
        "relp": single,
        "eap_ig_inputs": Passes(2 + case.input_steps, case.input_steps),
        "activation": Passes(1, 0),
        "random": Passes(0, 0),
    }


def _integrated(n_paths: int, rule: Quadrature, *, first: int) -> Passes:
    """Count the nodes of all paths; the neurons' own values are one node that all paths share."""
    own = sum(node == OWN for node in rule.nodes)
    inner = n_paths * (len(rule.nodes) - own)
    return Passes(first + inner, inner + min(own, 1))
