"""Read any fact source by its name, into the same triples and templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neuron_atlas.facts.fact_table import OPENING
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.sources import hub as hub_reader
from neuron_atlas.sources import lre, mlama, own
from neuron_atlas.sources.raw import Origin, Raw
from neuron_atlas.wording import templates

SourceName = Literal["mlama", "lre", "jsonl", "csv", "hub"]
FILES: Mapping[str, Any] = {"mlama": mlama, "lre": lre, "jsonl": own, "csv": own}


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face Hub, at a commit, and the meaning of its columns.

    `columns` maps our names (`own.REQUIRED`, `own.LABELS`) to the data set's.
    """

    dataset: str
    revision: str
    subset: str | None
    split: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class FactSource:
    """Where facts come from.

    Attributes:
        name: Which reader.
        path: The folder, archive or file to read; not used for `hub`.
        templates: Folder of additional templates: `<language>.yaml`, or mParaRel's patterns.
        hub: The data set, for `hub`.
    """

    name: SourceName
    path: Path
    templates: Path
    hub: Hub | None = None


def read_source(
    source: FactSource, languages: Sequence[str], relations: Sequence[str] | None
) -> dict[str, Raw]:
    """Read every language: the source's own templates first, then those of the template folder.

    Args:
        source: Where the facts come from.
        languages: Codes, each one of the source's.
        relations: Names; None reads all.

    Raises:
        ValueError: something cannot be read; the message names the file and the line.
    """
    found = {}
    if not source.templates.exists():
        raise ValueError(f"facts.templates {source.templates} does not exist; name a folder")
    for code in languages:
        raw = _read(source, code, relations)
        names = sorted(set(raw.table["relation"]) | set(raw.templates))
        more = extra_templates(source.templates, code, names)
        if not more and not any(raw.templates.values()):
            raise ValueError(
                f"facts.templates {source.templates} has no templates in {code!r} for any of "
                f"{names}, and facts.source {source.name} brings none; write {code}.yaml there"
            )
        texts = {r: (*raw.templates.get(r, ()), *more.get(r, ())) for r in names}
        found[code] = Raw(code, raw.table, texts)
    return found


def _read(source: FactSource, code: str, relations: Sequence[str] | None) -> Raw:
    if source.name != "hub":
        if not source.path.exists():
            raise ValueError(
                f"facts.path {source.path} does not exist, and facts.source {source.name} is read "
                "from there; data/raw/README.md says how to bring the data in"
            )
        if FILES[source.name] is own and source.path.suffix != f".{source.name}":
            raise ValueError(
                f"facts.path {source.path} must end in .{source.name}, as facts.source is "
                f"{source.name}; correct one of them"
            )
        raw: Raw = FILES[source.name].read(source.path, code, relations)
        return raw

    hub = _required(source.hub)
    return hub_reader.read(
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
    if source.name == "mlama":
        return mlama.origin(source.path, languages)
    if source.name != "hub":
        found: Origin = FILES[source.name].origin(source.path)
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


def extra_templates(
    folder: Path, code: str, relations: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return one language's templates by relation, each with both placeholders; {} if it has none.

    Raises:
        ValueError: the folder has neither our layout nor mParaRel's, or a template is broken.
    """
    listed = templates.languages(folder)
    if not listed:
        return mlama.read_patterns(folder, code, relations)
    if code not in listed:
        return {}
    # `encoder=True` lets all texts pass: those that do not fit the model are counted later.
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
