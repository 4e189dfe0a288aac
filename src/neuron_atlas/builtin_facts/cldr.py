"""Look up the names of things in each language, in CLDR as Babel packages it."""

from collections.abc import Callable, Mapping
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.core import get_global

Names = Mapping[str, Mapping[str, str]]  # domain -> id -> label

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
NUMBERS = tuple(str(n) for n in range(10, 100))

# Only Russian, of the languages with templates, inflects a month's name inside a date. The
# stand-alone form is read there alone: elsewhere it is an alias, and Babel 2.18 writes a resolved
# alias into data that all locales share, so that Italian months would come out Chinese.
INFLECTED_MONTHS = {"ru"}
DECORATIONS = ("(", "（", " - ", ",", "、", "，")


def names(language: str, *, decorated: bool = False) -> Names:
    """Return the label of every id of every domain that CLDR names in a language.

    Labels are CLDR's for use inside a sentence (Unicode TR 35), with plain spaces. Those with a
    parenthesis, a comma or a spaced dash ("Congo - Kinshasa") are left out unless `decorated`:
    nobody says them so. An id without a name of its own in the language is absent. If a language
    leaves out a city, CLDR's rule applies: the last part of the zone's id is its name.

    Raises:
        ValueError: CLDR has no data for `language`.
    """
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(
            f"language must be a CLDR locale such as 'fr' or 'zh', got {language!r}"
        ) from error
    marks = () if decorated else DECORATIONS
    return {domain: _clean(read(locale), marks) for domain, read in _READERS.items()}


def unit_symbols() -> dict[str, str]:
    """Return the international symbol of each CLDR unit, from the root locale: "km", "MB"."""
    patterns: Mapping[str, Any] = Locale.parse("root")._data["unit_patterns"]
    short = {unit: forms["short"].get("other") for unit, forms in patterns.items()}
    return {u: s.removeprefix("{0}").strip() for u, s in short.items() if s and s.startswith("{0}")}


def city_countries() -> dict[str, str]:
    """Return the country code of each time zone whose id ends in a city's name."""
    zones: Mapping[str, str] = get_global("zone_territories")
    return {zone: country for zone, country in sorted(zones.items()) if "/" in zone}


def _clean(labels: Mapping[str, str | None], marks: tuple[str, ...]) -> dict[str, str]:
    plain = {i: " ".join(text.split()) for i, text in labels.items() if text}
    return {i: t for i, t in plain.items() if t and not any(mark in t for mark in marks)}


def _cities(locale: Locale) -> dict[str, str | None]:
    zones = locale.time_zones
    latin = (locale.script or _script(locale.language)) == "Latn"
    fallback = {
        z: z.rsplit("/", 1)[1].replace("_", " ") if latin else None for z in city_countries()
    }
    return {z: zones[z].get("city", f) if z in zones else f for z, f in fallback.items()}


def _script(language: str) -> str:
    likely: str = get_global("likely_subtags").get(language, "")
    return likely.split("_")[1] if "_" in likely else ""


def _units(locale: Locale) -> dict[str, str | None]:
    """Return full names, or else short ones; an inherited short name is a symbol, not a name."""
    own, root = locale.unit_display_names, Locale.parse("root").unit_display_names
    bare = {u: forms.get("short") for u, forms in root.items()}
    found = {u: forms.get("long") or forms.get("short") for u, forms in own.items()}
    return {u: name if name != bare.get(u) else None for u, name in found.items()}


def _months(locale: Locale) -> dict[str, str | None]:
    context = "stand-alone" if locale.language in INFLECTED_MONTHS else "format"
    wide = locale.months[context]["wide"]
    return {name: wide[number] for number, name in enumerate(MONTHS, start=1)}


def _weekdays(locale: Locale) -> dict[str, str | None]:
    wide = locale.days["format"]["wide"]
    return {name: wide[number] for number, name in enumerate(WEEKDAYS)}


def _territories(locale: Locale) -> dict[str, str | None]:
    return {i: t for i, t in locale.territories.items() if not i.isdigit()}


def _regions(locale: Locale) -> dict[str, str | None]:
    return {i: t for i, t in locale.territories.items() if i.isdigit()}


_READERS: Mapping[str, Callable[[Locale], Mapping[str, str | None]]] = {
    "city": _cities,
    "continent": _regions,
    "country": _territories,
    "currency": lambda locale: dict(locale.currencies),
    "language": lambda locale: dict(locale.languages),
    "month": _months,
    "number": lambda _: {n: n for n in (*NUMBERS, "100")},
    "script": lambda locale: dict(locale.scripts),
    "unit": _units,
    "weekday": _weekdays,
}
