"""Language codes of different makers: `zh`, `zh-hans` and `zh_CN` are near one another."""

from collections.abc import Iterable, Sequence

from babel.core import get_global, parse_locale

from neuron_atlas.files.json_values import printable, shown


def known_language(language: str, languages: Sequence[str], where: str) -> str:
    """Return `language`.

    Raises:
        ValueError: it is none of the source's `languages`; the message has those near it.
    """
    if language not in languages:
        have = ", ".join(map(printable, sorted(languages)[:60]))[:300]
        close = near(language, languages)
        named = f"name {close[0]} for it in facts.source_codes or " if close else ""
        raise ValueError(
            f"{where}: expected one of the languages {have}, got {shown(language)}; {named}choose "
            "another"
        )
    return language


def near(code: str, others: Iterable[str]) -> list[str]:
    """Return those codes that mean the same language, those of the same script first.

    What a code leaves unsaid is filled in by CLDR's likely subtags: `zh` is written in `Hans`.
    """
    language, script = _meaning(code)
    found = [other for other in sorted(others) if other != code and _meaning(other)[0] == language]
    return sorted(found, key=lambda other: _meaning(other)[1] != script)


def _meaning(code: str) -> tuple[str, str | None]:
    """Return a code's language and script; of what CLDR does not know, the code itself."""
    try:
        language, territory, script, *_ = parse_locale(code.replace("-", "_"))
    except ValueError:
        return code.casefold(), None
    language = get_global("language_aliases").get(language, language)
    likely = get_global("likely_subtags")
    full = likely.get(f"{language}_{territory}") or likely.get(language)
    return language, script or (parse_locale(full)[2] if full else None)
