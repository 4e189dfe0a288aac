"""Settings that the engine would run wrong are refused by one sentence, before any weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tr

import tiny
from neuron_atlas.model import language_model
from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.model.preview import look
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.supported import PLAIN, require_supported
from neuron_atlas.model.weights import fetch
from saved import save

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_k"),
    ("bert", {"is_decoder": True}, r"is_decoder is True, supported: False \(its answer position"),
    ("bert", {"add_cross_attention": True}, "add_cross_attention is True, supported: False"),
    ("roberta", {"chunk_size_feed_forward": 4}, "chunk_size_feed_forward is 4, supported: 0"),
    ("distilbert", {"return_dict": False}, "return_dict is False, supported: True"),
    ("electra", {"is_decoder": True}, "is_decoder is True"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention is True, supported: False"),
    ("xglm", {"is_encoder_decoder": True}, "is_encoder_decoder is True, supported: False"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
    ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
    ("gemma3_text", {"num_kv_shared_layers": 2}, "num_kv_shared_layers is 2, supported: 0"),
    ("bloom", {"slow_but_exact": True, "pretraining_tp": 2}, "slow_but_exact is True with"),
    ("llama", {"logits_scaling": 8.0}, r"logits_scaling is 8.0, supported: 1 \(logits are"),
    ("llama", {"residual_multiplier": 0.2}, "residual_multiplier is 0.2, supported: 1"),
    ("llama", {"num_local_experts": 8}, "num_local_experts is 8, supported: 0 or 1"),
    ("llama", {"quantization_config": {"bits": 4}}, "quantization_config is ..., supported: no su"),
    ("llama", {"early_exit_layer": 3}, "early_exit_layer is 3, supported: no such key"),
    ("llama", {"alibi": True}, "alibi is true, supported: false"),
    ("llama", {"attention_sinks": True}, "attention_sinks is True, supported: False or 0"),
    (
        "llama",
        {"rope_scaling": {"type": "mrope"}},
        "the rotary embeddings' rope_type is 'mrope', supported: default, lin",
    ),
    (
        "qwen3",
        {"layer_types": ["full_attention", "linear_attention"]},
        r"layer_types has \['linear_attention'",
    ),
    ("llama", {"attn_implementation": "flash_attention_2"}, "attn_implementation is 'flash_atten"),
    ("falcon", {"alibi": True, "_attn_implementation": "eager"}, "attention is 'eager', supported"),
    ("qwen2", {"attention_chunk_size": 64}, "attention_chunk_size is 64, supported: no such key"),
]


@pytest.mark.parametrize(("family", "settings", "message"), REFUSED)
def test_what_would_be_run_wrong_is_refused(
    family: str, settings: dict[str, Any], message: str
) -> None:
    config = tiny.CONFIGS[family].to_dict()
    assert require_supported(config, "x").body  # positive control
    with pytest.raises(ValueError, match=f"x: this {family} cannot be run right: {message}") as one:
        require_supported(config | settings, "x")
    assert "\n" not in str(one.value)


def test_every_setting_that_is_not_supported_is_named_at_once() -> None:
    settings = {"model_type": "bert", "is_decoder": True, "chunk_size_feed_forward": 4}
    with pytest.raises(ValueError, match=r"chunk_size_feed_forward is 4.*; is_decoder is True"):
        require_supported(settings, "x")


@pytest.mark.parametrize("name", tiny.EVERY)
def test_the_settings_of_every_known_family_are_supported(name: str) -> None:
    assert require_supported(tiny.config(name).to_dict(), "x").body


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_what_transformers_takes_for_granted_is_supported(family: str) -> None:
    assert require_supported(tr.AutoConfig.for_model(family).to_dict(), "x").body


def test_each_rule_is_about_another_key_and_says_why() -> None:
    assert len({rule.key for rule in PLAIN}) == len(PLAIN)
    assert all(rule.why for rule in PLAIN)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "t5"])
def test_a_family_without_neurons_is_refused_with_the_reason(family: str) -> None:
    reason = "encoder with a decoder" if family == "t5" else "experts: a router sends each token to"
    with pytest.raises(
        ValueError, match=f"unsupported architecture '{family}': .*{reason}.*; supp"
    ):
        require_supported({"model_type": family}, "x")


def with_settings(folder: Path, **settings: object) -> ModelSource:
    save(tiny.random_model("bert"), folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return ModelSource("path", str(folder))


def test_it_is_said_before_the_weights_are_read_wherever_a_model_comes_in(tmp_path: Path) -> None:
    source = with_settings(tmp_path / "source", position_embedding_type="relative_key_query")
    (tmp_path / "source" / "model.safetensors").write_bytes(b"not weights")
    message = "config.json: this bert cannot be run right: position_embedding_type"
    with pytest.raises(ValueError, match=message):
        look(source)
    with pytest.raises(ValueError, match=message):
        fetch(source, tmp_path / "model", sha256=None, dtype="float32")
    with pytest.raises(ValueError, match=message):
        language_model.load(tmp_path / "source", device="cpu")


def test_sizes_are_known_before_a_model_is_loaded(tmp_path: Path) -> None:
    for name in sorted(tiny.CONFIGS):
        folder = save(tiny.random_model(name), tmp_path / name)
        found = look(ModelSource("path", str(folder)))
        assert (found.model_type, found.n_layers) == (name, 3)
        assert found.n_neurons == (None if name == "bloom" else 24)  # its config does not say


def test_a_prompt_beyond_what_rotary_embeddings_were_made_for_is_refused() -> None:
    """They change with the length of a sequence, so a prompt alone is not what it is in a pack."""
    lm = tiny.random_model("phi3, long context")
    for length, refused in ((32, False), (33, True)):
        ids = torch.full((1, length), 5)
        sight = torch.ones(1, length, length, dtype=torch.bool).tril()
        if refused:
            with pytest.raises(ValueError, match="a prompt has 33 tokens, more than the 32 for"):
                lm.hidden(ids, torch.arange(length)[None], sight)
        else:
            assert lm.hidden(ids, torch.arange(length)[None], sight).isfinite().all()


FAMILIES_WITH_A_TABLE = ["bert", "distilbert", "gpt2", "gpt_neo", "opt", "roberta", "xglm"]


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES_WITH_A_TABLE)
def test_a_prompt_beyond_the_table_of_positions_is_refused(family: str) -> None:
    config = tiny.config(family)
    config.max_position_embeddings = 20
    encoder = ARCHITECTURES[family].encoder
    auto = tr.AutoModelForMaskedLM if encoder else tr.AutoModelForCausalLM
    lm = tiny.wrapped(auto.from_config(config).eval())
    end = 20 - (tiny.UNK + 1 if family == "roberta" else 0)  # which begins behind its padding
    for length in (end, end + 1):
        ids, places = torch.full((1, length), 5), torch.arange(length)[None]
        causal = torch.ones(1, length, length, dtype=torch.bool).tril()
        sight = torch.ones_like(ids).bool() if encoder else causal
        if length > end:
            with pytest.raises(ValueError, match=f"has {length} tokens, more than the {end} for"):
                lm.hidden(ids, places, sight)
        else:
            assert lm.hidden(ids, places, sight).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("family", ["bloom", "falcon, ALiBi of RW", "llama", "modernbert"])
def test_a_family_without_a_table_has_no_limit(family: str) -> None:
    assert tiny.random_model(family).sight.longest is None


def test_a_window_that_a_family_does_not_know_bounds_the_prompts() -> None:
    config = tiny.config("llama")
    config.sliding_window = 4
    lm = tiny.wrapped(tr.LlamaForCausalLM(config).eval())
    ids, sight = torch.full((1, 5), 5), torch.ones(1, 5, 5, dtype=torch.bool).tril()
    with pytest.raises(ValueError, match="a prompt has 5 tokens, more than the 4 for which"):
        lm.hidden(ids, torch.arange(5)[None], sight)
    assert lm.hidden(ids[:, :4], torch.arange(4)[None], sight[:, :4, :4]).isfinite().all()
