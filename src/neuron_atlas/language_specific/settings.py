"""The section `language_specific` of params.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from neuron_atlas.pipeline.params import Count, Section, Share

OWN_TEXTS = Path("data/recall")  # the run's own prompts


class LanguageSpecific(Section):
    """Which texts are read, which neurons are a language's own, and how they are tested."""

    texts: Annotated[Path, Field(strict=False)]
    """`data/recall` for the run's own prompts with their right answers, or a folder with one
    `<language>.txt` per language: UTF-8, one text per line."""
    max_tokens: Count
    """Tokens per language that find neurons, at most; one text more where it needs the least."""
    min_tokens: Count
    """Tokens per language that find neurons, at least. A file with fewer is refused; a language
    whose own prompts have fewer is left out."""
    percentile: Share
    """A neuron is active in a language if its activation probability there is above this share of
    the probabilities of all neurons in all languages."""
    share: Annotated[float, Field(gt=0, le=0.05)]
    """Share of all neurons that is selected: those of the lowest entropy over languages."""
    n_texts: Count
    """Texts per language on which neurons are switched off; none of them found neurons."""
    n_facts: Count
    """Right held-out facts per language that are asked with neurons switched off."""
    n_draws: Annotated[int, Field(ge=5)]
    """Random sets of equal push for each language's neurons."""

    @model_validator(mode="after")
    def _room_for_the_least(self) -> "LanguageSpecific":
        if self.max_tokens < self.min_tokens:
            raise ValueError(
                f"max_tokens is {self.max_tokens}, less than min_tokens, {self.min_tokens}; raise "
                "the one or lower the other"
            )
        return self


def require_texts(folder: Path, languages: Sequence[str]) -> None:
    """Require a file with something in it for each language, unless the run's own prompts serve.

    Raises:
        ValueError: the folder or a file is not there, or a file is empty.
    """
    if folder == OWN_TEXTS:
        return
    if "${" in str(folder):
        raise ValueError(
            f"language_specific.texts {folder} must have no '${{', which DVC takes for a "
            "parameter; rename the folder"
        )
    for code in languages:
        file = folder / f"{code}.txt"
        if not file.is_file():
            raise ValueError(
                f"language_specific.texts: expected {file}, found none; give each language a file, "
                f"or set it to {OWN_TEXTS} for the run's own prompts"
            )
        if not file.stat().st_size:
            raise ValueError(f"language_specific.texts: {file} is empty; fill it")
