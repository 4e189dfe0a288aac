"""The fact sources by name: each is read into the same triples and templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from neuron_atlas.facts.fact_table import OPENING
from neuron_atlas.pipeline.params import Section
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.sources import lre, mlama, own
from neuron_atlas.sources.hub import read
from neuron_atlas.sources.raw import Origin, Raw
from neuron_atlas.wording import templates

SourceName = Literal["builtin", "mlama", "lre", "jsonl", "csv", "hub"]
FILES: Mapping[str, Any] = {"mlama": mlama, "lre": lre, "jsonl": own, "csv": own}


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
    """`builtin` (CLDR and GeoNames, from installed packages), `mlama`, `lre`, `jsonl`, `csv` or
    `hub`."""
    path: AsPath
    """The folder, archive or file that is read; not of `builtin` and `hub`."""
    templates: AsPath
    """Folder of templates: `<language>.yaml`, or mParaRel's patterns."""
    hub: Hub | None
    """The data set, of `hub`: `dataset`, `revision`, `subset`, `split` and `columns`."""


def read_source(
    source: FactSource, languages: Sequence[str], relations: Sequence[str] | None
) -> dict[str, Raw]:
    """Read every language: the source's own templates first, then those of the templates' folder.

    Args:
        source: Where from.
        languages: Codes; each must be one of the source's.
        relations: Names; None takes all.

    Raises:
        ValueError: something of it cannot be read; the message names the file and line.
    """
    found = {}
    if not source.templates.exists():
        raise ValueError(f"facts.templates {source.templates} does not exist; name a folder")
    for code in languages:
        raw = _read(source, code, relations)
        names = sorted(set(raw.table["relation"]) | set(raw.templates))
        more = further(source.templates, code, names)
        if not more and not any(raw.templates.values()):
            raise ValueError(
                f"facts.templates {source.templates} has no templates in {code!r} for any of "
                f"{names}, and facts.source {source.source} brings none; write {code}.yaml there"
            )
        texts = {r: (*raw.templates.get(r, ()), *more.get(r, ())) for r in names}
        found[code] = Raw(code, raw.table, texts)
    return found


def _read(source: FactSource, code: str, relations: Sequence[str] | None) -> Raw:
    if source.source != "hub":
        if not source.path.exists():
            raise ValueError(
                f"facts.path {source.path} does not exist, and facts.source {source.source} is "
                "read from there; data/raw/README.md says how to bring the data in"
            )
        if FILES[source.source] is own and source.path.suffix != f".{source.source}":
            raise ValueError(
                f"facts.path {source.path} must end in .{source.source}, as facts.source is "
                f"{source.source}; correct the one or the other"
            )
        raw: Raw = FILES[source.source].read(source.path, code, relations)
        return raw

    hub = _required(source.hub)
    return read(
        hub.dataset,
        hub.revision,
        subset=hub.subset,
        split=hub.split,
        columns=hub.columns,
        language=code,
        relations=relations,
    )


def origin(source: FactSource, languages: Sequence[str]) -> Origin:
    """Return what the data card says of the source."""
    if source.source == "mlama":
        return mlama.origin(source.path, languages)
    if source.source != "hub":
        found: Origin = FILES[source.source].origin(source.path)
        return found
    hub = _required(source.hub)
    return Origin(
        name=hub.dataset,
        version=hub.revision,
        licence="see the data set's card",
        reference=f"https://huggingface.co/datasets/{hub.dataset}",
    )


def _required(hub: Hub | None) -> Hub:
    if hub is None:
        raise ValueError(
            "facts.source is hub, but facts.hub is null; set facts.hub.dataset, revision, split "
            "and columns"
        )
    return hub


def further(folder: Path, code: str, relations: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return one language's templates of a folder, with both slots; none for what it lacks.

    Raises:
        ValueError: the folder is neither of our layout nor of mParaRel's, or a template is broken.
    """
    listed = templates.languages(folder)
    if not listed:
        return mlama.read_patterns(folder, code, relations)
    if code not in listed:
        return {}
    # `encoder=True` lets all texts pass: which of them fit the model is chosen, and counted, later.
    texts = templates.load(code, folder, at_least=1, encoder=True)
    return {
        r: tuple(_with_object(text, texts.separator) for text in texts.templates[r])
        for r in relations
        if r in texts.templates
    }


def _with_object(text: str, separator: str) -> str:
    if OBJECT in text:
        return text
    return text + ("" if text.endswith(OPENING) else separator) + OBJECT
