"""Load in this process what a script needs, so that processes forked from it have it already."""

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from neuron_atlas.pipeline import prepared

RENEWED = "jemalloc_bg_thd"  # jemalloc starts its own thread anew in a forked process


def prepare(words: Sequence[str], errors: int) -> str | None:
    """Import what a script imports, and make what the library prepares of the folders it is given.

    A failure is left to the script, which will meet it too.

    Args:
        words: The script's path, and its arguments.
        errors: A descriptor that takes the place of standard error meanwhile.

    Returns:
        Why this process must not be forked; None if it may be.
    """
    with _standard_error(errors):
        _import_for(Path(words[0]))
        if _has_gpu():
            return "there is a GPU, which a forked process cannot use"
        with suppress(Exception), _no_new_threads():
            prepared.make(Path(word) for word in words[1:] if Path(word).is_dir())
    return _threads()


def _import_for(path: Path) -> None:
    """Import what a script imports; what is not there, such as other scripts, is left to it."""
    for node in ast.parse(path.read_bytes()).body:
        inside = isinstance(node, ast.ImportFrom) and f"{node.module}."
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            for name in (*([inside[:-1]] if inside else []), f"{inside or ''}{alias.name}"):
                with suppress(Exception):
                    import_module(name)


def _has_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


@contextmanager
def _no_new_threads() -> Iterator[None]:
    """Let torch work in one thread and a progress bar start none; undone afterwards."""
    torch, bar = sys.modules.get("torch"), sys.modules.get("tqdm.std")
    if torch is None or bar is None:
        yield
        return
    from threadpoolctl import threadpool_limits  # sets environment variables when imported

    torch.get_num_threads()  # torch sets the number when it is first asked for
    interval, bar.tqdm.monitor_interval = bar.tqdm.monitor_interval, 0
    try:
        with threadpool_limits(1, user_api="openmp"):
            yield
    finally:
        bar.tqdm.monitor_interval = interval


def _threads() -> str | None:
    """Say which threads would be missing in a forked process.

    OpenBLAS ends its own threads when a process forks, and starts them anew in both. A first fork
    makes it do so; threads that are left have no such care taken of them.
    """
    if _other_threads():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    left = _other_threads()
    return f"threads have started: {sorted(left)}" if left else None


def _other_threads() -> set[str]:
    tasks = Path("/proc/self/task")
    others = [task for task in tasks.iterdir() if task.name != str(os.getpid())]
    return {(task / "comm").read_text().strip() for task in others} - {RENEWED}


@contextmanager
def _standard_error(file: int) -> Iterator[None]:
    before = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
