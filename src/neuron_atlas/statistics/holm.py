"""Holm's correction of a few p-values."""

import numpy as np
from jaxtyping import Float, Float64


def holm(p: Float[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """Return each p adjusted so that the chance of any false rejection is below the level.

    Holm 1979 (Scandinavian Journal of Statistics 6): the i-th smallest of m is multiplied by
    m - i + 1, and none is below a smaller one's. Valid under any dependence. NaN, a test that was
    not made, stays NaN and is not counted.

    Returns:
        p in [0, 1], never below the raw one, in the same order.

    Raises:
        ValueError: a p is outside [0, 1].
    """
    made = ~np.isnan(p)
    if ((p[made] < 0) | (p[made] > 1)).any():
        raise ValueError(f"expected p in [0, 1] or NaN, got {p}")
    adjusted = np.full(len(p), np.nan)
    order = np.flatnonzero(made)[np.argsort(p[made], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1)
    return adjusted
