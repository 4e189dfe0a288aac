"""Where facts come from: the first part of the section `facts` of params.yaml."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Section

SourceName = Literal[
    "builtin", "mlama", "lre", "klar", "bmlama", "counterfact", "popqa", "jsonl", "csv", "hub"
]
AsPath = Annotated[Path, Field(strict=False)]  # params.yaml has it as text


class Hub(Section):
    """A data set of the Hugging Face hub, at a commit, and which of its columns are what."""

    dataset: str
    """Name, `owner/name`."""
    revision: str
    """The 40 hexadecimal digits of a commit."""
    subset: str | None
    """The configuration's name; `null` for the only one."""
    split: str
    """The split's name."""
    columns: dict[str, str]
    """The data set's column for each of ours: `relation`, `language`, `subject`, `object` and
    others; see `data/raw/README.md`."""


class FactSource(Section):
    """Where facts come from."""

    source: SourceName
    """`builtin` (CLDR and GeoNames, from installed packages), `mlama`, `lre`, `klar`, `bmlama`,
    `counterfact`, `popqa`, `jsonl`, `csv` or `hub`."""
    path: AsPath
    """The folder, archive or file that is read; not of `builtin` and `hub`."""
    templates: AsPath
    """Folder of templates: `<language>.yaml`, or mParaRel's patterns."""
    source_codes: dict[str, str] | None
    """What the source calls a language if it has another code there, such as `{zh: zh-CN}`; also
    the split's name where `facts.hub.split` is `{language}`."""
    template_codes: dict[str, str | None] | None
    """What `facts.templates` calls a language if it has another code there, such as
    `{zh: zh-hans}`; `null` for a language that has no templates there."""
    hub: Hub | None
    """The data set, of `hub`: `dataset`, `revision`, `subset`, `split` and `columns`."""


def require_files(source: FactSource) -> None:
    """Require what the facts are read from to be there, as far as no file has to be opened.

    Raises:
        ValueError: the folder of templates or the data are not there.
    """
    if not source.templates.exists():
        raise ValueError(f"facts.templates {source.templates} does not exist; name a folder")
    if source.source == "hub":
        required_hub(source)
    elif source.source != "builtin":
        _require_path(source)


def _require_path(source: FactSource) -> None:
    if "${" in str(source.path):
        raise ValueError(
            f"facts.path {source.path} must have no '${{', which DVC takes for a parameter; rename "
            "the file"
        )
    if not source.path.exists():
        raise ValueError(
            f"facts.path {source.path} does not exist, and facts.source {source.source} is "
            "read from there; data/raw/README.md says how to bring the data in"
        )
    if source.source in ("jsonl", "csv") and source.path.suffix != f".{source.source}":
        raise ValueError(
            f"facts.path {source.path} must end in .{source.source}, as facts.source is "
            f"{source.source}; correct the one or the other"
        )


def required_hub(source: FactSource) -> Hub:
    """Return the data set of the hub.

    Raises:
        ValueError: there is none.
    """
    if source.hub is None:
        raise ValueError(
            "facts.source is hub, but facts.hub is null; set facts.hub.dataset, revision, split "
            "and columns"
        )
    return source.hub
