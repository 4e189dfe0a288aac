"""Files are written whole or not at all, the same each time, and read with clear errors."""

from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from neuron_atlas.pipeline import store

TABLE = pd.DataFrame({"fact": ["r:1", "r:2"], "rank": [1, 2], "objects": [["a"], ["b", "c"]]})


def half_written(opened: AbstractContextManager[Path], name: str = "") -> None:
    """Write something, then fail."""
    with opened as temporary:
        (temporary / name).write_text("half")
        raise RuntimeError("stop")


def test_a_block_that_ends_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with store.atomic(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == path.parent  # the same file system: a rename is atomic
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_raises_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        half_written(store.atomic(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="stop"):
        half_written(store.whole(out), "a")
    assert list(tmp_path.iterdir()) == []
    with store.whole(out) as folder:
        (folder / "a").write_text("all")
        assert not out.exists()
    assert list(tmp_path.iterdir()) == [out]
    assert (out / "a").read_text() == "all"
    assert out.stat().st_mode & 0o777 == 0o755
    with pytest.raises(ValueError, match="exists already"), store.whole(out):
        pass


def test_a_table_comes_back_and_its_bytes_are_always_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.write_table(tmp_path / name, TABLE.copy())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = store.read_table(tmp_path / "a")
    assert found.assign(objects=[list(x) for x in found["objects"]]).equals(TABLE)
    store.write_table(tmp_path / "b", TABLE.assign(rank=[1, 3]))
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()  # positive control


def test_the_bytes_do_not_depend_on_how_the_rows_came_about(tmp_path: Path) -> None:
    store.write_table(tmp_path / "a", TABLE)
    doubled = pd.concat([TABLE, TABLE]).iloc[[2, 3]]  # another index, the same rows
    store.write_table(tmp_path / "b", doubled)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_columns_are_selected_in_the_asked_order_or_missed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    store.write_table(path, TABLE)
    assert list(store.read_table(path, ["rank", "fact"]).columns) == ["rank", "fact"]
    with pytest.raises(ValueError, match=r"lacks the columns \['score'\]; it has \['fact', 'obj"):
        store.read_table(path, ["fact", "score"])
    with pytest.raises(ValueError, match=r"none.parquet does not exist; run `dvc repro`"):
        store.read_table(tmp_path / "none.parquet")


def test_json_comes_back_sorted_readable_and_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    store.write_json(path, {"b": 1, "a": {"é": [0.1, None]}})
    assert path.read_text(encoding="utf-8").startswith('{\n  "a": {\n    "é"')
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert store.read_json(path) == {"a": {"é": [0.1, None]}, "b": 1}
    store.write_json(tmp_path / "b.json", {"a": {"é": [0.1, None]}, "b": 1})
    assert path.read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_and_the_old_file_stays(
    tmp_path: Path, value: float
) -> None:
    path = tmp_path / "a.json"
    store.write_json(path, {"x": 1.0})
    with pytest.raises(ValueError, match=r"JSON compliant"):
        store.write_json(path, {"x": value})
    assert store.read_json(path) == {"x": 1.0}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[1]", "expected a JSON object, got list"),
    ],
)
def test_what_is_not_a_json_object_is_an_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.json.*{message}"):
        store.read_json(path)
    with pytest.raises(ValueError, match="does not exist; run `dvc repro`"):
        store.read_json(tmp_path / "none.json")


def test_a_join_finds_its_languages_and_drops_stale_ones(tmp_path: Path) -> None:
    for name in ("en.parquet", "fr.parquet", "zz.parquet", ".gitignore"):
        (tmp_path / name).write_text("x")
    (tmp_path / "old").mkdir()
    found = store.by_language(tmp_path, ("fr", "en"), suffix=".parquet")
    assert list(found.items()) == [(c, tmp_path / f"{c}.parquet") for c in ("fr", "en")]
    assert {p.name for p in tmp_path.iterdir()} == {"en.parquet", "fr.parquet", ".gitignore"}


def test_a_join_fails_loudly_and_deletes_nothing_when_a_language_is_missing(
    tmp_path: Path,
) -> None:
    for name in ("en", "zz"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"missing .*/fr; run `dvc repro`"):
        store.by_language(tmp_path, ("en", "fr"))
    assert {p.name for p in tmp_path.iterdir()} == {"en", "zz"}


def test_what_a_killed_run_left_is_not_taken_over(tmp_path: Path) -> None:
    out, left = tmp_path / "out", tmp_path / ".out.part"
    left.mkdir()
    (left / "half").write_text("half")
    with store.whole(out) as folder:
        (folder / "a").write_text("all")
    assert [path.name for path in out.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("same", [True, False])
def test_a_finished_folder_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """On the same file system it is renamed; on another it is copied."""
    folder, out = tmp_path / "work", tmp_path / "data" / "out"
    folder.mkdir()
    (folder / "a").write_text("all")
    if not same:
        monkeypatch.setattr(store, "_on_one_disk", lambda *_: False)
    store.move(folder, out)
    assert (out / "a").read_text() == "all"
    assert folder.exists() != same
    assert list(out.parent.iterdir()) == [out]
