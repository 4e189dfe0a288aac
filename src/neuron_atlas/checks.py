"""Parameters that are right by themselves and wrong together."""

from collections.abc import Mapping, Sequence
from typing import Any


def languages(chosen: Sequence[str], available: Sequence[str]) -> None:
    """Require templates for every chosen language.

    Raises:
        ValueError: a language is unknown; the message lists the available ones.
    """
    unknown = [code for code in chosen if code not in available]
    if unknown:
        raise ValueError(
            f"languages: no templates for {unknown}; available: {list(available)}. Add "
            "src/neuron_atlas/templates/<code>.yaml to have another"
        )


def size(k: int, provenance: Mapping[str, Any]) -> None:
    """Require a set to be smaller than the model.

    Raises:
        ValueError: `k` is not in [1, number of neurons).
    """
    n = int(provenance["n_layers"]) * int(provenance["n_neurons"])
    if not 1 <= k < n:
        raise ValueError(
            f"relation_neurons.k must be in [1, {n}) for {provenance['n_layers']} layers of "
            f"{provenance['n_neurons']} neurons, got {k}"
        )


def demonstrations(shots: int, facts: Mapping[str, Any]) -> None:
    """Require enough development facts to show, as far as the parameters tell.

    Raises:
        ValueError: the development share of the largest relation is smaller than `shots`.
    """
    most = round(facts["development_share"] * facts["max_per_relation"])
    if shots > most:
        raise ValueError(
            f"recall.shots is {shots}, but facts.development_share "
            f"{facts['development_share']} of {facts['max_per_relation']} facts leaves {most} to "
            "show; lower the one or raise the other"
        )
