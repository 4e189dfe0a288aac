"""A model's sizes from its configuration are those of the model that is made from it."""

import pytest

import tiny
from neuron_atlas.costs import model_shape
from neuron_atlas.costs.configs import KNOWN

PUBLISHED = {  # billions of parameters, by the papers and model cards
    "llama-2-7b": 6.738,
    "llama-2-13b": 13.016,
    "llama-2-70b": 68.977,
    "gemma-3-270m": 0.268,
}
DECODERS = ("gemma3_text", "gpt2", "gpt_neox", "llama", "qwen3")


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_have_their_published_number_of_parameters(name: str) -> None:
    shape = model_shape.of_config(KNOWN[name])
    assert shape.parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=2e-3)


@pytest.mark.parametrize("family", DECODERS)
def test_a_layer_and_the_head_have_as_many_numbers_as_those_of_the_model(family: str) -> None:
    lm = tiny.random_model(family)
    shape = model_shape.of_config(lm.network.config.to_dict())
    one = sum(p.numel() for p in lm.blocks[0].parameters() if p.ndim == 2)
    assert shape.layer_weights == one
    assert (shape.layers, shape.neurons) == (lm.n_layers, lm.n_neurons)
    assert shape.head_row == 2 * lm.head.weight.numel()
    assert shape.encoder == lm.architecture.encoder


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "xlm-roberta"])
def test_encoders_are_known_as_such(family: str) -> None:
    lm = tiny.random_model(family)
    shape = model_shape.of_config(lm.network.config.to_dict())
    assert shape.encoder
    assert shape.all_neurons == lm.n_layers * lm.n_neurons
    one = sum(p.numel() for p in lm.blocks[1].parameters() if p.ndim == 2)
    assert shape.layer_weights == one


def test_a_nested_configuration_is_that_of_its_language_model() -> None:
    inner = KNOWN["gemma-3-270m"]
    assert model_shape.of_config({"text_config": inner}) == model_shape.of_config(inner)


def test_what_is_missing_or_no_size_is_said() -> None:
    config = dict(KNOWN["llama-2-7b"])
    with pytest.raises(ValueError, match="num_hidden_layers must be a whole number from 1, got -3"):
        model_shape.of_config(config | {"num_hidden_layers": -3})
    del config["vocab_size"]
    with pytest.raises(ValueError, match="names none of vocab_size: expected the vocabulary"):
        model_shape.of_config(config)
