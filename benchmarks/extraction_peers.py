"""Run extraction by TransformerLens, by nnsight, and by a loop over single prompts.

The first two take right-padded batches of 32 prompts in the given order, in which neighbours are
of about equal length; in a causal model padding on the right does not affect a prompt's own tokens.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tr
from torch import Tensor, nn

from defaults import by_default
from neuron_atlas.activations.extraction import Reading
from neuron_atlas.model.language_model import LanguageModel, site_modules
from timing import Run

BATCH = 32


def network(folder: Path, dtype: torch.dtype) -> Any:
    """Load a model for a peer, which may change it."""
    loaded: Any = tr.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    return loaded.eval().requires_grad_(False)


def transformer_lens(folder: Path, own: Any, asked: Sequence[Reading]) -> Run:
    """Return the run of TransformerLens: `run_with_cache`, filtered to the hidden units."""
    from transformer_lens.model_bridge import TransformerBridge

    words = tr.AutoTokenizer.from_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=own, tokenizer=words, dtype=own.dtype, device="cpu"
    )
    names = [f"blocks.{i}.mlp.out.hook_in" for i in range(own.config.num_hidden_layers)]

    def batch(ids: Tensor, last: Tensor) -> list[Tensor]:
        _, cache = bridge.run_with_cache(ids, names_filter=names)
        rows = torch.arange(len(ids))
        return [cache[name][rows, last] for name in names]

    return lambda: _in_batches(asked, batch)


def traces(folder: Path, own: Any, asked: Sequence[Reading], *, stop: bool) -> Run:
    """Return the run of nnsight: one trace per batch; with `stop`, it ends before the head."""
    import nnsight

    traced = nnsight.TransformersModel(own, tokenizer=tr.AutoTokenizer.from_pretrained(folder))

    def batch(ids: Tensor, last: Tensor) -> list[Tensor]:
        rows = torch.arange(len(ids))
        with traced.trace({"input_ids": ids}) as tracer:
            found = nnsight.save(
                [layer.mlp.down_proj.input[rows, last] for layer in traced.model.layers]
            )
            if stop:
                tracer.stop()
        return list(found)

    return lambda: _in_batches(asked, batch)


@torch.no_grad()
def _in_batches(asked: Sequence[Reading], batch: Any) -> np.ndarray:
    found = []
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        ids = nn.utils.rnn.pad_sequence([torch.tensor(r.ids) for r in part], batch_first=True)
        last = torch.tensor([len(r.ids) - 1 for r in part])
        found.append(torch.stack(batch(ids, last), 1).float())
    return np.asarray(torch.cat(found).numpy())


def loop(lm: LanguageModel, asked: Sequence[Reading], every: int) -> Run:
    """Return the run of the plain way: one prompt at a time, a hook on every module.

    It runs one prompt in `every`; the rows of the others are NaN.
    """
    lm = by_default(lm)
    down = [module for module, _ in site_modules(lm, "hidden")]

    @torch.no_grad()
    def run() -> np.ndarray:
        found = np.full((len(asked), lm.n_layers, lm.n_neurons), np.nan, np.float32)
        for i in range(0, len(asked), every):
            entered = _everything(lm, asked[i])
            found[i] = torch.stack([entered[module][0, -1] for module in down]).float().numpy()
        return found

    return run


def _everything(lm: LanguageModel, one: Reading) -> dict[nn.Module, Tensor]:
    """Run a prompt with hooks that keep what enters and leaves every module."""
    entered: dict[nn.Module, Tensor] = {}
    left: dict[nn.Module, Any] = {}

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        entered.update({module: args[0]} if args else {})
        left[module] = output

    with ExitStack() as stack:
        for module in lm.network.modules():
            stack.callback(module.register_forward_hook(keep).remove)
        lm.network(torch.tensor([one.ids]))
    return entered
