"""Language models from a local folder: where their MLP neurons live, and how they read text."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    Cache,
    PreTrainedModel,
)
from transformers.activations import ACT2FN

from neuron_atlas.model import kernels
from neuron_atlas.model.architectures import Architecture, Site, architecture
from neuron_atlas.pipeline import prepared
from neuron_atlas.pipeline.store import read_json


class Head(NamedTuple):
    """The output embeddings: logits = hidden @ weight.T + bias, squashed by `softcap` if any."""

    weight: Float[Tensor, "vocab d_model"]
    bias: Float[Tensor, " vocab"] | None
    softcap: float | None


@dataclass(frozen=True)
class LanguageModel:
    """A frozen model, its tokenizer, and the row that says where its neurons are."""

    network: PreTrainedModel
    tokenizer: Tokenizer
    architecture: Architecture
    mask_id: int | None = None

    @property
    def n_layers(self) -> int:
        """Number of MLP layers."""
        return int(self.network.config.num_hidden_layers)

    @cached_property
    def n_neurons(self) -> int:
        """Hidden units of one MLP layer."""
        down = self.blocks[0].get_submodule(self.architecture.down)
        # GPT-2's Conv1D stores its weight [in, out]; nn.Linear stores [out, in].
        width: Any = down.nx if hasattr(down, "nx") else down.in_features
        return int(width)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of weights and matrix products."""
        return self.network.dtype

    @cached_property
    def blocks(self) -> list[nn.Module]:
        """The transformer blocks in order."""
        path = self.architecture.block
        return [self.network.get_submodule(path.format(i)) for i in range(self.n_layers)]

    @property
    def head(self) -> Head:
        """The output embeddings as plain tensors."""
        module: Any = self.network.get_output_embeddings()  # type: ignore[no-untyped-call]
        softcap = getattr(self.network.config, "final_logit_softcapping", None)
        return Head(module.weight, getattr(module, "bias", None), softcap)

    def hidden(
        self,
        ids: Int[Tensor, "batch position"],
        positions: Int[Tensor, "batch position"],
        visible: Tensor,
        *,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch position d_model"]:
        """Run the body, without the head over the vocabulary.

        Args:
            ids: Token ids, right-padded.
            positions: Position ids; ignored by encoders, which count positions themselves.
            visible: True where a position may attend: [batch, position, position] for a decoder,
                [batch, position] (which tokens are not padding) for an encoder.
            cache: Filled with a decoder's keys and values.

        Raises:
            ValueError: a decoder's prompt is longer than its sliding attention window.
        """
        body: Any = self.network.get_submodule(self.architecture.body)
        if self.architecture.encoder:
            output = body(input_ids=ids, attention_mask=visible.long())
            return cast(Tensor, output.last_hidden_state)
        self._require_full_sight(int(positions.max()) + 1)
        mask = torch.zeros(visible.shape, dtype=self.dtype, device=ids.device)
        mask.masked_fill_(~visible, torch.finfo(self.dtype).min)
        output = body(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask[:, None],
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return cast(Tensor, output.last_hidden_state)

    def _require_full_sight(self, length: int) -> None:
        """Refuse a prompt longer than a sliding window, whose place the explicit masks take."""
        config = self.network.config
        window = getattr(config, "sliding_window", None)
        slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
        if slides and window and length > window:
            raise ValueError(
                f"a prompt has {length} tokens, more than the model's attention window of {window};"
                " lower recall.shots or shorten the templates"
            )

    @property
    def final_norm(self) -> nn.Module | None:
        """The norm between the last block and the body's output, if the family has one."""
        path = self.architecture.norm
        return None if path is None else self.network.get_submodule(path)

    def before_head(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """Apply what comes between the body and the output embeddings (encoders only)."""
        for name in self.architecture.transform:
            step = ACT2FN[name] if name in ACT2FN else self.network.get_submodule(name)
            hidden = step(hidden)
        return hidden


def site_modules(lm: LanguageModel, site: Site) -> list[tuple[nn.Module, bool]]:
    """Return each layer's module at a neuron site and whether the site is the module's input.

    `hidden` is the hidden unit: the input of the down-projection. `gate`, `up` and `down` are the
    raw projection outputs that Liu et al. (2025, section 3.1) call neurons.

    Raises:
        ValueError: the site is unknown, or no module of the MLP outputs it.
    """
    row = lm.architecture
    paths = {"hidden": row.down, "gate": row.gate, "up": row.up, "down": row.down}
    if site not in paths or paths[site] is None:
        known = sorted(s for s in get_args(Site) if paths[s] is not None)
        raise ValueError(
            f"{lm.network.config.model_type} has no neuron site {site!r}; it has {known}"
        )
    return [(block.get_submodule(str(paths[site])), site == "hidden") for block in lm.blocks]


def mlp_inputs(lm: LanguageModel, layer: int) -> list[nn.Module]:
    """Return the modules from whose inputs a layer's hidden units are made, position by position.

    Empty for a family whose MLP begins with a module that `Architecture` does not name.
    """
    paths = (lm.architecture.gate, lm.architecture.up)
    return [lm.blocks[layer].get_submodule(path) for path in paths if path is not None]


def load(
    folder: Path, *, device: str | None = None, dtype: torch.dtype | None = None
) -> LanguageModel:
    """Load the model and tokenizer that the `model` stage left in `folder`, frozen.

    Also sets how this process multiplies matrices; see `kernels.choose_matrix_products`.

    Args:
        folder: Where `config.json`, `tokenizer.json` and the safetensors are.
        device: By default the GPU if there is one.
        dtype: By default the precision in which the weights were stored.

    Raises:
        ValueError: the folder or the architecture is not one this library can read.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kernels.choose_matrix_products()
    ready: LanguageModel | None = prepared.take(_key(folder, chosen, dtype))
    return ready or _read(folder, chosen, dtype)


def _read(folder: Path, device: str, dtype: torch.dtype | None) -> LanguageModel:
    config_file = folder / "config.json"
    if not config_file.exists():
        raise ValueError(f"{config_file} does not exist; run `dvc repro model` or `dvc pull model`")
    row = architecture(str(read_json(config_file).get("model_type")))
    config = AutoConfig.from_pretrained(folder)
    auto = AutoModelForMaskedLM if row.encoder else AutoModelForCausalLM
    network = auto.from_pretrained(folder, dtype=dtype or config.dtype, use_safetensors=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    network = network.to(device).eval().requires_grad_(False)  # type: ignore[arg-type]
    kernels.choose_attention(network)
    return LanguageModel(network, tokenizer, row, _mask_id(tokenizer) if row.encoder else None)


@prepared.maker
def _prepare(folder: Path) -> None:
    """Read a model for the processes that this one will fork; how it multiplies stays as it was."""
    if (folder / "config.json").exists() and (folder / "tokenizer.json").exists():
        precision = torch.get_float32_matmul_precision()
        try:
            kernels.choose_matrix_products()
            prepared.keep(_key(folder, "cpu", None), lambda: _read(folder, "cpu", None))
        finally:
            torch.set_float32_matmul_precision(precision)


def _key(folder: Path, device: str, dtype: torch.dtype | None) -> Hashable:
    return ("model", folder.absolute(), prepared.identity(folder), device, dtype)


def in_float32(lm: LanguageModel, folder: Path) -> LanguageModel:
    """Return the model in float32, to measure what its own precision costs; `lm` if it is float32.

    Args:
        lm: A model that was loaded from `folder`.
        folder: As in `load`.
    """
    return lm if lm.dtype == torch.float32 else load(folder, dtype=torch.float32)


def _mask_id(tokenizer: Tokenizer) -> int:
    for token in ("[MASK]", "<mask>"):
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    raise ValueError("the encoder's tokenizer has no mask token; looked for [MASK] and <mask>")
