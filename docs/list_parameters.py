"""Write every parameter of params.yaml into docs/parameters.md: `make docs`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import check
from neuron_atlas.pipeline import params

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("parameters.md")
HEADER = ["key", "type and range", "shipped", "meaning"]
INTRODUCTION = """# The parameters
`params.yaml` holds their values; each section belongs to the stage of its name. A value that does
not fit is refused by the stage `check` before anything slow begins. `dvc exp run -S KEY=VALUE` sets
one for an experiment. `make docs` makes this page from the classes that the sections fill.

`languages` is a mapping from the code of each language to `{}`.
"""
ENDS = ("minimum", "maximum")
KINDS = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
KINDS |= {"string": "text", "null": "`null`", "object": "mapping"}
ABSENT = object()
Schema = Mapping[str, Any]  # as JSON Schema


def page() -> str:
    """Return a table for each section, in the order of params.yaml."""
    values = params.read_yaml(ROOT / "params.yaml")
    parts = [INTRODUCTION]
    for script in check.SCRIPTS:
        name = script.__name__
        schema = script.Params.model_json_schema()
        rows = [HEADER, ["---"] * len(HEADER), *_rows(schema, values[name], schema, name)]
        parts.append(f"\n## {name}\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows))
    return "".join(parts)


def _rows(
    schema: Schema, values: Mapping[str, Any], root: Schema, *outer: str
) -> Iterator[list[str]]:
    """Yield key, type and range, shipped value and meaning, also of parts and their keys."""
    for key, shipped in values.items():
        field = schema["properties"][key]
        name = ".".join((*outer, key))
        if not isinstance(shipped, Mapping):
            meaning = " ".join(field["description"].split())
            yield [f"`{name}`", _kind(field, root), _text(shipped), meaning]
        for choice in field.get("anyOf", [field]):
            if (part := _resolved(choice, root)).get("properties"):
                absent = dict.fromkeys(part["properties"], ABSENT)
                inner = shipped if isinstance(shipped, Mapping) else absent
                yield from _rows(part, inner, root, *outer, key)


def _resolved(field: Schema, root: Schema) -> Schema:
    if "$ref" not in field:
        return field
    found: Schema = root["$defs"][field["$ref"].rpartition("/")[2]]
    return found


def _kind(field: Schema, root: Schema) -> str:
    """Return what a value may be, in words."""
    part = _resolved(field, root)
    if "anyOf" in part:
        return " or ".join(_kind(choice, root) for choice in part["anyOf"])
    if "enum" in part or "const" in part:
        *others, last = (f"`{value}`" for value in part.get("enum", [part.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if part["type"] == "array":
        least = "of at least one" if part.get("minItems") else "of"
        return f"list {least}: {_kind(part['items'], root)}"
    if part.get("format") == "path":
        return "path"
    return " ".join([KINDS[part["type"]], *_range(part)])


def _range(part: Schema) -> list[str]:
    low, high = (part.get(name, part.get(f"exclusive{name.title()}")) for name in ENDS)
    opening, closing = "[" if "minimum" in part else "(", "]" if "maximum" in part else ")"
    if high is not None:
        return [f"in {opening}{low:g}, {high:g}{closing}"]
    if low is not None:
        return [f"{'from' if opening == '[' else 'above'} {low:g}"]
    return []


def _text(value: Any) -> str:
    """Return a value as YAML has it; ABSENT where params.yaml does not have the key."""
    if value is ABSENT:
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
