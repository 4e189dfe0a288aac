"""A damaged object, a connection cut while pushing, wrong credentials: said clearly, made good."""

import json
import subprocess
from pathlib import Path

import pytest

import remotes
import servers
from ledger import Ledger
from neuron_atlas.pipeline import params
from remotes import CONFIG, NAME, Remote, connect_as
from repository import Clone, run, tried
from wire import Wire, wire

KINDS = ("ssh", "s3")
RESULT = "data/recall/en.parquet"
CUTS = (30_000, 150_000, 400_000)  # bytes that pass before each cut, of about two million
FIND = (  # as in docs/sharing.md
    "cd files/md5 && find . -type f -exec md5sum {} + | "
    "awk '{name = $2; gsub(/[.\\/]|dir/, \"\", name); if (name != $1) print $2}'"
)


def recorded(folder: Path, stage: str, path: str) -> str:
    """Return the hash that dvc.lock gives an output of a stage."""
    outs = params.read_yaml(folder / "dvc.lock")["stages"][stage]["outs"]
    (found,) = (out["md5"] for out in outs if out["path"] == path)
    return str(found)


def stored(hashed: str) -> str:
    """Return where a remote or a cache keeps an object."""
    return f"files/md5/{hashed[:2]}/{hashed[2:]}"


def damaged(folder: Path) -> tuple[str, str]:
    """Return the objects that the tests damage: a table, and the weights within their folder."""
    listed = folder / ".dvc" / "cache" / stored(recorded(folder, "model", "data/model"))
    members = json.loads(listed.read_text(encoding="utf-8"))
    (weights,) = (m["md5"] for m in members if m["relpath"] == "model.safetensors")
    return stored(recorded(folder, "recall@en", RESULT)), stored(weights)


def spoilt(content: bytes) -> bytes:
    """Return the content with four bytes changed."""
    return content[:10] + bytes(255 - b for b in content[10:14]) + content[14:]


def assert_pulls_everything(folder: Path, remote: Remote) -> None:
    run(folder, "dvc", "pull", **remote.variables)
    assert run(folder, "dvc", "status").strip() == "Data and pipelines are up to date."


def assert_pull_refuses(folder: Path, remote: Remote) -> None:
    """Check that a pull names both damaged outputs, and keeps neither."""
    pull = tried(folder, "dvc", "pull", **remote.variables)
    assert pull.returncode != 0
    _, named = pull.stderr.split("Checkout failed for following targets:\n")
    assert set(named.splitlines()[:2]) == {RESULT, "data/model"}
    for name in damaged_names(folder):
        assert not (folder / name).exists()


def damaged_names(folder: Path) -> list[str]:
    """Return where the damaged table would be, in the workspace and in the cache."""
    return [RESULT, "data/model", f".dvc/cache/{stored(recorded(folder, 'recall@en', RESULT))}"]


def test_a_damaged_object_in_a_folder(clone: Clone, tmp_path: Path, ledger: Ledger) -> None:
    store = tmp_path / "remote"
    remote = remotes.local(store)
    a = remote.connect(clone("a", cache="own"))
    run(a, "dvc", "push")
    for name in damaged(a):
        (store / name).chmod(0o644)
        (store / name).write_bytes(spoilt((store / name).read_bytes()))
        (store / name).chmod(0o444)  # DVC takes what is read-only for whole
    with ledger.attempt("damaged object in a folder", times=2):
        assert_pull_refuses(connect_as(a, clone("b")), remote)
        found = subprocess.run(FIND, cwd=store, shell=True, check=True, stdout=-1, text=True)
        names = [f"files/md5/{line[2:]}" for line in found.stdout.splitlines()]
        assert sorted(names) == sorted(damaged(a))
        for name in names:
            (store / name).unlink()
        run(store, "find", ".", "-name", "*.dir", "-delete")
        run(a, "dvc", "push")
        assert_pulls_everything(connect_as(a, clone("c")), remote)


