"""What a plan is asked of: a model's configuration, and parameters with some set otherwise."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from neuron_atlas.costs import model_shape
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.model_shape import ModelShape
from neuron_atlas.costs.settings import SECTIONS, Settings, of_sections
from neuron_atlas.pipeline import params


def read_model(given: str) -> tuple[ModelShape, bool]:
    """Read a config.json or a known one: the sizes, and whether logits are squashed.

    Raises:
        ValueError: there is no such file or name, or it is no config.json of a language model that
            the engine supports.
    """
    if given in KNOWN:
        return model_shape.of_config(KNOWN[given]), False
    path = Path(given)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"{given} is no file and no known model: expected a config.json, or one of "
            f"{', '.join(KNOWN)}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}; give a model's config.json") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected an object, got {type(config).__name__}")
    return model_shape.of_config(config), bool(config.get("final_logit_softcapping"))


def read_settings(path: Path | None = None, changes: Sequence[str] = ()) -> Settings:
    """Return the parameters of a params.yaml, or the shipped ones, with some set otherwise.

    Args:
        path: The file; where it is missing, the shipped parameters count.
        changes: As `--set` takes them: a key, an equals sign, and a value.

    Raises:
        ValueError: a change names no parameter, or a value does not fit.
    """
    shipped = files("neuron_atlas").joinpath("page/shipped_parameters.json")
    values = json.loads(shipped.read_text("utf-8"))
    if path is not None and path.is_file():
        values |= params.read_yaml(path)
    for change in changes:
        _change(values, change)
    return of_sections(values)


def _change(values: dict[str, Any], change: str) -> None:
    """Set a parameter otherwise.

    Raises:
        ValueError: it names no parameter, one that no formula reads, or what follows is no value.
    """
    key, equals, text = change.partition("=")
    *sections, name = key.split(".")
    place: Any = values
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not equals or not sections or not isinstance(place, dict) or name not in place:
        raise ValueError(
            f"--set {change}: expected a key of params.yaml and its value, such as "
            "interference.n_draws=5"
        )
    if sections[0] not in SECTIONS:
        raise ValueError(
            f"--set {change}: no formula reads {sections[0]}; the sections that count are "
            f"{', '.join(SECTIONS)}"
        )
    place[name] = _value(change, text)


def _value(change: str, text: str) -> object:
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"--set {change}: expected a value as in params.yaml, such as 5 or [0.5, 1], got "
            f"{text!r}: {why}"
        ) from error
