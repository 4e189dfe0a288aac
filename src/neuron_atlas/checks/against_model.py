"""Check the parameters whose range the model decides."""

from pathlib import Path

from neuron_atlas.checks import rules
from neuron_atlas.model.preview import ModelFacts
from neuron_atlas.wording import templates


def check(model: ModelFacts, *, site: str, k: int, source: str, folder: Path) -> None:
    """Check what is known of the model against the parameters that depend on it.

    Args:
        model: What is known; what is None is left unchecked.
        site: `activations.site`.
        k: `relation_neurons.k`.
        source: `facts.source`.
        folder: `facts.templates`.

    Raises:
        ValueError: a value is refused; the message names its key and what would be accepted.
    """
    if model.architecture is not None:
        rules.site(site, model.model_type, model.architecture)
        encoder = model.architecture.encoder or source != "builtin"
        rules.templates(templates.lint(folder, encoder=encoder))
    if model.n_layers is not None and model.n_neurons is not None:
        rules.size(k, n_layers=model.n_layers, n_neurons=model.n_neurons)
