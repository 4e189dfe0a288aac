"""Say in words what a schema accepts: for docs/parameters.md, and for the error about a value."""

from collections.abc import Mapping, Sequence
from typing import Any

ENDS = ("minimum", "maximum")
KINDS = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
KINDS |= {"string": "text", "null": "`null`", "object": "mapping"}
Schema = Mapping[str, Any]  # as JSON Schema


def kind(field: Schema, root: Schema) -> str:
    """Return what a value may be, in words.

    Args:
        field: The schema of the value.
        root: The schema that holds what `field` refers to.
    """
    part = resolved(field, root)
    if "anyOf" in part:
        return " or ".join(kind(choice, root) for choice in part["anyOf"])
    if "enum" in part or "const" in part:
        *others, last = (f"`{value}`" for value in part.get("enum", [part.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if part["type"] == "array":
        least = "of at least one" if part.get("minItems") else "of"
        return f"list {least}: {kind(part['items'], root)}"
    if part.get("format") == "path":
        return "path"
    return " ".join([KINDS[part["type"]], *_range(part)])


def resolved(field: Schema, root: Schema) -> Schema:
    """Return a schema itself in place of a reference to it."""
    if "$ref" not in field:
        return field
    found: Schema = root["$defs"][field["$ref"].rpartition("/")[2]]
    return found


def _range(part: Schema) -> list[str]:
    low, high = (part.get(name, part.get(f"exclusive{name.title()}")) for name in ENDS)
    opening, closing = "[" if "minimum" in part else "(", "]" if "maximum" in part else ")"
    if high is not None:
        return [f"in {opening}{low:g}, {high:g}{closing}"]
    if low is not None:
        return [f"{'from' if opening == '[' else 'above'} {low:g}"]
    return []


def at(root: Schema, path: Sequence[str | int]) -> str:
    """Return what the value at a path may be; of an unknown key, which keys there are.

    Args:
        root: The schema of a section.
        path: Keys from the section inwards; what follows the last key is not read.
    """
    field: Schema = root
    for key in path:
        parts = [resolved(choice, root) for choice in field.get("anyOf", [field])]
        inner = next((part["properties"] for part in parts if "properties" in part), None)
        if inner is None:
            break
        if key not in inner:
            return f"the keys {', '.join(inner)}"
        field = inner[str(key)]
    return kind(field, root).replace("`", "'")
