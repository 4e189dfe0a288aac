"""Whatever goes wrong: one clear line, nothing half written, and the next run comes to its end."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from killing import (
    Clone,
    contents,
    end,
    leftovers,
    out,
    output,
    removed,
    stage,
    started,
    until,
    workspace,
)
from ledger import Ledger
from repository import ran, run, tried

LIMITED = ("python", str(Path(__file__).with_name("limited.py")))
LIMIT = {"activations": 30_000, "attributions": 20_000}  # bytes; less than the files need
GIGABYTE = 1 << 30
WEIGHTS = Path("data", "model", "model.safetensors")


def said(text: str) -> str:
    """Return the one line of an error; a traceback is none."""
    assert "Traceback" not in text, text
    (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
    return line


def unfinished(folder: Path) -> list[str]:
    """Return what looks like a result and is half written."""
    return [name for name in leftovers(folder) if ".work/" not in name]


def comes_back(folder: Path, name: str, expected: dict[str, bytes]) -> None:
    """Run a stage to its end; its result is what it was, and nothing else is left."""
    run(folder, *stage(name, "en"))
    assert contents(folder / out(name, "en")) == expected
    assert leftovers(folder) == []


@pytest.mark.parametrize("name", sorted(LIMIT))
def test_a_full_disk(origin: Path, tmp_path: Path, ledger: Ledger, name: str) -> None:
    """The limit of a file's size fails in the same calls of the system as a full disk does."""
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out(name, "en"))
    with ledger.attempt("no room for a file"):
        done = tried(folder, *LIMITED, "file", str(LIMIT[name]), *stage(name, "en"), cold=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert "files of this size are not allowed here" in said(done.stderr)
        assert not (folder / out(name, "en")).exists()
        assert unfinished(folder) == []
        comes_back(folder, name, expected)


def test_a_disk_that_is_full_for_dvc_itself(clone: Clone, ledger: Ledger) -> None:
    """Wherever DVC fails, and be it amid `dvc.lock`: mended, the next run comes to its end."""
    folder = clone("folder", cache="shared")
    file = folder / "dvc.lock"
    whole = file.read_bytes()
    (folder / out("recall", "en")).unlink()
    repeat = ("dvc", "repro", "--force", "--single-item", "recall@en")
    with ledger.attempt("no room for DVC's own files"):
        done = tried(folder, *LIMITED, "file", "40000", *repeat, cold=True)
        assert done.returncode != 0
        run(folder, "env", "PYTHONPATH=src", "python", "tools/mend.py")
        run(folder, "dvc", "repro")
        assert file.read_bytes() == whole
        assert json.loads(run(folder, "dvc", "status", "--json")) == {}


def swollen(folder: Path, n_bytes: int) -> None:
    """Give the model's weights one more tensor, of zeros that take no room on the disk."""
    file = folder / WEIGHTS
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = "model.embed_tokens.weight"
    _, width = header[name]["shape"]
    n_rows = n_bytes // 4 // width
    begin = len(rest)
    header[name] |= {
        "shape": [n_rows, width],
        "data_offsets": [begin, begin + n_rows * width * 4],
    }
    text = json.dumps(header).encode()
    file.unlink()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text + rest)
        stream.truncate(8 + len(text) + begin + n_rows * width * 4)


def test_too_little_memory(origin: Path, tmp_path: Path, ledger: Ledger) -> None:
    """The model's weights do not fit into what the process may have."""
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out("recall", "en"))
    with ledger.attempt("too little memory"):
        swollen(folder, 4 * GIGABYTE)
        limit = str(3 * GIGABYTE)
        done = tried(folder, *LIMITED, "memory", limit, *stage("recall", "en"), cold=True)
        assert done.returncode == 1
        line = said(done.stderr)
        assert "not enough memory; stop other programs, or take a smaller model" in line
        assert not (folder / out("recall", "en")).exists()
        assert unfinished(folder) == []
        shutil.copy(origin / WEIGHTS, folder / WEIGHTS)
        comes_back(folder, "recall", expected)


def test_a_file_where_a_folder_should_be(origin: Path, tmp_path: Path, ledger: Ledger) -> None:
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out("recall", "en"))
    parent = (folder / out("recall", "en")).parent
    with ledger.attempt("a result's folder that cannot be made"):
        shutil.rmtree(parent)
        parent.write_text("in the way", encoding="utf-8")
        done = tried(folder, *stage("recall", "en"))
        assert done.returncode == 1
        assert "a file is where a folder should be; move it away" in said(done.stderr)
        parent.unlink()
        comes_back(folder, "recall", expected)


