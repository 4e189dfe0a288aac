"""What the public names accept as text and as neurons."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int64

from neuron_atlas.neurons import addresses
from neuron_atlas.neurons.addresses import Neuron


def as_texts(value: Iterable[str], name: str, *, one: bool = True) -> list[str]:
    """Return texts as a list, once each is one; `one` says whether a single text will do."""
    if isinstance(value, str):
        if not one:
            raise TypeError(f"{name} must be a list of texts, got the text {value!r}")
        value = [value]
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be texts, got {value!r}")
    found = list(value)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{place}] must be text, got {text!r}")
        if not text.strip():
            raise ValueError(f"{name}[{place}] is empty, got {text!r}")
    if not found:
        raise ValueError(f"expected at least one of {name}, got none")
    return found


def as_flat(neurons: Iterable[Neuron], shape: tuple[int, int]) -> Int64[np.ndarray, " k"]:
    """Return flat indices, once every neuron is one of [layer, neuron]."""
    listed = list(neurons)
    for one in listed:
        if not isinstance(one, Neuron):
            raise TypeError(
                f"expected neurons, as Neuron(layer, index), got {one!r}; a table's flat index i is"
                f" Neuron(*divmod(i, {shape[1]}))"
            )
        if not (0 <= one.layer < shape[0] and 0 <= one.index < shape[1]):
            raise ValueError(
                f"expected a layer in [0, {shape[0]}) and an index in [0, {shape[1]}), got {one}; "
                "is it a neuron of another model?"
            )
    return addresses.to_flat(listed, shape[1])
