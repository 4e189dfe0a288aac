"""Ask this run's fork server for a process that runs a script; start one if there is none."""

import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from neuron_atlas.launching import messages, surroundings
from neuron_atlas.launching.dvc_run import Run

SERVER = "neuron_atlas.launching.fork_server"
AWAKE_EVERY = 0.5  # seconds
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def status_of(words: Sequence[str], run: Run) -> int | None:
    """Run a script in a forked process and return its exit status.

    Signals that end or stop this process do the same to the other, and its death is the other's.

    Returns:
        As `subprocess` has it: negative if a signal ended it. None if it was not started.

    Raises:
        ConnectionError: the server was killed meanwhile, and the process with it.
    """
    asked = _asked(words, run)
    if asked is None:
        return None
    connection, process = asked
    with connection, _forwarding(process):
        while not select.select([connection], [], [], AWAKE_EVERY)[0]:
            pass  # a signal that came just before one waits is handled only when one wakes
        message, _ = messages.receive(connection)
        return int(message["status"])


def _asked(words: Sequence[str], run: Run) -> tuple[socket.socket, int] | None:
    """Return the connection and a descriptor of the forked process, if there is one."""
    with suppress(OSError), ExitStack() as stack:
        connection = stack.enter_context(_connection(run, Path(words[0]).parent))
        messages.send(connection, _request(words), [0, 1, 2])
        message, files = messages.receive(connection)
        if "forked" in message:
            stack.pop_all()
            return connection, files[0]
    return None


def _request(words: Sequence[str]) -> dict[str, Any]:
    umask = os.umask(0)
    os.umask(umask)
    return {
        "words": list(words),
        "umask": umask,
        "free": surroundings.free(),
        "given": surroundings.given(),
        "code": surroundings.code(Path(words[0]).parent),
    }


@contextmanager
def _forwarding(process: int) -> Iterator[None]:
    """Send the signals that this process gets to another, which is in no terminal's group."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)

    def stop(_number: int, _frame: FrameType | None) -> None:
        forward(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        forward(signal.SIGCONT, None)

    handlers = dict.fromkeys(FORWARDED, forward) | {signal.SIGTSTP: stop}
    before = {number: signal.getsignal(number) for number in handlers}
    for number in handlers:
        if before[number] is not signal.SIG_IGN:  # nor does the other one hear it
            signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, before[number])
        os.close(process)


def _connection(run: Run, scripts: Path) -> socket.socket:
    """Return a connection to the run's server in this folder, which is started if need be."""
    folder = hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:16]
    connection = socket.socket(socket.AF_UNIX, messages.KIND)
    with messages.meeting_place() as place:
        path = place / f"{run}-{folder}"
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            _start_server(path, run, scripts)
            connection.connect(str(path))
    return connection


def _start_server(path: Path, run: Run, scripts: Path) -> None:
    """Start a server that takes over the listening socket, so that one can connect at once."""
    with socket.socket(socket.AF_UNIX, messages.KIND) as listener:
        listener.bind(str(path))
        listener.listen()
        file = listener.fileno()
        subprocess.Popen(
            [sys.executable, "-m", SERVER, str(run), str(file), str(scripts.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[file],
            start_new_session=True,
        )
