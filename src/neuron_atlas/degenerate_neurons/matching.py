"""Find controls that are as strong as a fact's neurons, and strong for other facts."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int, Int64
from scipy.optimize import linear_sum_assignment


def control_pool(
    graded: pd.DataFrame,
    fact: str,
    own: Int[np.ndarray, " own"],
    *,
    size: int,
    tried: int,
    width: int,
) -> Int64[np.ndarray, " pool"]:
    """Return the neurons among which controls of a fact's neurons are looked for.

    They are among the `size` strongest of a fact of another relation (of any other fact where there
    is no other relation) and none of the fact's own. Each own neuron in turn takes the `tried` of
    its layer whose grade on this fact is nearest to its own, of those that none before it took: a
    grade is known without running the model, and hints at the drop.

    Args:
        graded: `knowledge_sets.grade_neurons`.
        fact: The fact.
        own: Its own neurons, flat indices.
        size: Strongest neurons of each other fact.
        tried: Neurons per own neuron.
        width: Neurons of a layer.

    Returns:
        Rising flat indices.
    """
    here = graded[graded["fact"] == fact]
    strong = graded[(graded["rank"] < size) & (graded["fact"] != fact)]
    apart = strong[strong["relation"] != here["relation"].iloc[0]]
    strong = apart if len(apart) else strong
    pool = np.setdiff1d(strong["neuron"].to_numpy(np.int64), own)
    grade = here.set_index("neuron")["score"]
    grades = grade.reindex(pool, fill_value=0.0).to_numpy(np.float64)
    free = np.ones(len(pool), dtype=np.bool_)
    for neuron in own.tolist():
        layer = np.flatnonzero(free & (pool // width == neuron // width))
        away = np.abs(grades[layer] - float(grade[neuron]))
        free[layer[np.argsort(away, kind="stable")[:tried]]] = False
    return np.asarray(pool[~free], dtype=np.int64)


def matched_controls(
    own: Int[np.ndarray, " own"],
    pool: Int[np.ndarray, " pool"],
    drops: Mapping[int, float],
    *,
    width: int,
) -> dict[int, int]:
    """Return a control of each of a fact's neurons: of its layer, of the nearest drop.

    Each control serves one neuron; together they have the smallest sum of absolute differences
    (Kuhn 1955, Naval Research Logistics Quarterly 2). So any two controls match the pair of neurons
    that they belong to, in both layers and in both drops.

    Args:
        own: The fact's neurons, flat indices.
        pool: Neurons to choose from.
        drops: Drop of the answer by each neuron alone, nats.
        width: Neurons of a layer.

    Returns:
        Control by neuron; a neuron whose layer has no control left is missing.
    """
    found: dict[int, int] = {}
    for layer in np.unique(own // width).tolist():
        rows, columns = (part[part // width == layer].tolist() for part in (own, pool))
        away = np.abs(
            np.subtract.outer([drops[n] for n in rows], [drops[n] for n in columns])
        ).reshape(len(rows), len(columns))
        chosen = zip(*linear_sum_assignment(away), strict=True)
        found |= {rows[i]: columns[j] for i, j in chosen}
    return found
