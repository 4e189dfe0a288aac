"""Tiny models and tokenizers; the kit itself is in `tiny.py`."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

import planted
import tiny
import toy
from neuron_atlas.model.language_model import LanguageModel
from once import once
from saved import save

torch.set_num_threads(1)  # threads cost these tiny models more than they save
# How long an example takes, or its making, depends on the machine and on what else it does.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
LONG = ("test_toy_pipeline", "test_encoders", "test_resume")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no worker is left with them at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session", params=sorted(tiny.CONFIGS))
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    """A random model of each supported family, in float32."""
    return tiny.random_model(request.param)


@pytest.fixture(scope="session")
def decoder() -> LanguageModel:
    """A random gated decoder."""
    return tiny.random_model("llama")


@pytest.fixture(scope="session")
def planted_model() -> LanguageModel:
    """The decoder whose relation neurons were planted by hand."""
    return planted.model()


@pytest.fixture(scope="session")
def toy_decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder that learnt the facts of `toy.py`, saved; trained once per session."""
    return once(tmp_path_factory, "toy_decoder", lambda folder: save(toy.decoder(), folder))


@pytest.fixture(scope="session")
def toy_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that learnt the facts of `toy.py`, saved; trained once per session."""
    return once(tmp_path_factory, "toy_encoder", lambda folder: save(toy.encoder(), folder))


@pytest.fixture(scope="session")
def toy_decoder(toy_decoder_folder: Path) -> LanguageModel:
    return toy.restored(toy_decoder_folder)


@pytest.fixture(scope="session")
def toy_encoder(toy_encoder_folder: Path) -> LanguageModel:
    return toy.restored(toy_encoder_folder)
