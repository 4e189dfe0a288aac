"""JSON messages between a launcher and its fork server, and the private place where they meet."""

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neuron_atlas.launching import dvc_run

SIZE, N_FILES = 1 << 20, 3  # the most that a message holds
KIND = socket.SocketKind.SOCK_SEQPACKET  # a message arrives whole, with its descriptors


def send(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, and descriptors of open files with it.

    Raises:
        OSError: the other side is gone, or the message is too long.
    """
    socket.send_fds(connection, [json.dumps(message).encode()], files)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return a message and the descriptors that came with it.

    Raises:
        ConnectionError: the other side is gone, or sent something else.
    """
    data, files, _, _ = socket.recv_fds(connection, SIZE, N_FILES)
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        for file in files:
            os.close(file)
        raise ConnectionError("the other side has ended")
    return message, files


@contextmanager
def meeting_place() -> Iterator[Path]:
    """Yield a folder for sockets that only this user can open, by a path of a few letters.

    Raises:
        OSError: it cannot be made, or is another's.
    """
    folder = Path(tempfile.gettempdir(), f"neuron-atlas-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) != 0o700:
            raise PermissionError(f"{folder} is not this user's alone")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def remove(name: str) -> None:
    """Remove a socket, those of runs that have ended, and the folder if nothing else is in it."""
    with meeting_place() as place, suppress(OSError):
        for path in place.iterdir():
            if path.name == name or not _run_of(path).is_alive():
                path.unlink(missing_ok=True)
        place.resolve().rmdir()


def _run_of(path: Path) -> dvc_run.Run:
    return dvc_run.parse(path.name.rpartition("-")[0])
