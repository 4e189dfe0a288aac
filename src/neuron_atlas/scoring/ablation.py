"""Switch neurons off, or scale them, while answers are scored: many sets in one pass.

An arm is one set of neurons and what they are changed to. Each row of a batch is edited as its own
arm says, so all arms of a prompt share one forward pass over it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuron_atlas.model import hooks
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.scoring import log_probability
from neuron_atlas.scoring.log_probability import Answers, Intervene
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import Query


@dataclass(frozen=True)
class Edits:
    """Sets of neurons to overwrite, and with what.

    Attributes:
        chosen: True for the neurons that an arm edits.
        value: What an edited neuron becomes, plus its own value times `scale`; one table per kind
            of arm.
        kind: Which table of `value` each arm uses.
        scale: Share of its own value that an edited neuron keeps: 0 overwrites it, 2 doubles it.
        gain: How far each arm goes from a neuron's own value to what it becomes: 1 all the way.
    """

    chosen: Bool[Tensor, "arm layer neuron"]
    value: Float[Tensor, "kind layer neuron"]
    kind: Int[Tensor, " arm"]
    scale: Float[Tensor, " kind"]
    gain: Float[Tensor, " arm"]

    @property
    def layers(self) -> list[int]:
        """Layers that at least one arm edits."""
        touched: list[int] = self.chosen.any(2).any(0).nonzero().flatten().tolist()
        return touched

    def some(self, arms: Sequence[int]) -> "Edits":
        """Return some of the arms, in the given order."""
        index = torch.tensor(list(arms), dtype=torch.long)
        return replace(
            self, chosen=self.chosen[index], kind=self.kind[index], gain=self.gain[index]
        )


def edits_of(
    sets: Sequence[Int[np.ndarray, "_"]],
    value: Float[Tensor, "kind layer neuron"],
    kind: Sequence[int] | None = None,
    *,
    scale: Sequence[float] | None = None,
    gain: Sequence[float] | None = None,
) -> Edits:
    """Make one arm of each set of flat neuron indices (layer * n_neurons + index).

    Args:
        sets: Neurons of each arm; an empty set edits nothing.
        value: Tables of replacement values: zeros, means, means over other relations, ...
        kind: The table that each arm uses; by default the first.
        scale: Of each table, the share of its own value that an edited neuron keeps; by default 0.
        gain: Of each arm, how far it goes: a neuron's change is multiplied by it; by default 1.

    Raises:
        ValueError: an index or a kind is out of range, or a replacement value or a gain is not
            finite.
    """
    kinds = list(kind) if kind is not None else [0] * len(sets)
    size = value[0].numel()
    if not torch.isfinite(value).all():
        raise ValueError("replacement values must be finite, got NaN or infinity")
    chosen = torch.zeros(len(sets), size, dtype=torch.bool)
    for i, members in enumerate(sets):
        if len(members) and not 0 <= int(members.min()) <= int(members.max()) < size:
            raise ValueError(
                f"arm {i}: neurons must be in [0, {size}), got {members.min()}..{members.max()}"
            )
        chosen[i, torch.from_numpy(np.array(members, dtype=np.int64))] = True
    if kinds and not 0 <= min(kinds) <= max(kinds) < len(value):
        raise ValueError(f"kinds must be in [0, {len(value)}), got {min(kinds)}..{max(kinds)}")
    kept = torch.tensor(list(scale) if scale is not None else [0.0] * len(value))
    if len(kept) != len(value) or not torch.isfinite(kept).all():
        raise ValueError(f"expected {len(value)} finite scales, one per table, got {kept.tolist()}")
    far = torch.tensor(list(gain) if gain is not None else [1.0] * len(sets))
    if len(far) != len(sets) or not torch.isfinite(far).all():
        raise ValueError(f"expected {len(sets)} finite gains, one per arm, got {far.tolist()}")
    return Edits(chosen.view(len(sets), *value.shape[1:]), value, torch.tensor(kinds), kept, far)


def joined(parts: Sequence[Edits]) -> Edits:
    """Return the arms of several edits one after another."""
    first = np.cumsum([0, *(len(part.value) for part in parts)]).tolist()
    return Edits(
        chosen=torch.cat([part.chosen for part in parts]),
        value=torch.cat([part.value for part in parts]),
        kind=torch.cat([part.kind + n for part, n in zip(parts, first[:-1], strict=True)]),
        scale=torch.cat([part.scale for part in parts]),
        gain=torch.cat([part.gain for part in parts]),
    )


@dataclass(frozen=True)
class Intervention:
    """A model and the edits of its arms: what is asked of it is asked under any of them.

    Attributes:
        lm: The model; its weights are not touched.
        edits: The arms, each known by its index.
        site: Which values of the MLP are neurons.
        everywhere: Edit every position of the prompt, not the answer position alone. In a decoder
            the positions of the answer's own tokens are edited either way.
        tolerance: As in `log_probability.ask`; 0 sums every normaliser in full, None leaves the
            head out.
        sequence: Tokens of a sequence in which arms share their prompt; a matter of speed only.
    """

    lm: LanguageModel
    edits: Edits
    site: Site = "hidden"
    everywhere: bool = False
    tolerance: float | None = 0.0
    sequence: int = 256

    def ask(self, queries: Sequence[Query], arms: Sequence[Sequence[int]]) -> list[Answers]:
        """Return the log-probabilities of each query's answers under its arms, in nats.

        Args:
            queries: Prompts with their tokenised answers.
            arms: Numbers of each query's arms; `UNEDITED` leaves the model as it is.
        """
        return log_probability.ask(
            self.lm,
            queries,
            arms=arms,
            intervene=self.opened,
            everywhere=self.everywhere,
            tolerance=self.tolerance,
            sequence=self.sequence,
        )

    def ask_beside_clean(
        self, queries: Sequence[Query], arms: Sequence[Sequence[int]]
    ) -> list[Answers]:
        """Do the same as `ask`, with one more row, the first: the unedited model."""
        return self.ask(queries, [(UNEDITED, *own) for own in arms])

    @cached_property
    def opened(self) -> Intervene:
        """A context manager that edits a batch while open, given the arm of each position."""
        return row_edits(self.lm, self.edits, site=self.site)


def row_edits(lm: LanguageModel, edits: Edits, *, site: Site = "hidden") -> Intervene:
    """Return what `log_probability.ask` opens around a batch to apply each row's arm."""
    modules = site_modules(lm, site)
    nobody = torch.zeros_like(edits.chosen[:1])  # the arm of `UNEDITED`, index -1
    every = torch.cat([edits.chosen, nobody])
    kind = torch.cat([edits.kind, torch.zeros(1, dtype=torch.long)])
    scaled, partial = bool(edits.scale.any()), bool((edits.gain != 1).any())
    gain = torch.cat([edits.gain, torch.ones(1)]).to(lm.dtype)
    assert UNEDITED == -1

    def change(layer: int) -> Callable[[Int[Tensor, "batch position"]], hooks.Change]:
        """Bring what a layer needs to its device."""
        own = lm.devices[layer]
        chosen, value = every[:, layer].to(own), edits.value[:, layer].to(own, lm.dtype)
        kinds, gains, scale = kind.to(own), gain.to(own), edits.scale.to(own, lm.dtype)

        def edited(x: Tensor, arm: Tensor) -> Tensor:
            new = value[0] if len(value) == 1 else value[kinds[arm]]
            if scaled:
                new = torch.addcmul(new, scale[kinds[arm]][..., None], x)
            if partial:
                new = torch.lerp(x, new.expand_as(x), gains[arm][..., None])
            return torch.where(chosen[arm], new, x)

        def of_batch(arm: Int[Tensor, "batch position"]) -> hooks.Change:
            there = arm.to(own)
            return lambda x: edited(x, there)

        return of_batch

    changes = {layer: change(layer) for layer in edits.layers}

    @contextmanager
    def opened(arm: Int[Tensor, "batch position"]) -> Iterator[None]:
        with hooks.edit(modules, {layer: of_batch(arm) for layer, of_batch in changes.items()}):
            yield

    return opened
