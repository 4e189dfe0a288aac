"""`make replicate` through DVC's queue: failures told, killed runs resumed, finished ones kept."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import replicas
from ledger import Ledger
from repository import environment, run

ROOT = Path(__file__).parents[2]
MODELS = ("pypi:first", "pypi:second")
WORDS = ("--seeds", "0", "1", "--poll", "0.5")


def replicated(folder: Path, *words: str) -> tuple[str, str]:
    """Run the command; return what it said, and the page."""
    said = run(folder, *_command(words))
    return said, (folder / "docs" / "replication.md").read_text(encoding="utf-8")


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command as `make` starts it, but with this repository's code: the small one has none."""
    script = str(ROOT / "tools" / "replicate.py")
    return ("env", f"PYTHONPATH={ROOT / 'src'}", "python", "-u", script, *words, *WORDS)


def tasks(said: str, word: str) -> set[str]:
    """The runs that were seen in a state."""
    return set(re.findall(rf"^replication-(\S+): {word}\b", said, flags=re.M))


def revisions(folder: Path) -> dict[str, str]:
    """The commits of the experiments, by name."""
    listed = run(folder, "git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    rows = (line.split() for line in listed.splitlines())
    return {ref.rpartition("/")[2]: rev for ref, rev in rows if "/replication-" in ref}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A repository whose stages end at once, and whose queue's workers are gone at the end."""
    folder = replicas.made(tmp_path)
    yield folder
    run(folder, "dvc", "queue", "stop", "--kill")


def test_a_failure_is_told_and_alone_run_again(small: Path, ledger: Ledger) -> None:
    said, page = replicated(small, "--models", *MODELS)
    assert "| 4 | `second` | 1 | en | failed: report: made to fail; do something |" in page
    assert "| 3 | `second` | 0 | en | finished |" in page
    assert "| `second` | fr | 0 of 3 | no |" in page
    assert "| `relation_neurons_exist` | supported | supported | supported | - | 2 of 2 |" in page
    assert tasks(said, "failed") == {"second-seed-1"}
    before = revisions(small)
    assert len(before) == 5  # two surveys, and all runs but one
    (small / "mended").touch()
    with ledger.attempt("a run of a replication failed"):
        said, page = replicated(small, "--models", *MODELS)
        assert "| 4 | `second` | 1 | en | finished |" in page
        assert "| 3 of 3 |" in page
        after = revisions(small)
        assert {name: after[name] for name in before} == before
        assert after.keys() - before.keys() == {"replication-second-seed-1"}
    assert tasks(said, "running") <= {"second-seed-1"}
    said, again = replicated(small, "--models", *MODELS)
    assert again == page
    assert revisions(small) == after
    assert not tasks(said, "queued|running")


@pytest.mark.parametrize("begun", [True, False])
def test_a_worker_that_was_killed_is_replaced(small: Path, ledger: Ledger, *, begun: bool) -> None:
    """Its task, which DVC shows as running for ever, runs again, whether it had begun or not."""
    program = small / "program.py"
    slow = program.read_text("utf-8").replace(
        "def report():\n", f'def report():\n    wait("{small}")\n'
    )
    wait = (
        "import os, time\ndef wait(folder):\n    place = pathlib.Path(folder, 'mended')\n"
        "    pathlib.Path(folder, 'pid').write_text(str(os.getpid()))\n"
        "    while not place.exists():\n        time.sleep(0.1)\n"
    )
    program.write_text(slow.replace("def recall", f"{wait}def recall"), encoding="utf-8")
    with ledger.attempt("all of a replication's processes were killed"):
        kill_at_work(small)
        if not begun:
            for info in (small / ".dvc" / "tmp" / "exps").rglob("*.json"):
                info.unlink()
        (small / "mended").touch()
        _, page = replicated(small, "--models", "pypi:first")
        assert "| 1 | `first` | 0 | en, fr | finished |" in page
        assert "| 2 | `first` | 1 | en, fr | finished |" in page


def kill_at_work(folder: Path) -> None:
    """Start a replication, and kill all its processes while a stage is at work."""
    command = _command(("--models", "pypi:first"))
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=-3,
        stderr=-3,
        start_new_session=True,
    ) as process:
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    infos = (folder / ".dvc" / "tmp" / "exps").rglob("*.json")
    known = [json.loads(path.read_text()) for path in infos]
    for pid in [int((folder / "pid").read_text()), *(i["pid"] for i in known if "pid" in i)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
