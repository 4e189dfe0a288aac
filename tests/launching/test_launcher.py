"""A forked stage is to its surroundings what a fresh one is: result, status, signals, end."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import dvc_stand_in
import tiny
from dvc_stand_in import ROOT, Run
from neuron_atlas.launching import messages
from neuron_atlas.pipeline import stage_times
from saved import save

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks stages")

TELL = """\
import json, os, sys
from pathlib import Path

told = {
    "pid": os.getpid(), "parent": os.getppid(), "argv": sys.argv, "file": __file__,
    "name": __name__, "folder": os.getcwd(), "path": sys.path[0], "umask": os.umask(0),
    "stage": os.environ["DVC_STAGE"], "variable": os.environ.get("VARIABLE"),
    "modules": sorted(sys.modules), "main": sys.modules["__main__"].told_by,
}
Path("out.json").write_text(json.dumps(told))
""".replace("told = {", 'told_by = "tell"\ntold = {')
FAIL = """\
from neuron_atlas.pipeline.command import run

def main() -> None:
    raise ValueError("k must be at least 1, got 0")

run(main)
"""
BREAK = "raise RuntimeError('shapes do not match')\n"
SLEEP = """\
import os, time
from pathlib import Path

from neuron_atlas.pipeline.command import run

def main() -> None:
    Path("begun").write_text(str(os.getpid()))
    for _ in range(6000):  # one sleep would hide an interrupt that comes just before it
        time.sleep(0.1)
    Path("ended").write_text("")

run(main)
"""
SCORE = """\
import hashlib, json, os, sys
from pathlib import Path

import torch

from neuron_atlas.model import language_model

lm = language_model.load(Path(sys.argv[1]))
ids = torch.arange(5, 20)[None]
embedded = lm.network.get_input_embeddings()(ids).requires_grad_()
logits = lm.network(inputs_embeds=embedded).logits
logits.square().sum().backward()
wide = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
state = [*lm.network.state_dict().values(), *lm.network.buffers()]
results = [logits.detach(), embedded.grad, wide @ wide, *state]
bytes_of = [x.contiguous().numpy().tobytes() for x in results]
told = {
    "parent": os.getppid(),
    "bytes": [hashlib.sha256(b).hexdigest() for b in bytes_of],
    "threads": torch.get_num_threads(),
    "precision": torch.get_float32_matmul_precision(),
    "words": lm.tokenizer.encode("a b z").ids,
}
Path("out.json").write_text(json.dumps(told))
"""
PRECISION = """\
import json
from pathlib import Path

import torch

Path("out.json").write_text(json.dumps({"precision": torch.get_float32_matmul_precision()}))
"""
SCRIPTS = {"tell": TELL, "fail": FAIL, "broken": BREAK, "sleep": SLEEP, "score": SCORE}
PATIENCE = 120.0  # seconds; a busy machine is slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with the library and a few scripts."""
    return made(tmp_path / "repository")


def made(folder: Path) -> Path:
    folder.mkdir()
    (folder / "src").symlink_to(ROOT / "src")
    (folder / "stages").mkdir()
    for name, text in {**SCRIPTS, "precision": PRECISION}.items():
        (folder / "stages" / f"{name}.py").write_text(text)
    return folder


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def server(pid: int) -> bool:
    """Return whether a process is a fork server."""
    return "neuron_atlas.launching.fork_server" in psutil.Process(pid).cmdline()


def sockets(run: Run) -> list[str]:
    """Return the sockets of a run."""
    with messages.meeting_place() as place:
        return [p.name for p in place.iterdir() if p.name.startswith(f"{run.process.pid}-")]


def begun(folder: Path) -> int:
    """Wait until `sleep` has begun and return its process."""
    until(lambda: (folder / "begun").exists() and bool((folder / "begun").read_text()))
    return int((folder / "begun").read_text())


