"""Long work resumes after a kill, and never from another run's parts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from neuron_atlas.pipeline import checkpoints, progress, store

STAGES = Path(__file__).parents[2] / "stages"
ITEMS = pd.DataFrame({"x": range(7)}, index=range(10, 17))
SECONDS = (3.0, 1.0, 4.5, 0.1, 9.0, 2.0, 2.0)  # of each group, if groups have one item


class Worker:
    """Squares a group; counts the items it computes; stops after `stop` of them."""

    def __init__(self, stop: int = 100) -> None:
        self.stop, self.seen = stop, 0

    def __call__(self, part: pd.DataFrame) -> pd.DataFrame:
        if self.seen >= self.stop:
            raise KeyboardInterrupt
        self.seen += len(part)
        return pd.DataFrame({"y": part["x"].to_numpy() ** 2})


class SlowWorker:
    """Squares a group of one item in as many seconds as `SECONDS` says, by a clock of its own.

    Attributes:
        spent: Seconds of all groups that it finished.
    """

    def __init__(self, before_the_end: Callable[[int], None] = lambda _: None) -> None:
        """Take what is to happen just before a group is finished, given its number."""
        self.spent, self._before_the_end = 0.0, before_the_end

    def clock(self) -> float:
        return self.spent

    def __call__(self, group: pd.DataFrame) -> pd.DataFrame:
        (x,) = group["x"]
        self.spent += SECONDS[x]
        self._before_the_end(x)
        return pd.DataFrame({"y": [x**2], "text": [f"number {x}"], "list": [list(range(x))]})


def contents(table: pd.DataFrame, folder: Path) -> bytes:
    """Return the bytes of a result."""
    store.write_table(folder / "result.parquet", table)
    return (folder / "result.parquet").read_bytes()


def one_by_one(worker: SlowWorker, folder: Path) -> pd.DataFrame:
    return checkpoints.in_parts(ITEMS, worker, key="w-1", size=1, folder=folder, clock=worker.clock)


def test_a_kill_at_any_moment_costs_seconds_and_changes_no_byte(tmp_path: Path) -> None:
    """A kill is a copy of what is on disk at that moment: nothing is tidied up."""

    def kill(n: int) -> None:
        if (tmp_path / "work").exists():
            shutil.copytree(tmp_path / "work", tmp_path / f"killed in {n}")

    expected = contents(one_by_one(SlowWorker(kill), tmp_path / "work"), tmp_path)
    lost = []
    for n in range(len(ITEMS)):
        again = SlowWorker()
        assert contents(one_by_one(again, tmp_path / f"killed in {n}"), tmp_path) == expected
        lost.append(again.spent - sum(SECONDS[n + 1 :]))
        assert lost[-1] <= checkpoints.KEPT_EVERY + SECONDS[n]
    assert lost[1] == pytest.approx(SECONDS[1])  # the first group was written at once
    assert lost[2] == pytest.approx(SECONDS[1] + SECONDS[2])


def test_many_fast_groups_share_a_file(tmp_path: Path) -> None:
    one_by_one(SlowWorker(), tmp_path)
    files = sorted(file.name for file in tmp_path.glob("w-1/*"))
    assert files == [f"00000{i}-{n}-1.parquet" for i, n in ((0, 1), (1, 2), (3, 2), (5, 2))]


def test_an_error_keeps_what_was_finished(tmp_path: Path) -> None:
    """No second passes by this clock: only the first group would be written in time."""
    kept, second = tmp_path / "kept", Worker()
    for worker in (Worker(stop=4), second):
        try:
            checkpoints.in_parts(ITEMS, worker, key="w-1", size=2, folder=kept, clock=lambda: 0.0)
        except KeyboardInterrupt:
            assert worker is not second
    assert second.seen == 3


def test_the_bar_moves_with_every_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SHOWN_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.in_parts(ITEMS, Worker(stop=4), key="w-1", size=2, folder=tmp_path)
    shown = capsys.readouterr().err
    assert [f"{n}/7" in shown for n in (0, 2, 4, 6)] == [True, True, True, False]
    checkpoints.in_parts(ITEMS, Worker(), key="w-1", size=2, folder=tmp_path)
    shown = capsys.readouterr().err
    assert [f"{n}/7" in shown for n in (0, 2, 4, 6, 7)] == [False, False, True, True, True]


def test_a_killed_run_goes_on_with_the_part_in_flight(tmp_path: Path) -> None:
    first, second = Worker(stop=4), Worker()
    with pytest.raises(KeyboardInterrupt):
        checkpoints.in_parts(ITEMS, first, key="w-1", size=2, folder=tmp_path)
    done = checkpoints.in_parts(ITEMS, second, key="w-1", size=2, folder=tmp_path)
    assert done["y"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert (first.seen, second.seen) == (4, 3)
    checkpoints.done("w-1", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_key_starts_afresh(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        checkpoints.in_parts(ITEMS, Worker(stop=4), key="w-1", size=2, folder=tmp_path)
    other = Worker()
    checkpoints.in_parts(ITEMS, other, key="w-2", size=2, folder=tmp_path)
    assert other.seen == len(ITEMS)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_the_size_of_parts_changes_nothing(tmp_path: Path, size: int) -> None:
    done = checkpoints.in_parts(ITEMS, Worker(), key="w-1", size=size, folder=tmp_path)
    assert done["y"].tolist() == [x**2 for x in range(7)]


def test_the_key_follows_inputs_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("a")
    base = checkpoints.key("w", [path], {"k": 1})
    assert checkpoints.key("w", [path], {"k": 1}) == base
    assert checkpoints.key("w", [path], {"k": 2}) != base
    path.write_text("b")
    assert checkpoints.key("w", [path], {"k": 1}) != base


def test_the_key_follows_every_file_of_a_folder_but_safetensors(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("a")
    (folder / "model.safetensors").write_text("a")
    base = checkpoints.key("w", [folder], {})
    (folder / "model.safetensors").write_text("b")
    assert checkpoints.key("w", [folder], {}) == base
    (folder / "tokenizer.json").write_text("b")
    assert checkpoints.key("w", [folder], {}) != base


def test_the_key_tells_where_a_file_ends(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    found = set()
    for first, second in (("xy", "z"), ("x", "yz")):
        a.write_text(first)
        b.write_text(second)
        found.add(checkpoints.key("w", [a, b], {}))
    assert len(found) == 2


def test_the_key_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CODE", tmp_path)
    (tmp_path / "room").mkdir()
    for place in ("module.py", "room/module.py"):
        module = tmp_path / place
        module.write_text("x = 1\n")
        base = checkpoints.key("w", [], {})
        assert checkpoints.key("w", [], {}) == base
        module.write_text("x = 2\n")
        assert checkpoints.key("w", [], {}) != base


def test_the_key_sees_a_module_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CODE", tmp_path)
    for room in ("one", "two"):
        (tmp_path / room).mkdir()
    module = tmp_path / "one" / "module.py"
    module.write_text("x = 1\n")
    base = checkpoints.key("w", [], {})
    module.rename(tmp_path / "two" / "module.py")
    assert checkpoints.key("w", [], {}) != base


def test_a_byte_changed_in_a_room_discards_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own code, copied: what a killed run left of other code is not taken up."""
    code = shutil.copytree(checkpoints.CODE, tmp_path / "code")
    monkeypatch.setattr(checkpoints, "CODE", code)
    kept = tmp_path / "kept"

    def work(worker: Worker) -> None:
        key = checkpoints.key("w", [], {})
        checkpoints.in_parts(ITEMS, worker, key=key, size=2, folder=kept)

    with pytest.raises(KeyboardInterrupt):
        work(Worker(stop=4))
    same, changed = Worker(), Worker()
    work(same)
    with (code / "scoring" / "packing.py").open("a") as module:
        module.write("#")
    work(changed)
    assert (same.seen, changed.seen) == (3, len(ITEMS))


