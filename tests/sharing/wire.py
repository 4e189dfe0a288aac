"""A relay between a client and a server of this machine that can be cut after so many bytes."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

HOST = "127.0.0.1"
CHUNK = 16_384


@dataclass
class Wire:
    """The way to a server; `port` is where a client finds it."""

    target: int
    port: int = 0
    left: int | None = None  # bytes from the client that still pass; None: all
    lock: Lock = field(default_factory=Lock)

    def cut_after(self, n_bytes: int) -> None:
        """Let so many bytes pass from now on, then break every connection and admit none."""
        self.left = n_bytes

    def mend(self) -> None:
        """Let everything pass again."""
        self.left = None

    def passes(self, n_bytes: int) -> bool:
        """Take bytes off what is left; return whether they pass."""
        with self.lock:
            if self.left is not None:
                self.left = max(0, self.left - n_bytes)
            return self.left != 0

    def carry(self, source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        """Copy what comes until one side ends or the wire is cut, then end both."""
        with suppress(OSError):  # an end that breaks off is what this is for
            while data := source.recv(CHUNK):
                if not self.passes(len(data) if counted else 0):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(target: int) -> Iterator[Wire]:
    """Lay a wire to the server that listens at port `target`."""
    line = Wire(target)

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            if not line.passes(0):
                return
            with socket.create_connection((HOST, target)) as server:
                for end in (self.request, server):  # small packets must not wait for larger ones
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = Thread(
                    target=line.carry, args=(server, self.request), kwargs={"counted": False}
                )
                back.start()
                line.carry(self.request, server, counted=True)
                back.join()

    with ThreadingTCPServer((HOST, 0), Relay) as relay:
        line.port = relay.server_address[1]
        Thread(target=relay.serve_forever, daemon=True).start()
        yield line
        relay.shutdown()
