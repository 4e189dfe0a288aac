"""A model's sizes from its configuration are those of the model that is made from it."""

import pytest

import tiny
from neuron_atlas.costs import model_shape
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.model.architectures import ARCHITECTURES

PUBLISHED = {  # billions of parameters, by the papers and model cards
    "llama-2-7b": 6.738,
    "llama-2-13b": 13.016,
    "llama-2-70b": 68.977,
    "gemma-3-270m": 0.268,
}
# Matrices that are left out: positions, kinds of tokens, and what is next to embeddings and logits.
LEFT_OUT = ("pos", "wpe", "token_type", "project", "dense", "vocab_transform")


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_have_their_published_number_of_parameters(name: str) -> None:
    shape = model_shape.of_config(KNOWN[name])
    assert shape.parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=2e-3)


@pytest.mark.parametrize("name", tiny.EVERY)
def test_sizes_are_those_of_the_model_of_every_supported_family(name: str) -> None:
    lm = tiny.random_model(name)
    config = lm.network.config
    shape = model_shape.of_config(config.to_dict())
    assert model_shape.of_config(config.to_diff_dict()) == shape  # as a config.json has it
    assert (shape.layers, shape.neurons) == (lm.n_layers, lm.n_neurons)
    assert shape.encoder == lm.architecture.encoder
    assert shape.head_row == 2 * lm.head.weight.numel()
    matrices = {n: p for n, p in lm.network.named_parameters() if p.ndim == 2}
    own = {id(p) for block in lm.blocks for p in block.parameters()}
    layers = sum(p.numel() for p in matrices.values() if id(p) in own)
    assert shape.layers * shape.layer_weights == layers
    others = {n: p for n, p in matrices.items() if id(p) not in own}
    counted = [p.numel() for n, p in others.items() if not any(part in n for part in LEFT_OUT)]
    assert shape.parameters == layers + sum(counted)


def test_the_families_are_those_that_the_engine_supports() -> None:
    assert set(tiny.CONFIGS) == set(ARCHITECTURES)


def test_falcon_s_older_code_has_one_head_of_keys_whatever_their_number() -> None:
    """As the config.json of the 7B model says it, and of 40B."""
    old = {"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71}
    old |= {"num_hidden_layers": 32, "vocab_size": 65024, "num_kv_heads": 71, "multi_query": True}
    shape = model_shape.of_config(old)
    assert (shape.groups, shape.tied) == (1, True)
    assert shape.parameters == pytest.approx(6.92e9, rel=2e-3)
    assert model_shape.of_config(old | {"new_decoder_architecture": True}).groups == 71


def test_a_narrow_embedding_makes_a_narrow_head() -> None:
    """OPT 350M: 512 numbers per token, of 1024."""
    given = {"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24, "ffn_dim": 4096}
    given |= {"num_attention_heads": 16, "vocab_size": 50272, "word_embed_proj_dim": 512}
    assert model_shape.of_config(given).head_row == 2 * 50272 * 512


def test_a_model_that_holds_a_language_model_is_refused() -> None:
    inner = KNOWN["gemma-3-270m"]
    assert model_shape.of_config({**inner, "text_config": None}) == model_shape.of_config(inner)
    outer = {"model_type": "gemma3", "text_config": dict(inner)}
    with pytest.raises(
        ValueError, match=r"^config.json: this gemma3 .* text_config \(gemma3_text\)"
    ):
        model_shape.of_config(outer)
    with pytest.raises(ValueError, match=r"text_config, and the engine loads"):
        model_shape.of_config(outer | {"text_config": [1]})


def test_what_the_engine_does_not_support_is_refused() -> None:
    given = dict(KNOWN["llama-2-7b"])
    with pytest.raises(ValueError, match="'mixtral': its MLPs are experts"):
        model_shape.of_config(given | {"model_type": "mixtral", "num_local_experts": 8})
    with pytest.raises(ValueError, match="num_local_experts is 8, supported: 0 or 1"):
        model_shape.of_config(given | {"num_local_experts": 8})
    with pytest.raises(ValueError, match="unsupported architecture 'None'"):
        model_shape.of_config({"hidden_size": 8})


def test_what_is_missing_or_no_size_is_said() -> None:
    config = dict(KNOWN["llama-2-7b"])
    with pytest.raises(ValueError, match="num_hidden_layers must be a whole number from 1, got -3"):
        model_shape.of_config(config | {"num_hidden_layers": -3})
    with pytest.raises(ValueError, match="head_dim must be a whole number from 1, got 'x'"):
        model_shape.of_config(config | {"head_dim": "x"})
    del config["vocab_size"]
    with pytest.raises(ValueError, match="names none of vocab_size: expected the vocabulary"):
        model_shape.of_config(config)
