"""Which data and parameters a page was made from, so that a stale page can be told."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from neuron_atlas.pages.shell import FOLDER
from neuron_atlas.pipeline.store import read_json
from neuron_atlas.report.inputs import Results

SHIPPED = FOLDER / "shipped_parameters.json"  # made by `make docs`
ABSENT = "(absent)"


def made_from(results: Results) -> dict[str, Any]:
    """Return what tells this run from another one, as the page's block `provenance` holds it.

    Returns:
        `languages`; `seed`; `facts`, the source; `model`, its source, revision and checksum;
        `parameters`, by dotted name; `changed`, those that are not as shipped, each with `shipped`
        and `value`.
    """
    values = flat(results.parameters)
    model = {key: results.provenance.get(key) for key in ("source", "revision", "sha256", "dtype")}
    return {
        "languages": list(results.recall),
        "seed": results.parameters["seed"],
        "facts": results.fact_source,
        "model": model,
        "parameters": values,
        "changed": changed(values, flat(read_json(SHIPPED))),
    }


def flat(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters by dotted name, each value as JSON has it; languages are one value."""
    joined = {**parameters, "languages": list(parameters["languages"])}
    return dict(_flat(joined))


def _flat(values: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{outer}.{key}" if outer else str(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, name)
        else:
            yield name, json.dumps(value, ensure_ascii=False)


def changed(values: Mapping[str, str], shipped: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the parameters that are not as shipped, also those that only one of the two has."""
    names = dict.fromkeys([*values, *shipped])
    pairs = {name: (shipped.get(name, ABSENT), values.get(name, ABSENT)) for name in names}
    return {
        name: {"shipped": before, "value": now}
        for name, (before, now) in pairs.items()
        if before != now
    }
