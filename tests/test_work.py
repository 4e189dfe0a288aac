"""Long work resumes after a kill, and never from another run's parts."""

from pathlib import Path

import pandas as pd
import pytest

from neuron_atlas import work

ITEMS = pd.DataFrame({"x": range(7)}, index=range(10, 17))


class Worker:
    """Squares a part; counts the items it computes; stops after `stop` of them."""

    def __init__(self, stop: int = 100) -> None:
        self.stop, self.seen = stop, 0

    def __call__(self, part: pd.DataFrame) -> pd.DataFrame:
        if self.seen >= self.stop:
            raise KeyboardInterrupt
        self.seen += len(part)
        return pd.DataFrame({"y": part["x"].to_numpy() ** 2})


def test_a_killed_run_goes_on_with_the_part_in_flight(tmp_path: Path) -> None:
    first, second = Worker(stop=4), Worker()
    with pytest.raises(KeyboardInterrupt):
        work.in_parts(ITEMS, first, key="w-1", size=2, folder=tmp_path)
    done = work.in_parts(ITEMS, second, key="w-1", size=2, folder=tmp_path)
    assert done["y"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert (first.seen, second.seen) == (4, 3)
    work.done("w-1", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_key_starts_afresh(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work.in_parts(ITEMS, Worker(stop=4), key="w-1", size=2, folder=tmp_path)
    other = Worker()
    work.in_parts(ITEMS, other, key="w-2", size=2, folder=tmp_path)
    assert other.seen == len(ITEMS)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_the_size_of_parts_changes_nothing(tmp_path: Path, size: int) -> None:
    done = work.in_parts(ITEMS, Worker(), key="w-1", size=size, folder=tmp_path)
    assert done["y"].tolist() == [x**2 for x in range(7)]


def test_the_key_follows_inputs_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("a")
    base = work.key("w", [path], {"k": 1})
    assert work.key("w", [path], {"k": 1}) == base
    assert work.key("w", [path], {"k": 2}) != base
    path.write_text("b")
    assert work.key("w", [path], {"k": 1}) != base
