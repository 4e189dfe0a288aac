"""A checkpoint that lacks weights, or has too many, is refused in one line."""

import copy
from pathlib import Path

import pytest
import torch
import transformers as tr
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import tiny
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.weights import fetch
from neuron_atlas.pipeline import store


def saved(network: PreTrainedModel, folder: Path, **changes: object) -> ModelSource:
    network.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer()).save_pretrained(folder)
    config = store.read_json(folder / "config.json") | changes
    config.pop("layer_types", None)
    store.write_json(folder / "config.json", config)
    return ModelSource("path", str(folder))


def made(kind: type[PreTrainedModel], family: str) -> PreTrainedModel:
    return kind(copy.deepcopy(tiny.CONFIGS[family]))


INCOMPLETE = [
    ("bert", tr.BertModel, {}, "missing: cls.predictions.bias.* 2 more; unexpected: pooler.dense"),
    ("bert", tr.BertForSequenceClassification, {}, "unexpected: .*classifier.bias"),
    ("bert", tr.BertForMaskedLM, {"num_hidden_layers": 5}, "encoder.layer.3.*28 more"),
    ("bert", tr.BertForMaskedLM, {"num_hidden_layers": 2}, "unexpected: bert.encoder.layer.2"),
    ("llama", tr.LlamaModel, {}, "missing: lm_head.weight; unexpected: none"),
    ("llama", tr.LlamaForSequenceClassification, {}, "missing: lm_head.weight; unexpected: score"),
    ("qwen3", tr.Qwen3ForCausalLM, {"num_hidden_layers": 4}, "missing: model.layers.3.input_layer"),
    ("gpt_neox", tr.GPTNeoXModel, {}, "missing: embed_out.weight|missing: lm_head.weight"),
    ("xlm-roberta", tr.XLMRobertaModel, {}, "missing: lm_head.bias"),
    ("distilbert", tr.DistilBertModel, {}, "missing: vocab_"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "kind", "changes", "message"), INCOMPLETE)
def test_what_would_be_filled_at_random_is_refused(
    tmp_path: Path,
    family: str,
    kind: type[PreTrainedModel],
    changes: dict[str, object],
    message: str,
) -> None:
    source = saved(made(kind, family), tmp_path / "source", **changes)
    with pytest.raises(ValueError, match=message) as error:
        fetch(source, tmp_path / "model", sha256=None, dtype="float32")
    assert f"path:{tmp_path / 'source'}: expected the weights of a whole" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("bert", tr.BertForPreTraining),  # its pooler and second head are not used
        ("gpt2", tr.GPT2Model),  # its head is tied to the embeddings
        ("gemma3_text", tr.Gemma3ForCausalLM),
    ],
)
def test_a_head_that_is_tied_or_not_used_may_be_absent_or_there(
    tmp_path: Path, family: str, kind: type[PreTrainedModel]
) -> None:
    source = saved(made(kind, family), tmp_path / "source")
    fetch(source, tmp_path / "model", sha256=None, dtype="float32")
    assert store.read_json(tmp_path / "model" / "provenance.json")["n_layers"] == 3


def test_masks_that_older_checkpoints_hold_are_no_weights(tmp_path: Path) -> None:
    """GPT-Neo's published ones have them; its code makes them anew."""
    source = saved(made(tr.GPTNeoForCausalLM, "gpt_neo"), tmp_path / "source")
    file = tmp_path / "source" / "model.safetensors"
    tensors, old = load_file(file), "transformer.h.0.attn.attention."
    added = {f"{old}bias": torch.ones(1, 1, 4, 4), f"{old}masked_bias": torch.tensor(-1e9)}
    save_file(tensors | added, file, metadata={"format": "pt"})
    fetch(source, tmp_path / "model", sha256=None, dtype="float32")
    save_file(tensors | {f"{old}other": torch.ones(2)}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"unexpected: transformer.h.0.attn.attention.other"):
        fetch(source, tmp_path / "again", sha256=None, dtype="float32")
