"""Count the FLOPs of the matrix products that a method needs, in any implementation."""

from collections.abc import Iterable

from torch import nn

from neuron_atlas.model.language_model import LanguageModel


def extraction(lm: LanguageModel, lengths: Iterable[int]) -> float:
    """Return the FLOPs of one pass of the body over prompts of these lengths, without padding."""
    return sum(n * sum(_token(lm, block, n) for block in lm.blocks) for n in lengths)


def attribution(lm: LanguageModel, n_tokens: int, n_nodes: int) -> float:
    """Return the FLOPs of integrated gradients of all layers for one prompt and one token.

    That is a clean pass, and per layer and node a forward and a backward pass from the layer's
    down-projection upwards (the backward pass costs the same, as it is only for inputs), with the
    head at the answer position. Such a pass has one token in a decoder and the whole sequence in
    an encoder.
    """
    width = n_tokens if lm.architecture.encoder else 1
    head = 2.0 * lm.head.weight.numel()
    above, passes = 0.0, 0.0
    for block in reversed(lm.blocks):
        down = 2.0 * _weights(block.get_submodule(lm.architecture.down))
        passes += down + above + head
        above += width * _token(lm, block, n_tokens)
    return extraction(lm, [n_tokens]) + 2 * n_nodes * passes


def _token(lm: LanguageModel, block: nn.Module, n_tokens: int) -> float:
    """Return the FLOPs of one token in a block: its weights, and attention over the sequence."""
    config = lm.network.config
    heads = int(config.num_attention_heads)
    width: int = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return 2.0 * _weights(block) + 4.0 * n_tokens * width


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim == 2)
