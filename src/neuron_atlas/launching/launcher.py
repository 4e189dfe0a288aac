"""Command: run a stage's script, in a forked process if there may be one, else in this one.

`python -m neuron_atlas.launching.launcher SCRIPT WORDS...` does what `python SCRIPT WORDS...` does,
and says how far the run of DVC has come. It imports little, so that it starts within a tenth of a
second. With `NEURON_ATLAS_WARM=0` in the environment no process is forked, nor with another
executor than the local one, whose threads and connections a forked process could not have.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from neuron_atlas.executors import executor
from neuron_atlas.launching import dvc_run, progress
from neuron_atlas.pipeline import script, stage_times
from neuron_atlas.pipeline.work_folder import unfinished

SWITCH = "NEURON_ATLAS_WARM"
GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
LOST = "error: the process that ran the stage was killed; run the same command again"


def main(words: Sequence[str]) -> None:
    """Run a script and keep how long it took; end as it ends.

    Args:
        words: The script's path, and its arguments.
    """
    run = dvc_run.current()
    with _recorded(run):
        status = _forked(words, run)
        if status is None:
            script.run(words)
        elif status != 0:
            _end(status)


@contextmanager
def _recorded(run: dvc_run.Run | None) -> Iterator[None]:
    """Say which of DVC's stages begins; once it has ended well, keep how long it took.

    A stage that went on where a killed one had stopped is not taken to be faster than it was.
    """
    stage = os.environ.get(dvc_run.STAGE, "").rpartition(":")[2]
    if not stage:
        yield
        return
    if run is not None:
        print(progress.line(stage, str(run)), file=sys.stderr, flush=True)  # noqa: T201
    begin, parts = time.monotonic(), unfinished()
    yield
    seconds = time.monotonic() - begin
    if parts - unfinished():
        seconds = max(seconds, stage_times.recorded().get(stage, 0.0))
    stage_times.record(stage, seconds, run=str(run or ""))


def _forked(words: Sequence[str], run: dvc_run.Run | None) -> int | None:
    """Return the status of a forked process; None if none was started."""
    elsewhere = os.environ.get(executor.VARIABLE, "") not in ("", executor.LOCAL)
    alone = os.environ.get(SWITCH) == "0" or elsewhere
    if run is None or alone or any(Path(gpu).exists() for gpu in GPUS):
        return None
    from neuron_atlas.launching import fork_client

    try:
        return fork_client.status_of(words, run)
    except ConnectionError:
        print(LOST, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # while the libraries were loaded
        print(script.INTERRUPTION, file=sys.stderr)  # noqa: T201
        return script.INTERRUPTED


def _end(status: int) -> None:
    """End as another process did."""
    if status >= 0:
        raise SystemExit(status)
    import resource  # not on all systems, nor is what led here

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the other's is enough
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)


if __name__ == "__main__":
    main(sys.argv[1:])
