"""Load a model for a person who waits at a terminal: without bars and notices of libraries."""

from pathlib import Path

from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel


def load(folder: Path) -> LanguageModel:
    """Load what the stage `model` left in `folder`."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return language_model.load(folder)
