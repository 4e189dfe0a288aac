"""A process with the life of one run of DVC, which forks the processes that run the stages.

Imports and a model are loaded once, here, and never more than a stage needs. No thread may run when
this process forks: it refuses to fork rather than give a stage a library whose threads are gone.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from neuron_atlas.launching import dvc_run, messages, preparation, surroundings
from neuron_atlas.pipeline import script

IDLE = 600.0  # seconds without a stage, after which it ends
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Request:
    """A script to run, and what the launcher gives to it."""

    words: list[str]
    free: dict[str, str]  # see `surroundings`
    umask: int


@dataclass(frozen=True)
class Server:
    """The listening socket, a descriptor of the run's process, and what was true at the start."""

    listener: socket.socket
    run: int
    code: str
    given: str

    def serve(self) -> Request | None:
        """Fork for one launcher after another.

        Returns:
            In a forked process what it has to run; in the server None, when it has to end.
        """
        while _ready(self.listener.fileno(), self.run, seconds=IDLE) == {self.listener.fileno()}:
            connection, _ = self.listener.accept()
            with connection, suppress(OSError):
                message, files = messages.receive(connection)
                try:
                    forked = self._answer(connection, message, files)
                finally:
                    for file in files:
                        os.close(file)
                if forked is not None:
                    return forked
                if message["code"] != self.code:
                    return None
        return None

    def _answer(
        self, connection: socket.socket, message: dict[str, Any], files: list[int]
    ) -> Request | None:
        """Fork, or say why not; returns as `serve`, with the files in their places."""
        refusal = self._refusal(message, files[2])
        if refusal is not None:
            messages.send(connection, {"refused": refusal})
            return None
        gc.freeze()  # so that collections in forked processes do not touch, and copy, every object
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            self._leave(server, files)
            return Request(message["words"], message["free"], message["umask"])
        self._attend(connection, pid)
        return None

    def _leave(self, server: int, files: list[int]) -> None:
        """Become a process of its own, with the launcher's standard input, output and error."""
        try:
            _end_with(server)
            for place, file in enumerate(files):
                os.dup2(file, place)
            os.close(self.run)
            self.listener.close()
        except BaseException:  # it must never go on as a second server
            os._exit(1)

    def _refusal(self, message: dict[str, Any], errors: int) -> str | None:
        """Load what the stage needs; return why it cannot be forked, if it cannot."""
        if message["code"] != self.code:
            return "the code has changed"
        if message["given"] != self.given:
            return "the environment differs"
        return preparation.prepare(message["words"], errors)

    def _attend(self, connection: socket.socket, pid: int) -> None:
        """Wait for a forked process and tell its status; kill it if its launcher or run ends."""
        process = os.pidfd_open(pid)
        try:
            messages.send(connection, {"forked": pid}, [process])
            ready = _ready(process, connection.fileno(), self.run)
        except OSError:
            ready = set()
        if process not in ready:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(process)
        messages.send(connection, {"status": status})


def _ready(*files: int, seconds: float | None = None) -> set[int]:
    """Wait for at least one of the files; none after that time."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(None if seconds is None else seconds * 1000)}


def _end_with(server: int) -> None:
    """Let the system kill this process when the server ends, however that happens."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != server:
        os.kill(os.getpid(), signal.SIGKILL)


def main(run: str, listener: int, scripts: str) -> None:
    """Serve the launchers of a run of DVC; in a forked process, run a script.

    Args:
        run: As `str` of a `dvc_run.Run`.
        listener: Descriptor of the socket on which launchers ask.
        scripts: The folder of the scripts.
    """
    end = script.QuickEnd()
    sys.path[0] = scripts  # as for a script that is run from there
    request = _served(dvc_run.parse(run), socket.socket(fileno=listener), Path(scripts))
    if request is None:
        return
    surroundings.set_free(request.free)
    os.umask(request.umask)
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=os.isatty(1))
    end.run(request.words)


def _served(run: dvc_run.Run, listener: socket.socket, scripts: Path) -> Request | None:
    server, process = os.getpid(), os.pidfd_open(run.pid)
    if not run.is_alive():  # another process has its number
        return None
    state = Server(listener, process, surroundings.code(scripts), surroundings.given())
    try:
        return state.serve()
    finally:
        if os.getpid() == server:
            messages.remove(Path(listener.getsockname()).name)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