def test_a_damaged_object_in_a_bucket(clone: Clone, s3: servers.S3, ledger: Ledger) -> None:
    remote = remotes.s3(s3, "damaged")
    a = remote.connect(clone("a", cache="own"))
    run(a, "dvc", "push", **remote.variables)
    files = s3.files()
    for name in damaged(a):
        at = f"{s3.bucket}/damaged/{name}"
        files.pipe(at, spoilt(files.cat(at)))
    with ledger.attempt("damaged object in a bucket", times=2):
        assert_pull_refuses(connect_as(a, clone("b")), remote)
        assert "up to date" in run(a, "dvc", "push", **remote.variables)  # it is there, says DVC
        run(a, "dvc", "remote", "modify", "--local", NAME, "url", s3.url("whole"))
        run(a, "dvc", "push", **remote.variables)
        assert_pulls_everything(connect_as(a, clone("c")), remote)


def test_without_verify_damage_goes_unseen(clone: Clone, tmp_path: Path) -> None:
    """The control: what the recipes set is what protects."""
    store = tmp_path / "remote"
    a = remotes.local(store).connect(clone("a", cache="own"))
    run(a, "dvc", "push")
    table, _ = damaged(a)
    (store / table).chmod(0o644)
    (store / table).write_bytes(spoilt((store / table).read_bytes()))
    (store / table).chmod(0o444)
    b = connect_as(a, clone("b"))
    run(b, "dvc", "remote", "modify", "--local", NAME, "verify", "false")
    run(b, "dvc", "pull", RESULT)
    assert (b / RESULT).read_bytes() != (a / RESULT).read_bytes()


def assert_push_is_cut(folder: Path, remote: Remote, line: Wire, n_bytes: int) -> None:
    """Push over a wire that is cut after so many bytes, and mend the wire.

    DVC says what it was doing then: it "failed to transfer" an object, or met an "unexpected error"
    as it asked whether one is there. Both name the connection.
    """
    once = {**remote.variables, "AWS_MAX_ATTEMPTS": "1"}
    line.cut_after(n_bytes)
    push = tried(folder, "dvc", "push", "--run-cache", **once)
    assert line.left == 0
    line.mend()
    assert push.returncode != 0
    errors = [text for text in push.stderr.splitlines() if text.startswith("ERROR: ")]
    assert any("onnect" in text for text in errors), push.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_cut_in_a_push(
    kind: str, clone: Clone, ssh: servers.Ssh, s3: servers.S3, ledger: Ledger
) -> None:
    server = {"ssh": ssh, "s3": s3}[kind]
    with wire(server.port) as line:
        at = {"name": "cut", "port": line.port}
        remote = remotes.ssh(ssh, **at) if kind == "ssh" else remotes.s3(s3, **at)
        a = remote.connect(clone("a", cache="own"))
        with ledger.attempt(f"connection cut in a push by {kind}", times=len(CUTS)):
            for n_bytes in CUTS:
                assert_push_is_cut(a, remote, line, n_bytes)
            assert run(a, "dvc", "status").strip() == "Data and pipelines are up to date."
            assert "pushed" in run(a, "dvc", "push", "--run-cache", **remote.variables)
            assert_pulls_everything(connect_as(a, clone("b")), remote)


def test_wrong_credentials_for_ssh(clone: Clone, ssh: servers.Ssh, ledger: Ledger) -> None:
    right = remotes.ssh(ssh, "credentials")
    a = Remote(right.url, {"keyfile": str(ssh.other_key)}).connect(clone("a", cache="own"))
    with ledger.attempt("wrong key for ssh"):
        push = tried(a, "dvc", "push")
        assert push.returncode != 0
        assert "Permission denied for user" in push.stderr
        run(a, "dvc", "remote", "modify", "--local", NAME, "keyfile", str(ssh.key))
        run(a, "dvc", "push")
        assert_pulls_everything(connect_as(a, clone("b")), right)


def test_wrong_credentials_for_s3(clone: Clone, s3: servers.S3, ledger: Ledger) -> None:
    right = remotes.s3(s3, "credentials")
    a = right.connect(clone("a", cache="own"))
    wrong = {**right.variables, "AWS_SECRET_ACCESS_KEY": "wrong"}
    with ledger.attempt("wrong secret for s3"):
        push = tried(a, "dvc", "push", **wrong)
        assert push.returncode != 0
        assert "403" in push.stderr
        assert servers.SECRET not in push.stderr + (a / CONFIG).read_text(encoding="utf-8")
        run(a, "dvc", "push", **right.variables)
        assert_pulls_everything(connect_as(a, clone("b")), right)
