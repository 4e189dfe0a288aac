"""The kinds of DVC remote, set up with the commands of docs/sharing.md."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import servers
from repository import run

NAME = "shared"
CONFIG = ".dvc/config.local"


@dataclass(frozen=True)
class Remote:
    """An address, what is set besides it, and the environment that holds the credentials."""

    url: str
    options: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def connect(self, folder: Path) -> Path:
        """Make it a repository's default remote; return the repository."""
        run(folder, "dvc", "remote", "add", "--local", "-f", "-d", NAME, self.url)
        for option, value in {"verify": "true", **self.options}.items():
            run(folder, "dvc", "remote", "modify", "--local", NAME, option, value)
        return folder


def local(folder: Path) -> Remote:
    """Return a folder as a remote."""
    return Remote(str(folder))


def ssh(server: servers.Ssh, name: str, *, port: int | None = None) -> Remote:
    """Return a folder behind the SSH server, or behind another port that leads there."""
    url = server.url(name).replace(f":{server.port}", f":{port or server.port}")
    return Remote(url, {"keyfile": str(server.key)})


def s3(server: servers.S3, name: str, *, port: int | None = None) -> Remote:
    """Return a prefix of the bucket, by the S3 server or another port that leads there."""
    return Remote(
        server.url(name),
        {"endpointurl": f"http://{servers.HOST}:{port or server.port}"},
        {"AWS_ACCESS_KEY_ID": servers.KEY, "AWS_SECRET_ACCESS_KEY": servers.SECRET},
    )


def connect_as(other: Path, folder: Path) -> Path:
    """Give a repository the remote of another one; return the repository."""
    shutil.copy(other / CONFIG, folder / CONFIG)
    return folder
