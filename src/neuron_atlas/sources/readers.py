"""Read any fact source by its name, into the same triples and templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuron_atlas.facts import spacing
from neuron_atlas.pipeline.slots import OBJECT
from neuron_atlas.sources import bmlama, codes, counterfact, klar, lre, mlama, own, popqa
from neuron_atlas.sources.mlama import Patterns
from neuron_atlas.sources.raw import Origin, Raw
from neuron_atlas.sources.settings import FactSource, require_files, required_hub
from neuron_atlas.wording import templates

FILES: Mapping[str, Any] = {
    "mlama": mlama,
    "lre": lre,
    "klar": klar,
    "bmlama": bmlama,
    "counterfact": counterfact,
    "popqa": popqa,
    "jsonl": own,
    "csv": own,
}
BY_LANGUAGE = ("mlama", "klar", "bmlama", "counterfact")  # have files of each language


def read_source(
    source: FactSource, languages: Sequence[str], relations: Sequence[str] | None
) -> dict[str, Raw]:
    """Read every language: checked templates first, then the source's own, then the others.

    Args:
        source: Where the facts come from.
        languages: Codes, each one of the source's.
        relations: Names; None reads all.

    Raises:
        ValueError: something cannot be read; the message names the file and the line.
    """
    found = {}
    require_files(source)
    for code in languages:
        raw = _read(source, source_code(source, code), relations)
        names = sorted(set(raw.table["relation"]) | set(raw.templates))
        more = _more_templates(source, code, names)
        if not _any(more) and not any(raw.templates.values()):
            raise ValueError(
                f"facts.templates {source.templates} has no templates in {code!r} for any of "
                f"{names}, and facts.source {source.source} brings none; write {code}.yaml there"
            )
        texts = {
            r: (*more.checked.get(r, ()), *raw.templates.get(r, ()), *more.others.get(r, ()))
            for r in names
        }
        absent = (
            (f"facts.templates {source.templates} has no templates for its relations",)
            if not _any(more) and source.templates.resolve() != templates.FOLDER
            else ()
        )
        found[code] = Raw(code, raw.table, texts, (*raw.notices, *absent), more.checked)
    return found


def source_code(source: FactSource, language: str) -> str:
    """Return what a source calls a language."""
    return (source.source_codes or {}).get(language, language)


def _any(patterns: Patterns) -> bool:
    return any(patterns.checked.values()) or any(patterns.others.values())


def _more_templates(source: FactSource, code: str, relations: Sequence[str]) -> Patterns:
    """Return one language's templates of the folder, under the code that they have there.

    Raises:
        ValueError: the folder has only codes near this one, and the parameter names none of them.
    """
    named = (source.template_codes or {}).get(code, code)
    if named is None:
        return Patterns({}, {})
    folder = source.templates
    there = template_codes(folder)
    close = [c for c in codes.near(named, there) if _any(extra_templates(folder, c, relations))]
    if named not in there and (close or named != code):
        raise ValueError(
            f"facts.templates {folder} has no templates in {named!r}, but in "
            f"{', '.join(close or sorted(there))}; say which are meant, or null for none: "
            f"-S 'facts.template_codes={{{code}: {(close or sorted(there))[0]}}}'"
        )
    return extra_templates(folder, named, relations)


def template_codes(folder: Path) -> tuple[str, ...]:
    """Return the languages of a folder of templates, of ours or of mParaRel's."""
    return templates.languages(folder) or mlama.pattern_languages(folder)


def _read(source: FactSource, code: str, relations: Sequence[str] | None) -> Raw:
    if source.source != "hub":
        raw: Raw = FILES[source.source].read(source.path, code, relations)
        return raw

    from neuron_atlas.sources import hub as hub_reader  # here, since `datasets` imports slowly

    hub = required_hub(source)
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
    if source.source in BY_LANGUAGE:
        codes_there = [source_code(source, code) for code in languages]
        named: Origin = FILES[source.source].origin(source.path, codes_there)
        return named
    if source.source != "hub":
        found: Origin = FILES[source.source].origin(source.path)
        return found
    hub = required_hub(source)
    return Origin(
        name=hub.dataset,
        version=hub.revision,
        licence="see the data set's card",
        reference=f"https://huggingface.co/datasets/{hub.dataset}",
    )


def extra_templates(folder: Path, code: str, relations: Sequence[str]) -> Patterns:
    """Return one language's templates by relation, each with both placeholders.

    Raises:
        ValueError: the folder has neither our layout nor mParaRel's, or a template is broken.
    """
    listed = templates.languages(folder)
    if not listed:
        return mlama.read_patterns(folder, code, relations)
    if code not in listed:
        return Patterns({}, {})
    # `encoder=True` lets all texts pass: those that do not fit the model are counted later.
    texts = templates.load(code, folder, at_least=1, encoder=True)
    ours = {
        r: tuple(_with_object(text, texts.separator) for text in texts.templates[r])
        for r in relations
        if r in texts.templates
    }
    return Patterns({}, ours)


def _with_object(text: str, separator: str) -> str:
    if OBJECT in text:
        return text
    return text + spacing.join(text, separator) + OBJECT
