"""Public names about sets of neurons: scored, read, matched at random, switched off."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Real
from torch import Tensor

from neuron_atlas.api.arguments import as_flat
from neuron_atlas.detectors import average_precision as detectors
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import addresses, controls, relation_sets
from neuron_atlas.neurons.addresses import Neuron
from neuron_atlas.scoring import ablation


def average_precision(
    values: Real[np.ndarray, "prompt *neuron"],
    positive: Bool[np.ndarray, "*group prompt"],
    *,
    ignore: Bool[np.ndarray, "*group prompt"] | None = None,
) -> Float64[np.ndarray, "..."]:
    """Score every neuron as a detector of a group of prompts, or of several groups at once.

    AP = mean over the group's prompts p of the group's share of the prompts whose value is at least
    p's, as in scikit-learn, where equal values are one threshold. Liu et al. 2025 (arXiv
    2502.17355) rank a relation's neurons by it and leave ties open.

    Args:
        values: Neuron values, such as `record_activations` returns.
        positive: Which prompts are the group's: [prompt], or [group, prompt] for several groups.
        ignore: Prompts that count neither way, in the shape of `positive`.

    Returns:
        In (0, 1], in the shape of one prompt's values, a leading `group` axis before it if
        `positive` has one. A constant neuron has the group's share of the prompts.

    Raises:
        TypeError: `positive` or `ignore` is not of type bool.
        ValueError: the shapes do not fit, a value is NaN or infinite, a group has no positive or no
            negative prompt, or a prompt is both positive and ignored.
    """
    table = np.asarray(values).reshape(len(values), -1)
    scores = detectors.average_precision(
        torch.from_numpy(np.ascontiguousarray(table)),
        _groups(positive, len(table), "positive"),
        ignore=None if ignore is None else _groups(ignore, len(table), "ignore"),
    )
    return scores.numpy().reshape(*np.shape(positive)[:-1], *np.shape(values)[1:])


@dataclass(frozen=True, eq=False)
class NeuronSets(Mapping[str, list[Neuron]]):
    """The neurons of each relation, best first, and what their random controls have to match.

    Attributes:
        sets: Neurons by relation.
        size: Mean |value| of every neuron over the prompts that sets were chosen from.
        banned: Units that neither sets nor controls may hold, such as massive ones.
    """

    sets: Mapping[str, list[Neuron]]
    size: Float64[np.ndarray, "layer neuron"] = field(repr=False)
    banned: list[Neuron] = field(repr=False)

    def __getitem__(self, relation: str) -> list[Neuron]:
        """Return one relation's neurons; a KeyError lists the relations there are."""
        if relation not in self.sets:
            raise KeyError(f"no set of the relation {relation!r}; there are {sorted(self.sets)}")
        return self.sets[relation]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the relations, sorted."""
        return iter(self.sets)

    def __len__(self) -> int:
        """Return the number of relations."""
        return len(self.sets)


def read_sets(folder: str | Path) -> NeuronSets:
    """Read the relation neurons of one language, or of all pooled.

    Args:
        folder: `data/relation_neurons/pooled`, or a language's folder beside it.

    Returns:
        A mapping of each relation to its neurons, best first; also `size` and `banned`, which
        `matched_random` takes. The sets belong to the model of the run that made them.

    Raises:
        ValueError: it is no such folder.
    """
    path = Path(folder)
    for name in (relation_sets.SETS, relation_sets.SIZE):
        if not (path / name).is_file():
            raise ValueError(
                f"{path / name} does not exist; name a folder such as data/relation_neurons/pooled,"
                " or run `dvc repro relation_neurons` or `dvc pull relation_neurons` first"
            )
    found = relation_sets.read_sets(path)
    n = found.size.shape[1]
    sets = {name: addresses.to_neurons(flat, n) for name, flat in sorted(found.sets.items())}
    return NeuronSets(sets, found.size, addresses.to_neurons(found.banned, n))


def matched_random(
    neurons: Iterable[Neuron],
    size: Float[np.ndarray, "layer neuron"],
    *,
    seed: int = 0,
    n_draws: int = 1,
    n_nearest: int = 20,
    exclude: Iterable[Neuron] = (),
) -> list[list[Neuron]]:
    """Draw random sets that match the given neurons one by one in layer and in activation size.

    Neuron j of a draw is one of the `n_nearest` neurons of the j-th neuron's layer whose sizes are
    nearest to its own, or a further one where they run out; which one depends on the seed, the
    draw and the j-th neuron alone, unless another neuron has taken it. The random sets of Liu et
    al. 2025 (arXiv 2502.17355) match neither layer nor size.

    Args:
        neurons: The set to match.
        size: What to match, of every neuron, >= 0: `read_sets(...).size`, the mean |value| over
            prompts of your own, or another quantity.
        seed: Another seed gives other sets.
        n_draws: Sets to draw; more of them leave the first ones as they are.
        n_nearest: Candidates of each neuron; the layer's size matches the layer alone.
        exclude: Other neurons never to draw, such as `read_sets(...).banned`.

    Returns:
        `n_draws` sets of as many neurons as given; none of `neurons` or `exclude`, and none twice
        in one set.

    Raises:
        TypeError: `neurons` or `exclude` holds something else.
        ValueError: a neuron is not in `size` or is given twice, a layer has too few neurons left,
            or an argument is out of range.
    """
    shape = (int(size.shape[0]), int(size.shape[1]))
    drawn = controls.matched_random(
        as_flat(neurons, shape),
        np.asarray(size, dtype=np.float64),
        names=("matched_random",),
        seed=seed,
        n_draws=n_draws,
        n_nearest=n_nearest,
        exclude=as_flat(exclude, shape),
    )
    return [addresses.to_neurons(row, shape[1]) for row in drawn]


@contextmanager
def switched_off(
    lm: LanguageModel,
    neurons: Iterable[Neuron],
    *,
    value: float | Real[np.ndarray, "layer neuron"] = 0.0,
) -> Iterator[None]:
    """Hold neurons at a value while the block runs; undone when it ends, by an exception too.

    The value takes the place of the neuron's own at **every position** of every pass of `lm`: of
    the prompt, of the answer's tokens, and of what `lm.network.generate` adds. The pipeline's
    verdicts hold them, by default, at the answer position alone (`interference.positions`) and at
    their mean (`interference.value`), so figures from here are not theirs.
    Sets may be nested; where two name the same neuron, the outer one's value is overwritten.

    Args:
        lm: The model; it is the same object that changes, so other names here see the change.
        neurons: Which ones; an empty set changes nothing.
        value: What they become: 0, another number, or of a table each neuron's entry, such as
            `record_activations(lm, prompts).mean(0)`. It is rounded to the model's precision.

    Raises:
        TypeError: `neurons` holds something else.
        ValueError: a neuron is not in the model, the table has another shape, or a value is NaN or
            infinite.
    """
    shape = (lm.n_layers, lm.n_neurons)
    edits = ablation.edits_of([as_flat(neurons, shape)], _table(value, shape)[None])
    everywhere = torch.zeros(1, 1, dtype=torch.long, device=lm.device)  # arm 0, at each position
    with ablation.row_edits(lm, edits)(everywhere):
        yield


def _groups(
    mask: Bool[np.ndarray, "*group prompt"], n_prompts: int, name: str
) -> Bool[Tensor, "group prompt"]:
    found = np.atleast_2d(np.asarray(mask))
    if found.dtype != np.bool_:
        raise TypeError(f"{name} must be True or False for each prompt, got {found.dtype}")
    if found.ndim != 2 or found.shape[1] != n_prompts:
        raise ValueError(
            f"{name} must be [prompt] or [group, prompt] for {n_prompts} prompts, got {mask.shape}"
        )
    return torch.from_numpy(np.ascontiguousarray(found))


def _table(
    value: float | Real[np.ndarray, "layer neuron"], shape: tuple[int, int]
) -> Float32[Tensor, "layer neuron"]:
    found = np.asarray(value, dtype=np.float32)
    if found.ndim and found.shape != shape:
        raise ValueError(f"value must be a number or a table of shape {shape}, got {found.shape}")
    return torch.from_numpy(np.broadcast_to(found, shape).copy())
