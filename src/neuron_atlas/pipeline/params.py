"""Read params.yaml: one strict schema per section, checked before any expensive work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from neuron_atlas.pipeline import accepted

PARAMS = Path("params.yaml")


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrAll = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A section of params.yaml, or a part of one: the value that the library's functions take.

    An unknown, missing or ill-typed key is an error. The string below an attribute describes it;
    docs/parameters.md is made from these strings.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


S = TypeVar("S", bound=Section)


def load(name: str, schema: type[S], path: Path = PARAMS) -> S:
    """Read section `name` of `path` as a `schema`.

    Raises:
        ValueError: the file is not YAML, or the section is absent or does not fit its schema; the
            message names the file, the key, what was expected and what came.
    """
    sections = read_yaml(path)
    if name not in sections:
        raise ValueError(f"{path} has no section {name!r}; it has {sorted(sections)}")
    return checked(name, schema, sections[name], where=f"{path}: ")


def checked(name: str, schema: type[S], values: object, *, where: str = "") -> S:
    """Return values as a `schema`.

    Args:
        name: What the values are called; it stands before each key in the message.
        schema: What they have to fit.
        values: A mapping.
        where: Stands before the message, such as the file they come from.

    Raises:
        ValueError: they do not fit; one line says which key, what was expected and what came.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{where}{_explain(name, error, schema)}") from error


def load_languages(path: Path = PARAMS) -> tuple[str, ...]:
    """Return the language codes of `path`, in the file's order.

    Raises:
        ValueError: `languages` is absent, empty, or not a mapping from code to settings.
    """
    languages = read_yaml(path).get("languages")
    if not isinstance(languages, Mapping) or not languages:
        raise ValueError(
            f"{path}: languages must be a non-empty mapping such as {{en: {{}}, fr: {{}}}}, "
            f"got {languages!r}"
        )
    return TypeAdapter(tuple[str, ...]).validate_python(tuple(languages))


def load_seed(path: Path = PARAMS) -> int:
    """Return the seed of `path`, from which every random draw of every stage follows.

    Raises:
        ValueError: `seed` is absent, or not a whole number from 0.
    """
    seed = read_yaml(path).get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"{path}: seed must be a whole number from 0, such as 0, got {seed!r}")
    return seed


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping, by the same rules as DVC.

    Raises:
        ValueError: the file is missing, is not YAML, or its top level is not a mapping.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; run from the repository's root") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: the top level must be a mapping, got {type(content).__name__}")
    return content


def _explain(name: str, error: ValidationError, schema: type[Section]) -> str:
    """Name each key, what is wrong with it, and what would be accepted; one line for all."""
    root, lines = schema.model_json_schema(), []
    for one in error.errors():
        key, absent = ".".join([name, *map(str, one["loc"])]), one["type"] == "missing"
        came = "" if absent else f", got {one['input']!r}"
        lines.append(f"{key}: {one['msg']}{came}; accepted: {accepted.at(root, one['loc'])}")
    return "; ".join(lines)
