"""Find and test the MLP neurons in which a language model keeps facts.

`import neuron_atlas as na` gives the ten names below; `docs/library.md` has an example of each.
They are loaded when they are first used (PEP 562), so that importing one room of the library, as
every stage does, runs none of the others. The library itself imports from rooms, never from here.
"""

from typing import TYPE_CHECKING

__all__ = [
    "Neuron",
    "average_precision",
    "built_in_facts",
    "integrated_gradients",
    "load_model",
    "log_probabilities",
    "matched_random",
    "read_sets",
    "record_activations",
    "switched_off",
]

if TYPE_CHECKING:
    from neuron_atlas.api.loading import built_in_facts, load_model
    from neuron_atlas.api.reading import (
        integrated_gradients,
        log_probabilities,
        record_activations,
    )
    from neuron_atlas.api.sets import average_precision, matched_random, read_sets, switched_off
    from neuron_atlas.neurons.addresses import Neuron
else:

    def __getattr__(name: str) -> object:
        """Return a public name, and load what is behind it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        room = {"load_model": "api.loading", "built_in_facts": "api.loading"}
        room |= dict.fromkeys(("log_probabilities", "record_activations"), "api.reading")
        room |= {"integrated_gradients": "api.reading", "Neuron": "neurons.addresses"}
        return getattr(import_module(f"neuron_atlas.{room.get(name, 'api.sets')}"), name)

    def __dir__() -> list[str]:
        """Return the names of the module, the public ones included."""
        return sorted({*globals(), *__all__})
