"""Files of a commit, or of the workspace, as git holds them."""

import json
from typing import Any

from dvc.repo import Repo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


def text(repo: Repo, path: str) -> str:
    """Return a file at the revision that `repo.switch` chose.

    Args:
        repo: The repository.
        path: From its root, with slashes.

    Raises:
        ValueError: there is no such file, or it is not text.
    """
    try:
        place = repo.fs.join(repo.root_dir, *path.split("/"))
        with repo.fs.open(place, "r", encoding="utf-8") as file:
            return str(file.read())
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist there") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text: {error}") from error


def yaml_mapping(repo: Repo, path: str) -> dict[str, Any]:
    """Return a YAML file whose top level is a mapping, as `text` finds it.

    Raises:
        ValueError: likewise, or it is something else.
    """
    try:
        found = YAML(typ="safe").load(text(repo, path))
    except YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    return _mapping(path, {} if found is None else found)


def json_mapping(repo: Repo, path: str) -> dict[str, Any]:
    """Return a JSON object, as `text` finds it.

    Raises:
        ValueError: likewise, or it is something else.
    """
    try:
        found = json.loads(text(repo, path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    return _mapping(path, found)


def _mapping(path: str, found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a mapping, got {type(found).__name__}")
    return found
