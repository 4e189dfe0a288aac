"""Find the rooms of the library that each stage's script reaches, and check dvc.yaml's deps.

`python tools/closure.py` prints the problems; `--write` corrects them and keeps order and comments.
DVC does not see what a script imports, so each stage's deps name its script and the rooms.
"""

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

ROOT = Path(__file__).parents[1]
PACKAGE, SCRIPTS = "src/neuron_atlas", "stages"


def modules_of(script: Path, source: Path) -> set[Path]:
    """Return the modules of `source` that a script imports, and those that they import in turn.

    Imports inside functions count. Other scripts that the script imports for their schemas count
    too, but not what those import: each stage checks its own section again when it runs. An
    `__init__.py` counts where a name is taken from it, as the public ones are from the package's;
    those of rooms hold a docstring alone.
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
    paths = {path for node in nodes for path in _modules(node, folder)}
    return {path for path in paths if path.exists()}


def _modules(node: ast.AST, folder: Path) -> list[Path]:
    """Return the files that an import statement may mean, whether or not they are there."""
    if isinstance(node, ast.Import):
        return [file for alias in node.names for file in _files(folder, alias.name)]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        raise ValueError(f"line {node.lineno}: relative imports are not followed")
    inside = [_files(folder, f"{node.module}.{alias.name}") for alias in node.names]
    taken = [] if all(any(f.exists() for f in files) for files in inside) else [str(node.module)]
    return [f for files in (*inside, *(_files(folder, name) for name in taken)) for f in files]


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    """Return where a module of a dotted name is, if it is a file, and if it is a package."""
    path = folder.joinpath(*name.split("."))
    return path.with_suffix(".py"), path / "__init__.py"


def script_of(stage: Mapping[str, Any]) -> str:
    """Return the script that a stage's command runs."""
    return next(word for word in str(stage["cmd"]).split() if word.endswith(".py"))


def launcher_of(stage: Mapping[str, Any], root: Path = ROOT) -> set[Path]:
    """Return the module that a stage's command names with `-m`, and those that it imports."""
    words = str(stage["cmd"]).split()
    if "-m" not in words:
        return set()
    source = root / "src"
    files = {file for file in _files(source, words[words.index("-m") + 1]) if file.exists()}
    return files.union(*(modules_of(file, source) for file in files))


def code_of(stage: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Return the code that a stage runs, as dvc.yaml must list it: its script, then the rooms.

    A room is a folder of the package; a module outside the rooms is listed itself, and so is a
    room's `settings.py` where the stage reaches nothing else there. If the script imports other
    scripts, the folder of the scripts is listed.
    """
    script = root / script_of(stage)
    rooms: dict[str, set[str]] = {}
    for path in modules_of(script, root / "src") | launcher_of(stage, root):
        rooms.setdefault(_place(path, root), set()).add(path.relative_to(root).as_posix())
    found = {_only_settings(paths) or place for place, paths in rooms.items()}
    scripts = SCRIPTS if SCRIPTS in found else script.relative_to(root).as_posix()
    return [scripts, *sorted(found - {SCRIPTS})]


def _only_settings(paths: set[str]) -> str | None:
    return next(iter(paths)) if {Path(path).name for path in paths} == {"settings.py"} else None


def _place(path: Path, root: Path) -> str:
    """Return the room, module or folder of scripts that a file stands in."""
    package = root / PACKAGE
    if not path.is_relative_to(package):
        return SCRIPTS
    parts = path.relative_to(package).parts
    return (package / parts[0]).relative_to(root).as_posix()


def is_code(dep: str, root: Path = ROOT) -> bool:
    """Return whether a dep is code, rather than data."""
    return dep == SCRIPTS or dep.endswith(".py") or (root / dep / "__init__.py").exists()


def write(file: Path, root: Path = ROOT) -> None:
    """Put each stage's code first in its deps, and remove the code listed there before."""
    yaml = YAML()
    yaml.width = 4096  # break no line
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(file.read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        _replace_code(stage["deps"], code_of(stage, root), root)
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)


def _replace_code(deps: CommentedSeq, code: list[str], root: Path) -> None:
    """Replace the code in `deps`; other deps stay where they are, and so do their comments."""
    for index in reversed(range(len(deps))):
        if is_code(deps[index], root) and deps[index] not in code:
            del deps[index]
    for name in code:
        if name in deps:
            deps.remove(name)
    for index, name in enumerate(code):
        deps.insert(index, name)


def problems(content: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Return one line per script or room that is listed but not reached, or the reverse."""
    found = []
    for name, stage in content["stages"].items():
        listed = {dep for dep in stage["deps"] if is_code(dep, root)}
        run = set(code_of(stage, root))
        found += [f"{name}: {path} is listed but not run" for path in sorted(listed - run)]
        found += [f"{name}: {path} is run but not listed" for path in sorted(run - listed)]
    return found


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write(ROOT / "dvc.yaml")
    raise SystemExit("\n".join(problems(YAML(typ="safe").load(ROOT / "dvc.yaml"))) or None)
