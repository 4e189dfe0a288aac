"""Write params.yaml into docs/parameters.md, and its values for the page: `make docs`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuron_atlas.checks.sections import SECTIONS
from neuron_atlas.pipeline import accepted, params
from neuron_atlas.pipeline.accepted import Schema

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("parameters.md")
SHIPPED = ROOT / "src/neuron_atlas/page/shipped_parameters.json"  # for the report's page
HEADER = ["key", "type and range", "shipped", "meaning"]
INTRODUCTION = """# The parameters
`params.yaml` holds their values; each section belongs to the stage of its name. A value that does
not fit is refused by the stage `check` before anything else runs. `dvc exp run -S KEY=VALUE` sets
one for an experiment. `make docs` makes this page from the classes that the sections fill.

`languages` is a mapping from the code of each language to `{}`. `seed` is a whole number from 0;
all that is drawn at random, in every stage, follows from it, so another one is a full replication.
"""
ABSENT = object()


def page() -> str:
    """Return a table for each section, in the order of params.yaml."""
    values = params.read_yaml(ROOT / "params.yaml")
    parts = [INTRODUCTION]
    for name, section in SECTIONS.items():
        schema = section.model_json_schema()
        rows = [HEADER, ["---"] * len(HEADER), *_rows(schema, values[name], schema, name)]
        parts.append(f"\n## {name}\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows))
    return "".join(parts)


def shipped() -> str:
    """Return the values of params.yaml as JSON."""
    values = params.read_yaml(ROOT / "params.yaml")
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"


def _rows(
    schema: Schema, values: Mapping[str, Any], root: Schema, *outer: str
) -> Iterator[list[str]]:
    """Yield key, type and range, shipped value and meaning, also of parts and their keys."""
    for key, shipped in values.items():
        field = schema["properties"][key]
        name = ".".join((*outer, key))
        if not isinstance(shipped, Mapping):
            meaning = " ".join(field["description"].split())
            yield [f"`{name}`", accepted.kind(field, root), _text(shipped), meaning]
        for choice in field.get("anyOf", [field]):
            if (part := accepted.resolved(choice, root)).get("properties"):
                absent = dict.fromkeys(part["properties"], ABSENT)
                inner = shipped if isinstance(shipped, Mapping) else absent
                yield from _rows(part, inner, root, *outer, key)


def _text(value: Any) -> str:
    """Return a value as YAML has it; ABSENT where params.yaml does not have the key."""
    if value is ABSENT:
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    for file, text in ((PAGE, page()), (SHIPPED, shipped())):
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {file}\n")
