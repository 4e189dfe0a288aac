"""Command: repair the files that a killed DVC leaves half written, so that it runs again.

DVC writes `dvc.lock` and its list of files in use, `.dvc/tmp/rwlock`, in place. If it is killed
meanwhile, or the disk is full, half a file is left, with which it refuses to run. And it takes a
killed process for alive once another process has its number, as after a container's restart.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import LockError, make_lock
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from neuron_atlas.pipeline import store

RESULTS, IN_USE, GUARD = Path("dvc.lock"), Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/lock")
STAGE = re.compile(r"^  \S.*:$", re.MULTILINE)


def main(root: Path = Path()) -> list[str]:
    """Repair a repository's files unless DVC is writing them; return one line per repaired file."""
    if _is_sound(root / RESULTS) and _is_free(root / IN_USE):
        return []
    (root / GUARD).parent.mkdir(exist_ok=True)
    try:
        with make_lock(str(root / GUARD)):
            return [*_mend_results(root / RESULTS), *_mend_in_use(root / IN_USE)]
    except LockError:
        return ["a DVC command is running; nothing is mended"]


def _mend_results(file: Path) -> list[str]:
    """Keep the complete stages; the results of the others are in DVC's run-cache.

    A file that is damaged anywhere but at its end, as by a merge, is left as it is.
    """
    if _is_sound(file):
        return []
    text = _text(file)
    starts = [found.start() for found in STAGE.finditer(text)]
    if len(starts) < 2:
        file.unlink()
        return [f"{file.name} was half written; it is removed"]
    kept = text[: starts[-1]]
    if not _is_whole(kept):
        return [f"{file.name} is damaged; take it from git or remove it"]
    with store.atomic(file) as temporary:
        temporary.write_text(kept, encoding="utf-8")
    return [f"{file.name} was half written; {len(starts) - 1} stages of it are kept"]


def _is_sound(file: Path) -> bool:
    return not file.exists() or _is_whole(_text(file))


def _is_whole(text: str) -> bool:
    """Return whether DVC can read the text, and it does not end inside a number or a result."""
    try:
        content = COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    last = list(content.get("stages", {}).values())[-1:]
    outs = [out for stage in last for out in stage.get("outs", [])]
    return text.endswith("\n") and bool(outs) and all(map(_is_described, outs))


def _is_described(out: Mapping[str, Any]) -> bool:
    """Return whether a result has every key that DVC writes for a file or a folder."""
    return "size" in out and (not out["md5"].endswith(".dir") or "nfiles" in out)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _mend_in_use(file: Path) -> list[str]:
    if _is_free(file):
        return []
    file.unlink()
    return [f"{file.name} was half written or named processes that are not DVC's; it is removed"]


def _is_free(file: Path) -> bool:
    """Return whether DVC can read the file, if it exists, and a process in it is really DVC's."""
    if not file.exists():
        return True
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    owners = [owner for owner in _owners(listed) if psutil.pid_exists(owner["pid"])]
    return not owners or any(map(_is_dvc, owners))


def _owners(listed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from listed.get("write", {}).values()
    for readers in listed.get("read", {}).values():
        yield from readers


def _is_dvc(owner: dict[str, Any]) -> bool:
    try:
        command = " ".join(psutil.Process(owner["pid"]).cmdline())
    except psutil.NoSuchProcess:
        return False
    return "dvc" in command or owner["cmd"] in command


if __name__ == "__main__":
    sys.stderr.writelines(f"{line}\n" for line in main())
