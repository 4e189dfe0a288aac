"""Writing of a test's model to a folder, as `path:<folder>` and `language_model.load` read it."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from neuron_atlas.model.language_model import LanguageModel


def save(lm: LanguageModel, folder: Path) -> Path:
    """Write config.json, model.safetensors and the tokenizer's files; return the folder."""
    lm.network.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=lm.tokenizer).save_pretrained(folder)
    return folder
