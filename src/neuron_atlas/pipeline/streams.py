"""Random numbers: a stream for each purpose, all from the one seed of params.yaml."""

import json
from hashlib import sha256

import numpy as np

Name = str | int


def stream(seed: int, *names: Name) -> np.random.Generator:
    """Return the generator of one purpose.

    Streams with different seeds or names are independent, so what one of them draws does not depend
    on which others there are, nor on how much they draw.

    Args:
        seed: The `seed` of params.yaml.
        names: The purpose: the stage's name, then what tells its draws apart, such as the language,
            the relation and the fact.
    """
    return np.random.default_rng(int.from_bytes(_digest(seed, names), "big"))


def code(seed: int, *names: Name) -> np.uint64:
    """Return 64 bits that stand for a seed and names, for draws that need no generator each."""
    return np.uint64(int.from_bytes(_digest(seed, names)[:8], "big"))


def _digest(seed: int, names: tuple[Name, ...]) -> bytes:
    return sha256(json.dumps([seed, *names]).encode("utf-8")).digest()
