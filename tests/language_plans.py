"""Small parameters of the stage `language_specific`."""

from pathlib import Path

from neuron_atlas.language_specific.settings import LanguageSpecific

FEW_TEXTS = LanguageSpecific(
    texts=Path("texts"),
    max_tokens=100,
    min_tokens=1,
    percentile=0.95,
    share=0.05,
    n_texts=4,
    n_facts=4,
    n_draws=5,
)
