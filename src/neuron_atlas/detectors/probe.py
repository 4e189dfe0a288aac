"""A linear probe of the relation on all neurons at once: the usual rival of single detectors."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.activations.neuron_blocks import neuron_blocks

STRENGTH = 1.0  # scikit-learn's C: inverse of the L2 penalty
MOST = 4096  # prompts that are fitted: the fit takes their number squared in memory
RANK = 1e-10  # of the largest eigenvalue: directions below it are rounding


def weights(
    recorded: Recorded,
    rows: Int[np.ndarray, " prompt"],
    relation: Sequence[str],
) -> Float[Tensor, "relation layer neuron"]:
    """Return each neuron's weight for each relation in a multinomial logistic regression.

    Values are standardised, neuron by neuron; a constant one has weight 0. The penalty is the same
    in all directions, so that the regression is fitted on the prompts' coordinates in the span of
    their own values, of which there are as many as prompts, and not on the neurons: the weights are
    the same, and one block of neurons is in memory at a time. Of more than `MOST` prompts as many
    are fitted, at even distances, and the first of each relation: with prompts in the order of
    their relations, each keeps its share.

    Args:
        recorded: One language's recorded values.
        rows: The prompts to fit, rows of the activation files.
        relation: Of each prompt.

    Returns:
        Weights per standard deviation, relations in alphabetical order; they sum to 0 over them.
    """
    if len(rows) > MOST:
        firsts = np.unique(np.asarray(relation), return_index=True)[1]  # none is left out
        some = np.union1d(np.linspace(0, len(rows) - 1, MOST).astype(np.int64), firsts)
        rows, relation = rows[some], [relation[i] for i in some.tolist()]
    gram = np.zeros((len(rows), len(rows)))
    for values in _blocks(recorded, rows):
        gram += values @ values.T
    spread, directions = np.linalg.eigh(gram)
    kept = spread > RANK * spread.max()
    scale, basis = np.sqrt(spread[kept]), directions[:, kept]
    per_prompt = _coefficients(basis * scale, relation) @ (basis / scale).T
    found = np.concatenate([per_prompt @ values for values in _blocks(recorded, rows)], axis=1)
    weights = torch.from_numpy(found.astype(np.float32))
    return weights.view(len(weights), recorded.n_layers, -1)


def _blocks(
    recorded: Recorded, rows: Int[np.ndarray, " prompt"]
) -> Iterator[Float64[np.ndarray, "prompt neuron"]]:
    """Yield the standardised values of all neurons, block by block, layer by layer."""
    for layer in range(recorded.n_layers):
        for some in neuron_blocks(len(rows), recorded.n_neurons(layer)):
            yield _standardised(recorded.block(layer, rows, some))


def _coefficients(
    coordinates: Float64[np.ndarray, "prompt direction"], relation: Sequence[str]
) -> Float64[np.ndarray, "relation direction"]:
    """Fit the regression; two relations have one coefficient, of opposite sign for the first."""
    model = LogisticRegression(C=STRENGTH, tol=1e-7, max_iter=1000).fit(coordinates, relation)
    found = np.asarray(model.coef_, dtype=np.float64)
    return found if len(found) > 1 else np.concatenate([-found, found])


def _standardised(values: Float[Tensor, "prompt neuron"]) -> Float64[np.ndarray, "prompt neuron"]:
    wide = values.double().numpy()
    deviation = wide.std(axis=0)
    return np.asarray((wide - wide.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf))