@pytest.mark.parametrize("script", sorted(STAGES.glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_s_key_follows_its_script(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    first = "[Path(__file__), model_folder, " if "model_folder" in text else "[Path(__file__), "
    assert ("checkpoints.key(" in text) == (first in text)


def test_groups_of_another_size_are_not_taken_for_these(tmp_path: Path) -> None:
    """Last digits may depend on it; two groups of one size end where one of the other does."""
    for size, seen in ((2, 7), (4, 7), (4, 0)):
        worker = Worker()
        done = checkpoints.in_parts(ITEMS, worker, key="w-1", size=size, folder=tmp_path)
        assert done["y"].tolist() == [0, 1, 4, 9, 16, 25, 36]
        assert worker.seen == seen


def test_groups_may_have_sizes_of_their_own(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    def run(group: pd.DataFrame) -> pd.DataFrame:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(group["x"].tolist())
        return pd.DataFrame({"y": group["x"].to_numpy() ** 2})

    sizes = [1, 4, 2]
    with pytest.raises(KeyboardInterrupt):
        checkpoints.in_parts(ITEMS, run, key="w-1", size=sizes, folder=tmp_path)
    assert seen == [[0], [1, 2, 3, 4]]
    for now, n_left in ((sizes, 2), ([1, 2, 4], 7)):  # other groups are not taken for these
        rest = Worker()
        done = checkpoints.in_parts(ITEMS, rest, key="w-1", size=now, folder=tmp_path)
        assert done["y"].tolist() == [0, 1, 4, 9, 16, 25, 36]
        assert rest.seen == n_left


@pytest.mark.parametrize("sizes", [[4, 2], [4, 4]])
def test_groups_that_are_not_all_the_items_are_refused(tmp_path: Path, sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"groups of 7 items in all, got [68]"):
        checkpoints.in_parts(ITEMS, Worker(), key="w-1", size=sizes, folder=tmp_path)


def test_parts_of_other_keys_do_not_pile_up(tmp_path: Path) -> None:
    for key in ("w en-1", "w en-2", "w fr-1", "w en-3"):
        with pytest.raises(KeyboardInterrupt):
            checkpoints.in_parts(ITEMS, Worker(stop=4), key=key, size=2, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w en-3", "w fr-1"]