def test_a_forked_stage_sees_what_a_fresh_one_sees(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        alone = run.told("tell", "a", "--b", NEURON_ATLAS_WARM="0")
        forked = run.told("tell", "a", "--b")
        assert not server(alone["parent"])
        assert server(forked["parent"])
    for told in (alone, forked):
        rooms = {m.split(".")[1] for m in told.pop("modules") if m.startswith("neuron_atlas.")}
        assert rooms <= {"executors", "launching", "pipeline"}
        del told["pid"], told["parent"]
    assert forked == alone
    assert forked["argv"] == ["stages/tell.py", "a", "--b"]
    assert (forked["name"], forked["main"]) == ("__main__", "tell")


def test_stages_of_a_run_share_a_server_that_ends_with_it(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        first, second = run.told("tell"), run.told("tell")
        assert first["parent"] == second["parent"]
        assert first["pid"] != second["pid"]
        assert len(sockets(run)) == 1
    until(lambda: not psutil.pid_exists(first["parent"]))
    assert sockets(run) == []


def test_two_runs_do_not_meet(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    with dvc_stand_in.started(one) as a, dvc_stand_in.started(two) as b:
        assert a.told("tell")["parent"] != b.told("tell")["parent"]
        with dvc_stand_in.started(one) as c:
            assert a.told("tell")["parent"] != c.told("tell")["parent"]
            assert a.told("tell")["folder"] == c.told("tell")["folder"] == str(one)


def test_another_environment_is_not_taken_for_the_same(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        before = run.told("tell")
        other = run.told("tell", VARIABLE="b")
        assert server(before["parent"])
        assert other["parent"] == run.process.pid
        assert other["variable"] == "b"
        assert run.told("tell")["parent"] == before["parent"]


def test_changed_code_ends_the_server(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        before = run.told("tell")
        with (folder / "stages" / "fail.py").open("a") as code:
            code.write("# changed\n")
        assert run.told("tell")["parent"] == run.process.pid
        until(lambda: not psutil.pid_exists(before["parent"]))
        after = run.told("tell")["parent"]
        assert server(after)
        assert after != before["parent"]


def test_a_failure_keeps_its_status_and_its_words(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        for variables in ({}, {"NEURON_ATLAS_WARM": "0"}):
            assert run.stage("fail", **variables) == (1, "error: k must be at least 1, got 0\n")
            status, said = run.stage("broken", **variables)
            assert status == 1
            assert "stages/broken.py" in said
            assert said.endswith("RuntimeError: shapes do not match\n")
    assert stage_times.recorded(folder / ".work") == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_ends_the_launcher_ends_the_stage(folder: Path, number: signal.Signals) -> None:
    with dvc_stand_in.started(folder) as run:
        launcher = run.start("sleep")
        process = psutil.Process(begun(folder))
        assert server(process.ppid())
        os.kill(launcher, number)
        assert run.wait()[0] == -number
        until(lambda: not process.is_running())
        assert server(run.told("tell")["parent"])
    assert not (folder / "ended").exists()


def test_an_interrupt_reaches_the_stage(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        launcher = run.start("sleep")
        begun(folder)
        os.kill(launcher, signal.SIGINT)
        assert run.wait() == (130, "\ninterrupted; run the same command again to go on\n")


def test_the_end_of_the_run_ends_the_stage(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        run.start("sleep")
        process = psutil.Process(begun(folder))
        parent = process.parent()
        assert parent is not None
        run.process.kill()
        until(lambda: not process.is_running() and not parent.is_running())


def test_the_end_of_the_server_ends_the_stage_and_is_told(folder: Path) -> None:
    with dvc_stand_in.started(folder) as run:
        run.start("sleep")
        process = psutil.Process(begun(folder))
        os.kill(process.ppid(), signal.SIGKILL)
        status, said = run.wait()
        assert status == 1
        assert said.startswith("error: the process that ran the stage was killed")
        until(lambda: not process.is_running())
        assert server(run.told("tell")["parent"])


def test_a_model_is_shared_and_gives_the_same_bytes(folder: Path) -> None:
    model = save(tiny.random_model("llama"), folder / "model")
    with dvc_stand_in.started(folder) as run:
        forked = [run.told("score", "model") for _ in range(2)]
        assert run.told("precision") == {"precision": "highest"}  # as if no model was loaded
        alone = run.told("score", "model", NEURON_ATLAS_WARM="0")
        assert server(forked[0].pop("parent"))
        assert forked[1].pop("parent")
        assert not server(alone.pop("parent"))
        assert forked == [alone, alone]
        shutil.rmtree(model)
        save(tiny.random_model("llama", seed=1), model)
        changed = run.told("score", "model")
        assert server(changed["parent"])
        assert changed["bytes"] != alone["bytes"]
