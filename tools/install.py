"""Command: install packages into this Python with uv if there is one, else with pip.

uv takes seconds where pip takes a minute, but does not read pip's configuration. So that both take
the same packages from the same places, such as torch for CPUs from a folder or an index of its own,
what pip is told of places is handed on to uv. It needs no package: it runs before any is installed.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

OPTIONS = {  # pip's name of a place: uv's variable, and what stands between several
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "cert": ("SSL_CERT_FILE", " "),
}


def places(listed: str) -> dict[str, str]:
    """Return uv's environment for the places that `pip config list` lists.

    The later of several entries of one name counts, as for pip.
    """
    found = {}
    for name, value in _entries(listed):
        variable, between = OPTIONS[name]
        found[variable] = between.join(value.split())
    return found


def _entries(listed: str) -> Iterator[tuple[str, str]]:
    """Yield name and value; the environment's entries, which outrank the files', come last."""
    lines = [line.partition("=") for line in listed.splitlines()]
    for key, _, value in sorted(lines, key=lambda line: line[0].startswith(":env:")):
        section, _, name = key.rpartition(".")
        if name in OPTIONS and section in ("global", "install", ":env:"):
            yield name, " ".join(shlex.split(value)[:1])


def command(arguments: Sequence[str], uv: str | None) -> list[str]:
    """Return the command that installs `arguments`, which both programs understand alike."""
    if uv is None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    # pip compares the versions of all places; uv would only look into the first that has a name.
    same = ["--python", sys.executable, "--index-strategy", "unsafe-best-match"]
    return [uv, "pip", "install", *same, *arguments]


def environment(uv: str | None, own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the command; what is set for uv itself stays."""
    if uv is None:
        return dict(own)
    config = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(config, capture_output=True, text=True, check=True)
    return {**places(done.stdout), **own}


def main(arguments: Sequence[str]) -> int:
    """Install; return the command's exit status."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    done = subprocess.run(command(arguments, uv), env=environment(uv, os.environ), check=False)
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
