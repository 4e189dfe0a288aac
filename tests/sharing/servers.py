"""An SSH and an S3 server on this machine's loopback address, each started for a test session."""

import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import s3fs

HOST = "127.0.0.1"
KEY, SECRET = "key-of-the-test", "secret-of-the-test"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
WEED = Path(sys.executable).parent / "weed"
READY_WITHIN = 300  # seconds, after which it hangs; a busy machine is slow
GRPC = 10_000  # SeaweedFS listens for its own parts at each port plus this
PORTS = range(11_000, 22_000)


@dataclass(frozen=True)
class Ssh:
    """A running sshd, the key that it admits and a key that it does not."""

    port: int
    folder: Path
    key: Path
    other_key: Path

    def url(self, name: str) -> str:
        """Return a remote's address, for the folder `name`."""
        return f"ssh://{getpass.getuser()}@{HOST}:{self.port}{self.folder / name}"


@dataclass(frozen=True)
class S3:
    """A running SeaweedFS with one bucket."""

    port: int
    bucket: str = "atlas"

    @property
    def endpoint(self) -> str:
        """Return the server's address."""
        return f"http://{HOST}:{self.port}"

    def url(self, name: str) -> str:
        """Return a remote's address, for the prefix `name`."""
        return f"s3://{self.bucket}/{name}"

    def files(self) -> s3fs.S3FileSystem:
        """Return the objects as a file system."""
        return s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.endpoint, skip_instance_cache=True
        )


def free_port() -> int:
    """Return a port that nothing listens at, nor at its gRPC neighbour.

    Both lie below those that a system gives to clients, so no connection takes one meanwhile.
    """
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), closing(socket.socket()) as one, closing(socket.socket()) as two:
            one.bind((HOST, port))
            two.bind((HOST, port + GRPC))
            return port


@contextmanager
def ssh(folder: Path) -> Iterator[Ssh]:
    """Run sshd for the present user, who logs in with a new key."""
    for name in ("host", "key", "other_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        (folder / name).chmod(0o600)
        key.write_public_key(folder / f"{name}.pub")
    server = Ssh(free_port(), folder, folder / "key", folder / "other_key")
    lines = [
        f"Port {server.port}",
        f"ListenAddress {HOST}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'key.pub'}",
        f"PidFile {folder / 'sshd.pid'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "Subsystem sftp internal-sftp",
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without
    assert SSHD, "sshd not found; `make programs` says what to do"
    command = [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with _running(command, folder / "sshd.log", ready=lambda: _answers(server.port)):
        yield server


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Run SeaweedFS, which admits one pair of key and secret, and make the bucket."""
    identity = {
        "name": "test",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    (folder / "data").mkdir()
    server = S3(free_port())
    command = [
        *(str(WEED), "server", f"-dir={folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"),
        *(f"-master.port={free_port()}", f"-volume.port={free_port()}"),
        *("-filer", f"-filer.port={free_port()}", "-s3", f"-s3.port={server.port}"),
        *(f"-s3.config={folder / 's3.json'}", "-s3.iam=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # else at fixed ports, once a machine
        *("-master.volumeSizeLimitMB=64", "-volume.max=8"),
    ]
    with _running(command, folder / "weed.log", ready=lambda: _makes_bucket(server)):
        yield server


@contextmanager
def _running(command: list[str], log: Path, *, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a server until the body ends, which begins when `ready` says so."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + READY_WITHIN
            while not ready():
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(port: int) -> bool:
    """Return whether something listens at a port."""
    with closing(socket.socket()) as client:
        return client.connect_ex((HOST, port)) == 0


def _makes_bucket(server: S3) -> bool:
    """Make the bucket; return whether the server was ready for that."""
    if not _answers(server.port):
        return False
    try:
        server.files().mkdir(server.bucket)
    except OSError:
        return False  # it answers before its parts know one another
    return True
