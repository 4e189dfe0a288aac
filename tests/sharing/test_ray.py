"""Two workers of a real Ray cluster: results are the local ones, whoever is killed."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

import tiny
from killing import PATIENCE, end, output, removed, started, until, workspace
from killing import contents as contents_of
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.executors import executor, ray_environment
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints, params
from repository import LANGUAGES, ROOT, copied, environment, run
from saved import save

ray_environment.set_defaults()
ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

from neuron_atlas.executors import ray_cluster, ray_executor, ray_work  # noqa: E402
from neuron_atlas.executors.ray_worker import Worker  # noqa: E402

PART = f"ray::{Worker.__name__}.{Worker.run.__name__}"  # what an actor says while it works on one
LOADING = f"ray::{Worker.__name__}.{Worker.take.__name__}"
SHORT = (
    "selection@en",
    "degenerate_neurons@en",
)  # parts may be over too soon to be seen
ITEMS = pd.DataFrame({"x": range(12), "text": [f"number {x}" for x in range(12)]})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of this machine's own, with room for two workers.

    Ray writes the cluster's token to the home folder, and a process that joins reads it there.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in (ray_environment.ADDRESS, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        ray.init(
            address="local",  # else Ray joins what runs here, if anything does
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
        yield ray.get_runtime_context().gcs_address
        ray_executor._crews.clear()
        ray.shutdown()


@pytest.fixture
def workers(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two workers of the cluster do the work."""
    monkeypatch.setenv(ray_environment.ADDRESS, cluster)
    monkeypatch.setenv(executor.VARIABLE, "ray")
    monkeypatch.delenv(ray_cluster.WORKERS, raising=False)


def square(part: pd.DataFrame) -> pd.DataFrame:
    time.sleep(0.2 / (1 + int(part["x"].iloc[0])))  # the first one takes longest
    lists = [list(range(x)) for x in part["x"]]
    return part.assign(y=part["x"] ** 2, lists=lists, worker=os.getpid())


