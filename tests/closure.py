"""What a stage script imports from this project, directly or not, and whether dvc.yaml lists it.

`python tests/closure.py` prints what is wrong; `--write` puts it right, keeping order and comments.
"""

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

ROOT = Path(__file__).parents[1]


def closure(script: Path, source: Path) -> set[Path]:
    """Return the modules of `source` that a script imports, and those that they import in turn.

    Imports inside functions count. So do other scripts that the script imports for their schemas,
    but not what those import: each stage checks its own section again when it runs. `__init__.py`
    does not count: it holds a docstring and nothing else.
    """
    found: set[Path] = set()
    queue = [script]
    while queue:
        new = _imported(queue.pop(), source) - found
        found |= new
        queue += new
    return found | _imported(script, script.parent)


def _imported(file: Path, folder: Path) -> set[Path]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    names = {name for node in nodes for name in _names(node)}
    paths = {folder.joinpath(*name.split(".")).with_suffix(".py") for name in names}
    return {path for path in paths if path.exists()}


def _names(node: ast.AST) -> list[str]:
    """Return the dotted names that an import statement may mean as modules."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError(f"line {node.lineno}: relative imports are not followed")
        return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def script_of(stage: Mapping[str, Any]) -> str:
    """Return the script that a stage's command runs."""
    return next(word for word in str(stage["cmd"]).split() if word.endswith(".py"))


def code_of(stage: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Return the code that a stage runs, as dvc.yaml has to list it: the script, then the rest."""
    script = script_of(stage)
    modules = closure(root / script, root / "src")
    return [script, *sorted(path.relative_to(root).as_posix() for path in modules)]


def write(file: Path, root: Path = ROOT) -> None:
    """Put each stage's code first in its deps, in place of the `.py` files listed there."""
    yaml = YAML()
    yaml.width = 4096  # break no line
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(file.read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        _replace_code(stage["deps"], code_of(stage, root))
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)


def _replace_code(deps: CommentedSeq, code: list[str]) -> None:
    """Leave the deps that are not code where they are, so that their comments stay with them."""
    for index in reversed(range(len(deps))):
        if deps[index].endswith(".py") and deps[index] not in code:
            del deps[index]
    for name in code:
        if name in deps:
            deps.remove(name)
    for index, name in enumerate(code):
        deps.insert(index, name)


def problems(content: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Return one line for each `.py` file that is listed but not run, or run but not listed."""
    found = []
    for name, stage in content["stages"].items():
        listed, run = {d for d in stage["deps"] if d.endswith(".py")}, set(code_of(stage, root))
        found += [f"{name}: {path} is listed but not run" for path in sorted(listed - run)]
        found += [f"{name}: {path} is run but not listed" for path in sorted(run - listed)]
    return found


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write(ROOT / "dvc.yaml")
    raise SystemExit("\n".join(problems(YAML(typ="safe").load(ROOT / "dvc.yaml"))) or None)
