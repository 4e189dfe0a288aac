"""Require a network to have the modules that its family's row names."""

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from neuron_atlas.model.architectures import Architecture


def require(network: PreTrainedModel, row: Architecture) -> None:
    """Require every module of a row to be there, and as many blocks as the network has layers.

    Raises:
        ValueError: a module is missing, a block would be left out, or the down-projection of a
            block is no matrix.
    """
    n_layers = int(network.config.num_hidden_layers)
    blocks = [row.block.format(i) for i in range(n_layers)]
    relative = [row.down, row.up, row.gate, row.gate_up, row.down_norm, row.sum_norm]
    inside = [path for path in (*relative, row.attention_end) if path is not None]
    named = [row.body, *row.ending, *(step for step in row.transform if step not in ACT2FN)]
    wanted = [*named, *(f"{block}.{path}" for block in blocks for path in inside)]
    missing = [path for path in wanted if _module(network, path) is None]
    if _module(network, row.block.format(n_layers)) is not None:
        missing.append(f"an end of the layers at {blocks[-1]}")
    downs = [f"{block}.{row.down}" for block in blocks]
    missing += [f"a matrix at {path}" for path in downs if not _is_matrix(_module(network, path))]
    if missing:
        raise ValueError(
            f"the row of {network.config.model_type!r} does not fit {type(network).__name__}: "
            f"expected {missing[0]}, which is not there ({len(missing)} in all); correct the "
            "family's row in ARCHITECTURES, or where it is registered"
        )


def _module(network: nn.Module, path: str) -> nn.Module | None:
    try:
        return network.get_submodule(path)
    except AttributeError:
        return None


def _is_matrix(module: nn.Module | None) -> bool:
    """Say whether a module is one matrix, `nn.Linear` or GPT-2's `Conv1D`."""
    return module is None or any(
        name == "weight"
        and value.ndim == 2
        and (hasattr(module, "nx") or isinstance(module, nn.Linear))
        for name, value in _own_parameters(module)
    )


def _own_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return module.named_parameters(recurse=False)