def together(
    work: Callable[[pd.DataFrame], pd.DataFrame], marks: Path, part: pd.DataFrame
) -> pd.DataFrame:
    """Work once two workers have a part each: one may start long before the other."""
    (marks / f"at-{os.getpid()}").touch()
    end = time.monotonic() + PATIENCE
    while len(list(marks.glob("at-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return work(part)


def die_once(marks: Path, part: pd.DataFrame) -> pd.DataFrame:
    mark = marks / "died"
    if int(part["x"].iloc[0]) == 4 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(part)


def die(part: pd.DataFrame) -> pd.DataFrame:
    if int(part["x"].iloc[0]) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(part)


def fail(part: pd.DataFrame) -> pd.DataFrame:
    if int(part["x"].iloc[0]) == 4:
        raise ValueError("k must be at least 1, got 0")
    return square(part)


@pytest.mark.usefixtures("workers")
def test_results_come_in_order_from_two_workers(tmp_path: Path) -> None:
    work = partial(together, square, tmp_path)
    expected = checkpoints.in_parts(ITEMS, work, key="w-0", size=2, folder=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(executor.VARIABLE, "local")
        local = checkpoints.in_parts(ITEMS, square, key="v-0", size=2, folder=tmp_path)
    assert os.getpid() not in set(expected["worker"])
    assert expected["worker"].nunique() == 2
    columns = ["x", "text", "y", "lists"]
    pd.testing.assert_frame_equal(expected[columns], local[columns], check_exact=True)


@pytest.mark.usefixtures("workers")
def test_what_a_killed_worker_was_given_is_redone(tmp_path: Path) -> None:
    work = partial(die_once, tmp_path)
    found = checkpoints.in_parts(ITEMS, work, key="w-1", size=2, folder=tmp_path)
    assert (tmp_path / "died").exists()
    assert found["y"].tolist() == [x**2 for x in range(12)]


@pytest.mark.usefixtures("workers")
def test_a_part_that_ends_every_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^part 3 has ended 3 Ray workers"):
        checkpoints.in_parts(ITEMS, die, key="w-2", size=2, folder=tmp_path)


@pytest.mark.usefixtures("workers")
def test_a_parts_own_error_is_raised_and_what_came_before_it_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^k must be at least 1, got 0\n") as caught:
        checkpoints.in_parts(ITEMS, fail, key="w-3", size=2, folder=tmp_path)
    assert type(caught.value) is ValueError
    assert str(caught.value) == "k must be at least 1, got 0"  # `match` sees the notes, too
    assert "ray::Worker.run()" in caught.value.__notes__[0]
    kept = sum(int(file.stem.split("-")[1]) for file in (tmp_path / "w-3").iterdir())
    assert kept == 4  # prompts of the two parts before it
    found = checkpoints.in_parts(ITEMS, square, key="w-3", size=2, folder=tmp_path)
    assert found["y"].tolist() == [x**2 for x in range(12)]


@pytest.mark.usefixtures("workers")
def test_few_parts_are_ahead() -> None:
    """Of a thousand parts a bounded number was taken when the first result is there."""
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    found = ray_executor.RayExecutor().map(abs, parts())
    assert next(found) == 0
    assert len(taken) <= 2 * ray_executor.AHEAD + 1
    assert [next(found) for _ in range(20)] == list(range(1, 21))
    assert len(taken) <= 21 + 2 * ray_executor.AHEAD + 1
    found.close()


@dataclass(frozen=True)
class Doubling:
    """A frozen value with something derived that cannot travel."""

    x: torch.Tensor

    @cached_property
    def derived(self) -> torch.nn.Module:
        return torch.nn.Linear(2, 2)


def test_neither_weights_nor_what_is_derived_from_them_travel(tmp_path: Path) -> None:
    save(tiny.random_model("llama"), tmp_path / "model")
    lm = language_model.load(tmp_path / "model")
    writing = Writing(lm, "hidden")
    clean = CleanValues(writing, torch.ones(2, lm.n_layers, lm.n_neurons))
    pushes = clean.strength(torch.zeros(lm.n_layers, lm.n_neurons))  # derives all there is
    sent = ray_work.packed([clean, writing])
    other, its_writing = ray_work.unpacked(sent)
    assert its_writing is other.writing
    assert len(sent) < 4 * clean.values.numel() + 4000
    np.testing.assert_array_equal(other.strength(torch.zeros(lm.n_layers, lm.n_neurons)), pushes)
    value = Doubling(torch.ones(1))
    assert isinstance(value.derived, torch.nn.Module)
    assert set(vars(ray_work.unpacked(ray_work.packed(value)))) == {"x"}
    with pytest.raises(TypeError, match="Linear of a network cannot be sent"):
        ray_work.packed(value.derived)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_a_tensor_arrives_as_it_lay_and_without_the_one_it_is_a_part_of(dtype: torch.dtype) -> None:
    whole = torch.arange(5000).view(50, 5, 20).to(dtype)
    for value in (whole[3], whole[3].T, whole[7, 2, 1], whole[:, 1], whole[:0]):
        sent = ray_work.packed(value)
        found = ray_work.unpacked(sent)
        assert found.dtype == dtype
        assert torch.equal(found, value)
        assert found.stride() == value.stride()
    assert len(ray_work.packed(whole[3])) < 100 * dtype.itemsize + 1000


def ask(lm: language_model.LanguageModel, part: pd.DataFrame) -> pd.DataFrame:
    with torch.no_grad():
        logits = [lm.network(torch.tensor([[1, 5 + x]])).logits.sum().item() for x in part["x"]]
    return part.assign(logit=logits, threads=torch.get_num_threads(), worker=os.getpid())


@pytest.mark.usefixtures("workers")
def test_workers_load_the_model_and_have_as_many_threads(tmp_path: Path) -> None:
    save(tiny.random_model("llama"), tmp_path / "model")
    lm = language_model.load(tmp_path / "model")
    work = partial(together, partial(ask, lm), tmp_path)
    found = checkpoints.in_parts(ITEMS, work, key="w-4", size=1, folder=tmp_path)
    assert found["worker"].nunique() == 2
    assert set(found["threads"]) == {torch.get_num_threads()}
    assert found["logit"].tolist() == ask(lm, ITEMS)["logit"].tolist()


@pytest.mark.usefixtures("workers")
def test_a_model_that_a_worker_cannot_load_is_said_to_be(tmp_path: Path) -> None:
    save(tiny.random_model("llama"), tmp_path / "model")
    lm = language_model.load(tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    expected = r"^a Ray worker on \S+ could not load what the stage needs: .*config.json does not"
    with pytest.raises(ValueError, match=expected):
        checkpoints.in_parts(ITEMS, partial(ask, lm), key="w-5", size=1, folder=tmp_path)


@pytest.mark.usefixtures("workers")
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ray_cluster.WORKERS, "two")
    with pytest.raises(ValueError, match=r"NEURON_ATLAS_RAY_WORKERS must be a whole number"):
        ray_cluster.request()


SCRIPT = """\
import os
import time
from pathlib import Path

import pandas as pd

from neuron_atlas.pipeline import checkpoints
from neuron_atlas.pipeline.command import run


def work(part):
    Path(f"at-{os.getpid()}").touch()
    time.sleep(0.5)
    return part


def main() -> None:
    checkpoints.in_parts(pd.DataFrame({"x": range(1000)}), work, key="w-1", size=1)


run(main)
"""
PATH = os.pathsep.join([str(ROOT / "src"), str(Path(ray.__file__).parents[1])])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stage_that_ends_takes_its_cluster_with_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C goes to the whole group, as from a terminal; the other signals to the stage alone."""
    (tmp_path / "script.py").write_text(SCRIPT)
    words = ["env", "-u", "RAY_ADDRESS", sys.executable, "script.py"]
    given = {executor.VARIABLE: "ray", ray_cluster.WORKERS: "2", "OMP_NUM_THREADS": "1"}
    with started(tmp_path, "env", f"PYTHONPATH={PATH}", *words, **given) as process:
        until(process, lambda: len(list(tmp_path.glob("at-*"))) == 2)
        below = psutil.Process(process.pid).children(recursive=True)
        actors = [psutil.Process(int(p.name[3:])) for p in tmp_path.glob("at-*")]
        assert {p.pid for p in actors} <= {p.pid for p in below}
        listening = {
            c.laddr.ip
            for p in (psutil.Process(process.pid), *below)
            for c in _connections(p)
            if c.status == psutil.CONN_LISTEN
        }
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        if number == signal.SIGINT:
            assert end(process, number) == 130
            assert output(tmp_path).endswith("run the same command again to go on\n")
            assert "Traceback" not in output(tmp_path)
        else:
            os.kill(process.pid, number)
            process.wait(60)
        gone = below if number == signal.SIGINT else actors  # of a killed one, Ray's agents linger
        _, alive = psutil.wait_procs(gone, timeout=60)
        assert not alive


def test_an_address_without_a_cluster_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    given = {executor.VARIABLE: "ray", ray_environment.ADDRESS: "127.0.0.1:9"}
    given |= {ray_environment.MODE: "disabled"}
    words = ["env", f"PYTHONPATH={PATH}", sys.executable, "script.py"]
    with started(tmp_path, *words, **given) as process:
        assert process.wait(300) == 1
    said = output(tmp_path).splitlines()[-1]
    assert said.startswith("error: no Ray cluster can be joined at RAY_ADDRESS='127.0.0.1:9'")
    assert said.endswith("(if it asks for a token, set RAY_AUTH_MODE=token)")


def _connections(process: psutil.Process) -> list[Any]:
    with suppress(psutil.Error):
        return list(process.net_connections(kind="inet"))
    return []


@pytest.mark.parametrize("stage", [
    "answers@en", "recall@en", "activations@en", "attributions@en", "interference@en",
    "selection@en", "degenerate_neurons@en",
])  # fmt: skip
def test_a_stage_has_the_bytes_of_the_local_run_though_a_worker_is_killed(
    cluster: str, origin: Path, tmp_path: Path, stage: str
) -> None:
    check_killed(cluster, origin, tmp_path, stage)


def test_editing_has_the_bytes_of_the_local_run_though_a_worker_is_killed(
    cluster: str, toy_decoder_folder: Path, tmp_path: Path
) -> None:
    """It edits nothing but what three languages know, so that two have nothing to give an actor."""
    origin = copied(tmp_path / "origin", toy_decoder_folder, languages=LANGUAGES)
    run(origin, "dvc", "repro", "editing")
    check_killed(cluster, origin, tmp_path, "editing")


def check_killed(cluster: str, origin: Path, tmp_path: Path, stage: str) -> None:
    """Run a stage again on the cluster, kill an actor, and compare what it writes."""
    folder = workspace(origin, tmp_path / "run")
    words, outs = command(origin, stage)
    expected = {out: removed(folder / out) for out in outs}
    given = {executor.VARIABLE: "ray", ray_environment.ADDRESS: cluster}
    short = stage in SHORT
    with killing_one((PART, LOADING) if short else (PART,)) as killed:
        done = subprocess.run(
            words, cwd=folder, env=environment(PYTHONPATH=PATH, **given) | {"PYTHONPATH": PATH},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {out: contents_of(folder / out) for out in outs} == expected
    assert killed, "no actor was seen at work"
    shutil.rmtree(folder)


def command(origin: Path, stage: str) -> tuple[list[str], list[str]]:
    """Return the command and the outputs of a stage of dvc.yaml, without DVC's launcher."""
    name, _, language = stage.partition("@")
    entry = params.read_yaml(origin / "dvc.yaml")["stages"][name]
    outs = [str(out) for out in entry["outs"]]
    text = "\n".join([str(entry["cmd"]), *outs]).replace("${item.language}", language)
    line, *paths = text.split("\n")
    words = line.split()
    return [sys.executable, *words[words.index(f"stages/{name}.py") :]], paths


@contextmanager
def killing_one(titles: tuple[str, ...]) -> Iterator[list[int]]:
    """Kill the first actor of this process's cluster that is seen at what a title says."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001) and not killed:
            below = psutil.Process().children(recursive=True)
            found = (process.pid for process in below if _killed(process, titles))
            killed.extend(itertools.islice(found, 1))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _killed(process: psutil.Process, titles: tuple[str, ...]) -> bool:
    """Kill an actor if it is at it: it is stopped and looked at again, so it still is."""
    with suppress(psutil.Error):
        if _title(process) in titles:
            process.suspend()
            if _title(process) in titles:
                process.kill()
                return True
            process.resume()
    return False


def _title(process: psutil.Process) -> str:
    """Return what a Ray process says that it does."""
    return (process.cmdline() or [""])[0]
