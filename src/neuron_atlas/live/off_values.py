"""The values that switched-off neurons take: their means over the run's prompts."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.replacements import relation_means
from neuron_atlas.pipeline import store


def means(recorded: Mapping[Path, Path]) -> Float[Tensor, "layer neuron"]:
    """Return each neuron's mean: over relations, then over languages, each counting the same.

    Of one language it is what the stage `interference` sets neurons to with `value: mean`. A
    language that knows no identification fact is left out.

    Args:
        recorded: Folders of recorded values, each with its language's table of facts.

    Raises:
        ValueError: no language knows any.
    """
    every = (
        relation_means(Recorded(folder, store.read_table(facts)))
        for folder, facts in recorded.items()
    )
    found = [torch.stack(list(one.values())).mean(0) for one in every if one]
    if not found:
        raise ValueError(
            f"{', '.join(map(str, recorded))}: no right prompt of an identification subject to "
            "average; use the value zero"
        )
    return torch.stack(found).mean(0)
