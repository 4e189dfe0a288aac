"""Line files: a zip reads as the folder does, nothing is extracted, no long line is held."""

import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.files import json_values, text_files

FILES = {"a/one.jsonl": b'{"k": "v"}\n', "two.jsonl": b'{"k": "w"}\n', "a/b/c.txt": b"text"}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def told(data: bytes) -> list[tuple[str, dict[str, object]]]:
    return list(text_files.json_lines(io.BytesIO(data), "f"))


def test_a_zip_reads_as_the_folder_does_and_leaves_nothing_behind(tmp_path: Path) -> None:
    real = folder(tmp_path / "real", FILES)
    packed = archive(tmp_path / "packed.zip", FILES)
    before = sorted(tmp_path.rglob("*"))
    with text_files.opened(real) as one, text_files.opened(packed) as two:
        assert one.names == two.names == tuple(sorted(FILES))
        for name in ("a/one.jsonl", "two.jsonl"):
            assert [r for _, r in one.json_lines(name)] == [r for _, r in two.json_lines(name)]
        assert one.text("a/b/c.txt", 4) == two.text("a/b/c.txt", 4) == "text"
    assert sorted(tmp_path.rglob("*")) == before


def test_hidden_files_are_no_members(tmp_path: Path) -> None:
    hidden = {".DS_Store": b"x", "__MACOSX/a/._one.jsonl": b"x", "a/.git/two.jsonl": b"x"}
    packed = archive(tmp_path / "packed.zip", {**FILES, **hidden})
    for path in (packed, folder(tmp_path / "real", {**FILES, **hidden})):
        with text_files.opened(path) as found:
            assert found.names == tuple(sorted(FILES))


@pytest.mark.parametrize("place", ["en", "deep/er/en"])
def test_a_link_to_a_folder_is_refused_since_dvc_does_not_look_into_it(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "real" / "en").mkdir(parents=True)
    (tmp_path / "real" / "en" / "P36.jsonl").write_text("{}")
    link = tmp_path / "patterns" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "real" / "en")
    message = f"{place}: expected a folder, got a link to one, whose changes DVC does not see"
    with pytest.raises(ValueError, match=message), text_files.opened(tmp_path / "patterns"):
        pass


def test_a_folder_that_is_itself_a_link_and_links_to_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "en").mkdir(parents=True)
    (tmp_path / "real" / "P36.jsonl").write_text('{"a": 1}')
    (tmp_path / "real" / "en" / "P36.jsonl").symlink_to(tmp_path / "real" / "P36.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with text_files.opened(tmp_path / "link") as folder:
        assert folder.names == ("P36.jsonl", "en/P36.jsonl")
        assert [row for _, row in folder.json_lines("en/P36.jsonl")] == [{"a": 1}]


def test_digests_are_the_archive_s_or_those_of_the_files_named(tmp_path: Path) -> None:
    packed = archive(tmp_path / "packed.zip", FILES)
    with text_files.opened(packed) as found:
        whole = hashlib.sha256(packed.read_bytes()).hexdigest()
        assert found.sha256(["two.jsonl"]) == {"packed.zip": whole}
    with text_files.opened(folder(tmp_path / "real", FILES)) as found:
        one = hashlib.sha256(FILES["two.jsonl"]).hexdigest()
        assert found.sha256(["two.jsonl"]) == {"two.jsonl": one}


def test_records_say_file_and_line_and_pass_over_blank_lines_and_the_mark() -> None:
    data = b'\xef\xbb\xbf{"a": 1}\r\n \t\r\n\n{"a": "\xe2\x80\xa8"}'
    assert told(data) == [("f, line 1", {"a": 1}), ("f, line 4", {"a": "\u2028"})]


def test_the_longest_line_is_read_and_one_byte_more_is_refused() -> None:
    longest = b'{"k": "' + b"x" * (text_files.MAX_LINE - 9) + b'"}'
    assert len(longest) == text_files.MAX_LINE
    assert len(told(longest)) == len(told(longest + b"\n")) == 1
    for data in (longest + b" ", longest + b" \n"):
        with pytest.raises(ValueError, match=r"f, line 1: expected at most 1048576 bytes"):
            told(data)


def test_a_line_of_a_gigabyte_never_gets_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out, out.open("x.jsonl", "w") as line:
        for _ in range(64):
            line.write(b" " * 2**20)
    tracemalloc.start()
    try:
        with (
            text_files.opened(path) as found,
            pytest.raises(ValueError, match=r"packed.zip: x.jsonl, line 1: expected at most"),
        ):
            list(found.json_lines("x.jsonl"))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_there_or_is_too_large_is_named(tmp_path: Path) -> None:
    with text_files.opened(folder(tmp_path / "real", FILES)) as found:
        with pytest.raises(ValueError, match=r"real/gone.txt: expected a file, found none"):
            found.text("gone.txt", 4)
        with pytest.raises(ValueError, match=r"real/a/b/c.txt: expected at most 3 bytes, got more"):
            found.text("a/b/c.txt", 3)


@pytest.mark.parametrize("name", ["P17", "a", "9", "country_capital-city.v2", "x" * 64])
def test_a_relation_s_name_is_kept(name: str) -> None:
    assert json_values.relation_name(name, "f") == name


@pytest.mark.parametrize("name", ["", "x" * 65, ".x", "-x", "_x", "a b", "a/b", "P17\n", "é", "٣"])
def test_a_relation_s_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^f, line 3: expected a relation's name"):
        json_values.relation_name(name, "f, line 3")


@settings(max_examples=100)
@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=40))
def test_a_value_is_shown_on_one_short_line(value: object) -> None:
    text = json_values.shown(value)
    assert len(text) <= 80
    assert text.isprintable()


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n")), min_size=1))
def test_lines_are_the_text_s_and_numbered_from_one(texts: list[str]) -> None:
    data = "".join(f"{text}\n" for text in texts).encode()
    found = list(text_files.lines(io.BytesIO(b"\xef\xbb\xbf" + data), "f"))
    assert found == [(n, f"{text}\n") for n, text in enumerate(texts, start=1)]
