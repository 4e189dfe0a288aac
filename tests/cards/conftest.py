"""What the stage reads, made once on the planted model."""

import pytest

import planted_cards
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.model.language_model import LanguageModel


@pytest.fixture(scope="session")
def given(planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return planted_cards.inputs(planted_model, tmp_path_factory.mktemp("planted_cards"))
