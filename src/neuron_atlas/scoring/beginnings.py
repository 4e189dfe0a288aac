"""Answers that are the beginning of other answers: `km` before `km/h`.

A text that begins with `km/h` begins with `km` too, so that teacher-forced probabilities favour the
shorter answer, which contains the longer one. Here an answer means itself *and none of the
candidates that continue it*: from P(km) is subtracted P(km/h). The definition is ours. What is left
are the probabilities of events that exclude one another, so they sum to at most 1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from neuron_atlas.model.tokens import Text

LEAST = float(np.finfo(np.float32).eps)  # share of P that float32 can tell from nothing


def beginnings(texts: Sequence[Text]) -> list[tuple[int, int]]:
    """Return the pairs of a candidate and another whose tokens continue its own.

    Of candidates that continue one another only the next is paired: in `km`, `km/h`, `km/h2` the
    first with the second and the second with the third. So those paired with one candidate exclude
    one another, and with them all that continue it are covered. Of candidates with the same tokens
    the first alone continues others.
    """
    first: dict[Text, int] = {}
    for i, text in enumerate(texts):
        first.setdefault(text, i)
    longest = {text: _longest_beginning(text, first) for text in first}
    return [
        (i, first[text])
        for text, beginning in longest.items()
        if beginning is not None
        for i, other in enumerate(texts)
        if other == beginning
    ]


def _longest_beginning(text: Text, known: dict[Text, int]) -> Text | None:
    shorter = (text[:n] for n in range(len(text) - 1, 0, -1))
    return next((beginning for beginning in shorter if beginning in known), None)


def without_continuations(
    values: Float[np.ndarray, "*arm candidate"],
    texts: Sequence[Text],
    complete: Bool[np.ndarray, "*arm candidate"] | None = None,
) -> Float[np.ndarray, "*arm candidate"]:
    """Return the log-probability of each candidate and none of those that continue it, in nats.

    No value is raised. Where rounding leaves nothing of a candidate, it keeps the share of its
    probability that float32 can tell from nothing: values stay finite.

    This holds where answers are read from left to right, not for an encoder, whose candidates of
    different lengths are seen behind different masks: there such pairs stay rivals.

    Args:
        values: Log-probability of each candidate, nats, or an upper bound of it.
        texts: The candidates' tokens.
        complete: Where a value is no bound but exact; by default everywhere. A continuation of
            which only a bound is known is not subtracted, so that upper bounds stay upper bounds.
    """
    pairs = np.array(beginnings(texts), dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        return values
    short, long = pairs.T
    share = np.exp(np.minimum(values[..., long] - values[..., short], 0.0))
    if complete is not None:
        share = np.where(complete[..., long], share, 0.0)
    taken = share @ (short[:, None] == np.arange(len(texts)))
    result: Float[np.ndarray, "*arm candidate"] = values + np.log1p(-np.minimum(taken, 1 - LEAST))
    return result
