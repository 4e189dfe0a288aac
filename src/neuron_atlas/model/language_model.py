"""Language models from a local folder: where their MLP neurons live, and how they read text."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
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
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.activations import ACT2FN

from neuron_atlas.devices import choice, running, spreading
from neuron_atlas.executors import held
from neuron_atlas.model import hooks, kernels, places, unfolded
from neuron_atlas.model.architectures import Architecture, Site
from neuron_atlas.model.sight import PositionedCache, Sight, additive, opened, read_sight
from neuron_atlas.model.supported import require_supported
from neuron_atlas.pipeline import prepared
from neuron_atlas.pipeline.store import read_json


class Head(NamedTuple):
    """The output embeddings: logits = hidden @ weight.T + bias, squashed by `softcap` if any."""

    weight: Float[Tensor, "vocab width"]
    bias: Float[Tensor, " vocab"] | None
    softcap: float | None


@dataclass(frozen=True)
class LanguageModel:
    """A frozen model, its tokenizer, and the row that says where its neurons are."""

    network: PreTrainedModel
    tokenizer: Tokenizer
    architecture: Architecture
    mask_id: int | None = None

    def __post_init__(self) -> None:
        """Require the network to have what the row names, batch and position apart everywhere."""
        places.require(self.network, self.architecture)
        unfolded.unfold(self.network)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process read the model from its folder: weights do not travel.

        Raises:
            TypeError: the model was not read from a folder.
        """
        name = self.network.name_or_path
        folder = Path(name or "").absolute()
        if not name or not folder.is_dir():
            raise TypeError("only a model that was loaded from a folder can be sent to others")
        spread = getattr(self.network, "hf_device_map", None) is not None
        where = choice.SPREAD if spread else self.device.type
        return _held, (folder, _provenance(folder), where, self.dtype)

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
    def d_model(self) -> int:
        """Width of the residual stream; output embeddings may have another."""
        return int(self.network.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where everything but the blocks is: where questions begin and end."""
        return self.network.device

    @cached_property
    def devices(self) -> list[torch.device]:
        """Where each block runs: on `device`, unless the model is spread."""
        return [running.device_of(block) for block in self.blocks]

    def stacked(self, values: Mapping[int, Tensor], dim: int) -> Tensor:
        """Stack what all layers recorded, on `device`."""
        return torch.stack([values[i].to(self.device) for i in range(self.n_layers)], dim)

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
        cache: PositionedCache | None = None,
    ) -> Float[Tensor, "batch position d_model"]:
        """Run the body, without the head over the vocabulary.

        Args:
            ids: Token ids, right-padded.
            positions: Position ids; ignored by encoders, which count positions themselves.
            visible: True where a position may attend: [batch, position, position] for a decoder,
                [batch, position] (which tokens are not padding) for an encoder. A decoder's sliding
                windows, if it has any, come on top.
            cache: Filled with a decoder's keys and values.

        Raises:
            ValueError: a prompt is longer than the model's positions reach, or than what is known
                of its attention.
        """
        body: Any = self.network.get_submodule(self.architecture.body)
        if self.architecture.encoder:
            self.sight.require_known(ids.shape[1])
            output = body(input_ids=ids, attention_mask=visible.long())
            return cast(Tensor, output.last_hidden_state.to(self.device))
        keys = positions if cache is None else cache.extended(positions)
        length = self.sight.length(keys)
        self.sight.require_known(length)
        told = self.sight.told(visible, positions, keys, length=length, dtype=self.dtype)
        with (
            hooks.edit_keywords(self.blocks, told),
            opened(self.blocks, self.architecture.own_mask),
        ):
            output = body(
                input_ids=ids,
                position_ids=positions,
                attention_mask=None if self.sight.alibi else additive(visible, self.dtype),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return cast(Tensor, output.last_hidden_state.to(self.device))

    @cached_property
    def sight(self) -> Sight:
        """How far its positions reach, and what a decoder's layers see beside their shared mask."""
        return read_sight(self.network, self.architecture)

    @cached_property
    def ending(self) -> list[nn.Module]:
        """What comes between the last block and the body's output, in order."""
        return [self.network.get_submodule(path) for path in self.architecture.ending]

    def head_input(self, output: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row width"]:
        """Return what the output embeddings are multiplied with, from the last block's output."""
        output = output.to(self.device)
        for step in self.ending:
            output = step(output)
        return self.before_head(output.flatten(0, -2)).view(*output.shape[:-1], -1)

    def before_head(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row width"]:
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
        device: As in `devices.choice`: a device, `auto` or `spread`; by default what the
            environment says, and else the GPU if there is one.
        dtype: By default the precision in which the weights were stored.

    Raises:
        ValueError: the folder or the architecture is not one this library can read, or the device
            is not there or too small.
    """
    chosen = choice.chosen(device)
    kernels.choose_matrix_products()
    if chosen != "cpu":
        kernels.choose_deterministic()
    ready: LanguageModel | None = prepared.take(_key(folder, chosen, dtype))
    return ready or _read(folder, chosen, dtype)


def _provenance(folder: Path) -> str:
    """Return what the stage `model` says of a model's files; empty if another wrote them."""
    file = folder / "provenance.json"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _held(folder: Path, provenance: str, device: str, dtype: torch.dtype) -> LanguageModel:
    """Return the model that this process, a worker of the stage's, holds; it is loaded once.

    Raises:
        ValueError: there is another model, or none, in this machine's folder.
    """
    if folder.is_dir() and _provenance(folder) != provenance:
        raise ValueError(f"another model is in {folder}; run `dvc pull model` there")
    key = ("model", folder, device, dtype)
    model: LanguageModel = held.once(key, lambda: load(folder, device=device, dtype=dtype))
    return model


def _read(folder: Path, device: str, dtype: torch.dtype | None) -> LanguageModel:
    config_file = folder / "config.json"
    if not config_file.exists():
        raise ValueError(f"{config_file} does not exist; run `dvc repro model` or `dvc pull model`")
    row = require_supported(read_json(config_file), str(config_file))
    config = AutoConfig.from_pretrained(folder)
    auto = AutoModelForMaskedLM if row.encoder else AutoModelForCausalLM
    read = partial(auto.from_pretrained, folder, dtype=dtype or config.dtype, use_safetensors=True)
    if device == choice.SPREAD:
        network: Any = _spread(read, auto, config, row.block, dtype or config.dtype)
    else:
        network = cast(Any, read()).to(device)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    network.eval().requires_grad_(False)
    kernels.choose_attention(network)
    return LanguageModel(network, tokenizer, row, _mask_id(tokenizer) if row.encoder else None)


def _spread(
    read: Callable[..., PreTrainedModel],
    auto: Any,
    config: PretrainedConfig,
    block: str,
    dtype: torch.dtype,
) -> PreTrainedModel:
    """Read a model over all devices: what has no room stays in the files, and is mapped there."""
    with torch.device("meta"):
        empty = auto.from_config(config, dtype=dtype)
    blocks = [block.format(i) for i in range(config.num_hidden_layers)]
    return read(device_map=spreading.placed(empty, blocks, choice.rooms()))


@prepared.maker
def _prepare(folder: Path) -> None:
    """Read a model for the processes that this one will fork; how it multiplies stays as it was."""
    here = choice.chosen() == "cpu"
    if here and (folder / "config.json").exists() and (folder / "tokenizer.json").exists():
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
