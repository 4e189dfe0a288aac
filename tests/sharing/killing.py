"""Programs that are started, watched, and ended by a signal in the midst of their work."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neuron_atlas.pipeline.work_folder import WHOLE
from repository import environment

Clone = Callable[..., Path]  # the fixture `clone`
PATIENCE = 1200.0  # seconds, after which it hangs; a busy machine is slow


@contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a process group of its own; its output goes to `output.txt`."""
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(PYTHONUNBUFFERED="1", **variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_hear_interrupts,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _hear_interrupts() -> None:
    """Undo what a shell does to programs in the background, and a worker to its tests'."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def output(folder: Path) -> str:
    return (folder / "output.txt").read_text(encoding="utf-8", errors="replace")


def until(
    process: subprocess.Popen[bytes], happened: Callable[[], bool], said: Callable[[], str] = str
) -> None:
    """Wait for something to happen while the program runs; `said` is what it has printed."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, f"ended with {process.returncode} before it: {said()}"
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Send a signal to the whole group, as a terminal does; return the exit status."""
    os.killpg(process.pid, number)
    return process.wait(PATIENCE)


def workspace(origin: Path, folder: Path) -> Path:
    """Copy what the stages of a repository with results read and write; DVC is left out."""
    for name in ("src", "stages", "data"):
        shutil.copytree(origin / name, folder / name)
    shutil.copy(origin / "params.yaml", folder)
    return folder


def stage(name: str, language: str) -> list[str]:
    """Return the command with which DVC runs a stage of a language."""
    inputs = {
        "answers": [f"data/questions/{language}.parquet"],
        "recall": [f"data/facts/{language}.parquet", f"data/answers/{language}.parquet"],
        "activations": [f"data/answers/{language}.parquet"],
        "attributions": [f"data/recall/{language}.parquet"],
        "interference": [
            f"data/recall/{language}.parquet",
            f"data/demonstrations/{language}.parquet",
            f"data/activations/{language}",
            f"data/relation_neurons/{language}",
        ],
    }[name]
    words = ["env", "PYTHONPATH=src", "python", f"stages/{name}.py", "data/model", *inputs]
    more = {
        "recall": [f"data/demonstrations/{language}.parquet"],
        "interference": ["--language", language],
    }
    return [*words, str(out(name, language)), *more.get(name, [])]


def out(name: str, language: str) -> Path:
    """Return the path of a stage's result."""
    suffix = "" if name in {"activations", "attributions"} else ".parquet"
    return Path("data", name, f"{language}{suffix}")


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of every file in a folder."""
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def removed(path: Path) -> dict[str, bytes]:
    """Remove a result and return what it was."""
    found = contents(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def leftovers(folder: Path) -> list[str]:
    """Return what a run that ended well has removed: unfinished files, and groups of its work.

    What it measured for a later run, with more languages, stays.
    """
    unfinished = [*folder.glob("data/**/.*.part"), *folder.glob("plots/**/.*.part")]
    unfinished += [*folder.glob("metrics/**/.*.part"), *folder.glob("report/**/.*.part")]
    work = [path for path in folder.glob(".work/*/*") if path.name != WHOLE]
    return [str(path) for path in (*unfinished, *work)]