def mounted_read_only(folder: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program that sees a folder read-only; the mount ends with it."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    own = () if os.geteuid() == 0 else ("--map-root-user",)
    return tried(folder, "unshare", *own, "--mount", "sh", "-c", script, str(place), *words)


def test_a_read_only_folder(origin: Path, tmp_path: Path, ledger: Ledger) -> None:
    folder = workspace(origin, tmp_path)
    place = (folder / out("recall", "en")).parent
    if shutil.which("unshare") is None or mounted_read_only(folder, place, "true").returncode:
        pytest.skip("this user cannot mount a folder read-only")
    expected = removed(folder / out("recall", "en"))
    with ledger.attempt("a read-only folder"):
        done = mounted_read_only(folder, place, *stage("recall", "en"))
        assert done.returncode == 1
        assert "may not be written to; check its permissions" in said(done.stderr)
        comes_back(folder, "recall", expected)


def test_two_at_once(clone: Clone, ledger: Ledger) -> None:
    """The second says who is at work on the same result; on another result it waits if told to."""
    folder = clone("folder", cache="shared")
    whole = (folder / "dvc.lock").read_bytes()
    repeat = ("dvc", "repro", "--force", "--single-item", "recall@en")
    with ledger.attempt("two dvc repro at once"):
        with started(folder, *repeat) as first:
            until(first, lambda: "> env" in output(folder))
            second = tried(folder, *repeat)
            assert second.returncode != 0
            assert "is busy, it is being blocked by" in second.stderr
            assert f"(PID {first.pid})" in second.stderr
            run(folder, "dvc", "--wait-for-lock", *repeat[1:-1], "recall@fr")
            assert first.wait() == 0, output(folder)
        run(folder, *repeat)
        assert not ran(run(folder, "dvc", "repro"))
        assert (folder / "dvc.lock").read_bytes() == whole


def test_ctrl_c_in_a_stage(origin: Path, tmp_path: Path, ledger: Ledger) -> None:
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out("attributions", "en"))
    with ledger.attempt("Ctrl-C in a stage"):
        with started(folder, *stage("attributions", "en")) as process:
            until(process, lambda: bool(list(folder.glob(".work/*/*.parquet"))))
            assert end(process, signal.SIGINT) == 130
        assert "Traceback" not in output(folder)
        assert output(folder).endswith("\ninterrupted; run the same command again to go on\n")
        assert not (folder / out("attributions", "en")).exists()
        assert unfinished(folder) == []
        assert list(folder.glob(".work/*/*.parquet"))
        comes_back(folder, "attributions", expected)


@pytest.mark.parametrize(("shell", "status"), [("/bin/bash", "130"), ("/bin/sh", "130|-2")])
def test_ctrl_c_in_dvc(clone: Clone, ledger: Ledger, shell: str, status: str) -> None:
    """DVC sees the stage's own status; of dash, which may be sh, that it died of the signal too."""
    folder = clone("folder", cache="shared")
    whole = (folder / "dvc.lock").read_bytes()
    again = ("dvc", "repro", "--force", "--single-item", "attributions@en")
    with ledger.attempt("Ctrl-C in dvc repro"):
        with started(folder, *again, SHELL=shell) as process:
            until(process, lambda: bool(list(folder.glob(".work/*/*.parquet"))))
            assert end(process, signal.SIGINT) != 0
        text = output(folder)
        assert "Traceback" not in text
        assert "interrupted; run the same command again to go on" in text
        assert re.search(rf"exited with ({status})$", text, re.M)
        run(folder, *again)
        assert not ran(run(folder, "dvc", "repro"))
        assert (folder / "dvc.lock").read_bytes() == whole
        assert leftovers(folder) == []


def aged(folder: Path, years: int) -> None:
    """Give the pipeline's files the time of a clock that is wrong by years."""
    then = time.time() + years * 365 * 86400
    for path in (*folder.glob("src/neuron_atlas/**/*.py"), *folder.glob("stages/*.py")):
        os.utime(path, (then, then))
    for name in ("params.yaml", "dvc.lock"):
        os.utime(folder / name, (then, then))


def test_a_clock_that_jumps(clone: Clone, ledger: Ledger) -> None:
    """Times say nothing: what is the same does not run; what differs does, old though it looks."""
    folder = clone("folder", cache="shared")
    script = folder / "stages" / "consistency.py"
    text = script.read_text(encoding="utf-8")
    for years, other in ((30, "compare the"), (-30, "COMPARE the")):  # the size says nothing
        with ledger.attempt("a clock that jumps by years"):
            aged(folder, years)
            assert not ran(run(folder, "dvc", "repro"))
            script.write_text(text.replace("Compare the", other), encoding="utf-8")
            aged(folder, years)
            again = ran(run(folder, "dvc", "repro", "--no-run-cache"))
            assert again == {"consistency"}
