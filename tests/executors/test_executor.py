"""The local executor is the plain loop, and a choice that cannot be is refused in one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import tiny
from neuron_atlas.executors import executor, held, ray_environment
from neuron_atlas.launching import dvc_run, fork_client, launcher
from neuron_atlas.model import language_model
from neuron_atlas.pipeline import checkpoints
from saved import save

ITEMS = pd.DataFrame({"x": range(7)})


def square(part: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"y": part["x"].to_numpy() ** 2})


class Backwards:
    """An executor that works on all parts, the last one first, and hands them out in their order.

    Attributes:
        seen: Of each call, the parts.
    """

    def __init__(self) -> None:
        self.seen: list[int] = []

    def map(self, run, parts):  # type: ignore[no-untyped-def]
        every = list(parts)
        self.seen.append(len(every))
        done = [run(part) for part in reversed(every)]
        yield from reversed(done)


def test_the_local_executor_works_on_a_part_when_its_result_is_asked_for() -> None:
    done: list[int] = []
    given: list[int] = []

    def parts() -> Iterator[int]:
        for i in range(3):
            given.append(i)
            yield i

    found = executor.Local().map(lambda x: done.append(x) or x, parts())
    assert (given, done) == ([], [])
    assert next(found) == 0
    assert (given, done) == ([0], [0])
    assert list(found) == [1, 2]


def test_it_raises_what_a_part_raises_and_works_on_no_further_part() -> None:
    done: list[int] = []

    def run(x: int) -> int:
        done.append(x)
        if x == 1:
            raise ValueError("bad part")
        return x

    with pytest.raises(ValueError, match=r"^bad part$"):
        list(executor.Local().map(run, range(4)))
    assert done == [0, 1]


@pytest.mark.parametrize("value", [None, "", "local"])
def test_it_is_local_unless_another_one_is_chosen(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(executor.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(executor.VARIABLE, value)
    assert isinstance(executor.chosen(), executor.Local)


def test_an_unknown_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(executor.VARIABLE, "dask")
    with pytest.raises(ValueError, match=r"NEURON_ATLAS_EXECUTOR must be 'local' or 'ray', got"):
        executor.chosen()


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(executor.VARIABLE, "ray")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("neuron_atlas.executors.ray_")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(f"neuron_atlas.executors.{name.rpartition('.')[2]}", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"'ray' is not installed; install it with .*\[ray\]"):
        executor.chosen()


def test_ray_reports_nothing_and_a_cluster_of_ones_own_listens_on_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {**ray_environment.DEFAULTS, **ray_environment.OF_A_CLUSTER_OF_ITS_OWN}
    for name in (*names, ray_environment.ADDRESS):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    ray_environment.set_defaults()
    assert {name: os.environ.get(name) for name in names} == names
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    ray_environment.set_defaults()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"


def test_groups_are_kept_in_their_order_whoever_works_on_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = checkpoints.in_parts(ITEMS, square, key="w-1", size=2, folder=tmp_path / "a")
    monkeypatch.setattr(executor, "chosen", Backwards)
    found = checkpoints.in_parts(ITEMS, square, key="w-1", size=2, folder=tmp_path / "b")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_what_one_executor_has_begun_another_finishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(part: pd.DataFrame) -> pd.DataFrame:
        if part["x"].max() > 3:
            raise KeyboardInterrupt
        return square(part)

    with pytest.raises(KeyboardInterrupt):
        checkpoints.in_parts(ITEMS, stop, key="w-1", size=2, folder=tmp_path)
    other = Backwards()
    monkeypatch.setattr(executor, "chosen", lambda: other)
    found = checkpoints.in_parts(ITEMS, square, key="w-1", size=2, folder=tmp_path)
    assert other.seen == [2]  # of four groups
    assert found["y"].tolist() == [x**2 for x in range(7)]


def test_no_process_is_forked_for_another_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(launcher, "GPUS", ())
    monkeypatch.delenv(launcher.SWITCH, raising=False)
    monkeypatch.setattr(fork_client, "status_of", lambda words, _: asked.append(words) or 0)
    run = dvc_run.Run(os.getpid(), 0)
    for value in ("ray", "", "local"):
        monkeypatch.setenv(executor.VARIABLE, value)
        launcher._forked([value], run)
    assert asked == [[""], ["local"]]


def test_the_choice_imports_no_ray_and_no_torch() -> None:
    """The launcher of every stage imports it."""
    code = (
        "import sys; from neuron_atlas.executors import executor; executor.chosen(); "
        "print({'ray', 'torch', 'pandas'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code]
    source = str(Path(executor.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source, executor.VARIABLE: ""}
    found = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_what_is_held_is_made_once() -> None:
    made: list[int] = []
    key = ("test", object())
    assert held.once(key, lambda: made.append(1) or "value") == "value"
    assert held.once(key, lambda: made.append(1) or "other") == "value"
    assert made == [1]


def test_a_model_travels_as_the_name_of_its_folder(tmp_path: Path) -> None:
    save(tiny.random_model("llama"), tmp_path / "model")
    lm = language_model.load(tmp_path / "model")
    (tmp_path / "model" / "provenance.json").write_text('{"revision": "a"}')
    make, arguments = lm.__reduce__()
    assert arguments == (tmp_path / "model", '{"revision": "a"}', "cpu", lm.dtype)
    other = make(*arguments)
    assert other is make(*arguments)
    assert other is not lm
    for a, b in zip(lm.network.parameters(), other.network.parameters(), strict=True):
        assert a.equal(b)
    (tmp_path / "model" / "provenance.json").write_text('{"revision": "b"}')
    with pytest.raises(ValueError, match=r"another model is in \S+; run `dvc pull model` there"):
        make(*arguments)


def test_a_spread_model_is_spread_where_it_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny.random_model("llama")
    save(made, tmp_path)
    size = sum(p.numel() * p.element_size() for p in made.network.parameters())
    monkeypatch.setenv("NEURON_ATLAS_MEMORY", f"cpu={size * 2 // 3}")
    lm = language_model.load(tmp_path, device="spread")
    make, arguments = lm.__reduce__()
    other = make(*arguments)
    assert "disk" in lm.network.hf_device_map.values()
    assert other.network.hf_device_map == lm.network.hf_device_map


def test_a_model_of_no_folder_cannot_travel() -> None:
    with pytest.raises(TypeError, match="loaded from a folder"):
        tiny.random_model("llama").__reduce__()
