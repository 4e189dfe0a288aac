"""Compare ways of testing many small cells at once, on simulated cells."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import stdtr

from neuron_atlas.statistics.max_t import moderated

N_SIGNS = 199
Cells = Float[np.ndarray, "measured relation fact"]


def simulated(
    rng: np.random.Generator, *, facts: int, effect: float = 0.0, n_harmed: int = 6
) -> Cells:
    """Return effects on each fact of ten relations under nine other relations' sets, nats.

    Relations and facts differ in how easily they are moved, in all cells alike; single effects
    have a long tail of harm. In `n_harmed` cells the mean is `effect`.
    """
    relation = np.exp(0.4 * rng.normal(size=(10, 1, 1)))
    fact = np.exp(0.3 * rng.normal(size=(10, 1, facts)))
    values = 0.1 * relation * fact * (4 - rng.gamma(4.0, size=(10, 9, facts))) / 2
    values.reshape(90, facts)[:: 90 // n_harmed] += effect
    return values


def exact(values: Cells) -> Float[np.ndarray, " cell"]:
    """Return Sidak's p of each cell's own t; Holm's smallest p is all but the same."""
    flat = values.reshape(-1, values.shape[-1])
    return _sidak(_t(flat), np.full(len(flat), flat.shape[1] - 1.0))


def borrowed(values: Cells) -> Float[np.ndarray, " cell"]:
    """Return Sidak's p of t with moderated variances."""
    flat = values.reshape(-1, n := values.shape[-1])
    limit = float(values.shape[0] * n)
    variance, freedom = moderated(flat.var(1, ddof=1), np.full(len(flat), n - 1), limit=limit)
    return _sidak(flat.mean(1) / np.sqrt(variance / n), freedom)


def sign_flips(values: Cells) -> Float[np.ndarray, " cell"]:
    """Return max-T p from flipping the signs of facts, each in all its cells at once."""
    rng = np.random.default_rng(0)
    flat = values.reshape(-1, values.shape[-1])
    signs = rng.choice([-1.0, 1.0], size=(N_SIGNS, len(values), 1, values.shape[2]))
    largest = np.array([np.abs(_t((values * one).reshape(flat.shape))).max() for one in signs])
    as_large = (largest[:, None] >= np.abs(_t(flat))).sum(0)
    return np.asarray((1 + as_large) / (1 + N_SIGNS))


METHODS: Mapping[str, Callable[[Cells], Float[np.ndarray, " cell"]]] = {
    "sign-flip max-T": sign_flips,
    "t of each cell, Sidak": exact,
    "moderated t, Sidak (used)": borrowed,
}


def compare(n: int) -> pd.DataFrame:
    """Return how often each method finds anything in `n` families of 90 cells.

    Columns: method, facts per cell, the share of null families with a false finding (either way),
    and the share with a true one, where 6 cells have -0.1 or -0.15 nats.
    """
    rows = []
    for facts in (7, 16):
        for name, method in METHODS.items():
            shares = {}
            for effect in (0.0, -0.1, -0.15):
                rng = np.random.default_rng(facts)
                found = [_any(method, rng, facts, effect) for _ in range(n)]
                shares[f"{effect:+.2f}"] = float(np.mean(found))
            rows.append({"method": name, "facts": facts, **shares})
    return pd.DataFrame(rows)


def _any(
    method: Callable[[Cells], Float[np.ndarray, " cell"]],
    rng: np.random.Generator,
    facts: int,
    effect: float,
) -> bool:
    p = method(simulated(rng, facts=facts, effect=effect))
    return bool((p[:: 90 // 6] if effect else p).min() < 0.05)


def _t(flat: Float[np.ndarray, "cell fact"]) -> Float[np.ndarray, " cell"]:
    return np.asarray(flat.mean(1) / np.sqrt(flat.var(1, ddof=1) / flat.shape[1]))


def _sidak(
    t: Float[np.ndarray, " cell"], freedom: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, " cell"]:
    p = 2 * stdtr(freedom, -np.abs(t))
    return np.asarray(-np.expm1(len(p) * np.log1p(-np.minimum(p, 1 - 1e-16))))
