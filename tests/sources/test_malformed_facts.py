"""Malformed facts: each is refused in one sentence that says where, what, and what to do."""

import functools
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.files.text_files import MAX_LINE
from neuron_atlas.sources import lre, mlama
from neuron_atlas.sources import own as sources_own
from neuron_atlas.sources.raw import Raw

Read = Callable[[Path], object]
Case = tuple[Read, tuple[str, ...]]

OWN = {"relation": "r", "language": "en", "subject": "s", "object": "o"}
HEAD = b"relation,language,subject,object\n"
TUPLE = {"sub_uri": "Q1", "sub_label": "one", "obj_uri": "Q2", "obj_label": "two"}
PROMPT = {"relation": "P1", "template": "[X] in [Y]"}
SAMPLES = [{"subject": "a", "object": "b"}]
LRE = {"prompt_templates": ["{} is"], "samples": SAMPLES}


def row(base: dict[str, object] | dict[str, str], **changes: object) -> bytes:
    """Return a line; a value of `...` leaves its key out."""
    kept = {k: v for k, v in {**base, **changes}.items() if v is not ...}
    return json.dumps(kept).encode() + b"\n"


GOOD = {"m/en/templates.jsonl": row(PROMPT), "m/en/P1.jsonl": row(TUPLE) * 2}


def own(data: bytes, name: str = "own.jsonl") -> Read:
    def read(folder: Path) -> Raw:
        (folder / name).write_bytes(data)
        return sources_own.read(folder / name, "en", None)

    return read


def comma(data: bytes) -> Read:
    return own(data, "own.csv")


def tree(files: dict[str, bytes], reader: Callable[..., object] = mlama.read) -> Read:
    def read(folder: Path) -> object:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return reader(folder, "en", None)

    return read


def facts(data: bytes) -> Read:
    return tree({**GOOD, "m/en/P1.jsonl": data})


def prompts(data: bytes) -> Read:
    return tree({**GOOD, "m/en/templates.jsonl": data})


def linear(data: bytes) -> Read:
    return tree({"factual/r.json": data}, lre.read)


def sample(value: object) -> Read:
    return linear(json.dumps({**LRE, "samples": [*SAMPLES, value]}).encode())


def prompt(*values: object) -> Read:
    return linear(json.dumps({**LRE, "prompt_templates": values}).encode())


def patterns(files: dict[str, bytes]) -> Read:
    return tree(files, mlama.read_patterns)


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


def zipped(data: bytes) -> Read:
    def read(folder: Path) -> Raw:
        (folder / "facts.zip").write_bytes(data)
        return mlama.read(folder / "facts.zip", "en", None)

    return read


def member(name: str) -> Read:
    return zipped(archive({**GOOD, name: b"x"}))


def flagged() -> bytes:
    """Return an archive whose first file says that it is encrypted."""
    data = bytearray(archive(GOOD))
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def twice() -> bytes:
    return archive({**GOOD, "m/en/P2.jsonl": b""}).replace(b"P2.jsonl", b"P1.jsonl")


def miscounted() -> bytes:
    """Return an archive of stored files, one of whose bytes changed since it was packed."""
    return archive(GOOD, zipfile.ZIP_STORED).replace(b'"two"', b'"six"', 1)


DEEP = b"[" * 200_000
LONG = row(OWN) + b'{"relation": "' + b"r" * MAX_LINE + b'"}\n'

CASES: dict[str, Case] = {
    # any JSON Lines file
    "no file": (
        lambda f: sources_own.read(f / "own.jsonl", "en", None),
        ("own.jsonl: ", "no file"),
    ),
    "another kind": (own(row(OWN), "own.tsv"), ("own.tsv: expected a .jsonl or .csv",)),
    "empty": (own(b""), ("own.jsonl: expected at least one record, got none",)),
    "only blank lines": (own(b"\n \n\r\n"), ("own.jsonl: expected at least one record",)),
    "not UTF-8": (own(row(OWN) + b'{"\xff'), ("own.jsonl, line 2: expected UTF-8", "0xff")),
    "UTF-16": (own("{}".encode("utf-16")), ("own.jsonl, line 1: expected UTF-8", "0xff")),
    "long line": (own(LONG), ("own.jsonl, line 2: expected at most 1048576 bytes",)),
    "not JSON": (own(row(OWN) + b"\nr,en,s,o\n"), ("own.jsonl, line 3: expected JSON", "'r,en")),
    "cut short": (own(row(OWN)[:-9]), ("own.jsonl, line 1: expected JSON", "Unterminated")),
    "two objects": (own(b"{} {}"), ("own.jsonl, line 1: expected JSON", "Extra data at column 4")),
    "single quotes": (own(b"{'a': 1}"), ("own.jsonl, line 1: expected JSON", "double quotes")),
    "deep": (own(DEEP), ("own.jsonl, line 1: expected JSON", "recursion")),
    "deep value": (
        own(row(OWN)[:-2] + b', "object_label": ' + b"[" * 500 + b"]" * 500 + b"}"),
        ("own.jsonl, line 1: expected text in 'object_label', got [[[...]]]",),
    ),
    "long number": (own(b'{"a": ' + b"9" * 5000 + b"}"), ("own.jsonl, line 1: ", "4300 digits")),
    "NaN": (own(b'{"a": NaN}'), ("own.jsonl, line 1: expected JSON", "NaN is not JSON")),
    "infinity": (own(b'{"a": -Infinity}'), ("line 1: expected JSON", "-Infinity is not JSON")),
    "list": (own(b"[1, 2]"), ("own.jsonl, line 1: expected a JSON object, got [1, 2]",)),
    "number": (own(b"7"), ("own.jsonl, line 1: expected a JSON object, got 7",)),
    "string": (own(b'"r"'), ("own.jsonl, line 1: expected a JSON object, got 'r'",)),
    "null": (own(b"null"), ("own.jsonl, line 1: expected a JSON object, got None",)),
    "key missing": (own(row(OWN, object=...)), ("line 1: expected 'object', got ['relation'",)),
    "id is a number": (own(row(OWN, subject=7)), ("line 1: expected text in 'subject', got 7",)),
    "id is null": (own(row(OWN, subject=None)), ("line 1: expected text in 'subject', got None",)),
    "label is a list": (own(row(OWN, object_label=["a"])), ("text in 'object_label', got ['a']",)),
    "half a pair": (own(row(OWN, subject="\ud800")), ("line 1: expected text in 'subject'",)),
    "half in a label": (own(row(OWN, subject_label="x\udfff")), ("text in 'subject_label'",)),
    "empty id": (own(row(OWN, object="")), ("line 1: expected 'object' to be filled, got ''",)),
    "blank id": (own(row(OWN, subject=" \n")), ("'subject' to be filled, got ' \\n'; fill it",)),
    "empty language": (own(row(OWN) + row(OWN, language="")), ("line 2: expected 'language' to",)),
    "empty relation": (own(row(OWN, relation="")), ("line 1: expected 'relation' to be filled",)),
    "relation's name": (own(row(OWN, relation="../r")), ("line 1: expected a relation", "'../r'")),
    "other language": (own(row(OWN) + row(OWN, language="de", object=1)), ("own.jsonl, line 2: ",)),
    "no such language": (own(row(OWN, language="de")), ("one of the languages de, got 'en'",)),
    # CSV
    "csv empty": (comma(b""), ("own.csv: expected a header", "missing ['relation', 'language',")),
    "csv header only": (comma(HEAD), ("own.csv: expected at least one record",)),
    "csv column missing": (
        comma(b"\nrelation,subject,object\nr,s,o\n"),
        ("line 2: expected a header", "missing ['language']"),
    ),
    "csv column doubled": (
        comma(HEAD[:-1] + b",object\n"),
        ("own.csv, line 1: ", "doubled ['object']"),
    ),
    "csv semicolons": (comma(HEAD.replace(b",", b";")), ("own.csv, line 1: expected a header",)),
    "csv too few": (
        comma(HEAD + b"r,en,s,o\n\nr,en,s\n"),
        ("own.csv, line 4: expected 4 fields", "got 3"),
    ),
    "csv too many": (
        comma(HEAD + b"r,en,s,o,x\n"),
        ("own.csv, line 2: expected 4 fields", "got 5"),
    ),
    "csv open quote": (
        comma(HEAD + b'r,en,"s,o\nr,en,s,o\n'),
        ("own.csv, line 2: expected CSV", "unexpected end"),
    ),
    "csv bare quote": (comma(HEAD + b'r,en,"s"s,o\n'), ("own.csv, line 2: expected CSV",)),
    "csv after a long record": (
        comma(HEAD + b'r,en,"s\n\n",o\nr,en,,o\n'),
        ("own.csv, line 5: expected 'subject'",),
    ),
    "csv not UTF-8": (comma(HEAD + b"r,en,\xe9,o\n"), ("own.csv, line 2: expected UTF-8", "0xe9")),
    "csv long line": (
        comma(HEAD + b"r,en,s," + b"o" * MAX_LINE),
        ("own.csv, line 2: expected at most",),
    ),
    "csv long field": (
        comma(HEAD + b'r,en,s,"' + (b"o" * 999 + b"\n") * 1100),
        ("own.csv, line 2: expected CSV", "limit (1048576)"),
    ),
    "csv lone returns": (comma(HEAD + b"r,en,s,o\rr,en,s,o\r"), ("own.csv, line 2: expected CSV",)),
    # mLAMA
    "mlama nothing": (
        lambda f: mlama.read(f / "gone", "en", None),
        ("gone: expected a folder or a zip",),
    ),
    "mlama empty folder": (tree({}), (": expected files <language>/templates.jsonl", "found none")),
    "mlama language's folder": (
        tree({"templates.jsonl": row(PROMPT), "P1.jsonl": row(TUPLE)}),
        ("found none; give the folder",),
    ),
    "mlama no tuples": (
        tree({"en/templates.jsonl": row(PROMPT)}),
        ("<language>/<relation>.jsonl", "found none"),
    ),
    "mlama no such language": (
        tree({n.replace("en", "de"): d for n, d in GOOD.items()}),
        ("languages de, got 'en'",),
    ),
    "mlama empty file": (facts(b"\n"), ("P1.jsonl: expected at least one record",)),
    "mlama key missing": (
        facts(row(TUPLE) + row(TUPLE, obj_label=...)),
        ("P1.jsonl, line 2: expected 'obj_label'",),
    ),
    "mlama empty id": (
        facts(row(TUPLE, sub_uri="")),
        ("P1.jsonl, line 1: expected 'sub_uri' to be filled",),
    ),
    "mlama label": (
        facts(row(TUPLE, sub_label=3)),
        ("P1.jsonl, line 1: expected text in 'sub_label', got 3",),
    ),
    "mlama file's name": (
        tree({**GOOD, "m/en/P 1.jsonl": row(TUPLE)}),
        ("en/P 1.jsonl: expected a relation",),
    ),
    "mlama file's name, line": (
        tree({**GOOD, "m/en/P\n1.jsonl": row(TUPLE)}),
        (r"P\n1.jsonl", "expected a relation"),
    ),
    "mlama template's relation": (
        prompts(row(PROMPT, relation="P/1")),
        ("templates.jsonl, line 1: ", "'P/1'"),
    ),
    "mlama template's brace": (
        prompts(row(PROMPT) + row(PROMPT, template="{[X]} [Y]")),
        ("templates.jsonl, line 2: expected no brace",),
    ),
    "mlama template blank": (
        prompts(row(PROMPT, template=" ")),
        ("line 1: expected 'template' to be filled",),
    ),
    "mlama template missing": (
        prompts(row(PROMPT, template=...)),
        ("line 1: expected 'template'",),
    ),
    # mParaRel
    "pararel empty": (patterns({"en/readme.txt": b"x"}), ("<language>/*.jsonl", "found none")),
    "pararel key": (
        patterns({"en/P1.jsonl": row(PROMPT)}),
        ("P1.jsonl, line 1: expected 'pattern'",),
    ),
    "pararel brace": (
        patterns({"en/P1.jsonl": b'{"pattern": "[X] }"}'}),
        ("P1.jsonl, line 1: expected no brace",),
    ),
    "pararel name": (
        patterns({"en/P 1.jsonl": b'{"pattern": "[X]"}'}),
        ("P 1.jsonl: expected a relation",),
    ),
    # LRE
    "lre nothing": (
        tree({"r.txt": b""}, lre.read),
        (": expected files <relation>.json, found none",),
    ),
    "lre twice": (
        tree({"a/r.json": b"", "b/r.json": b""}, lre.read),
        ("b/r.json: expected one file per relation, got 'a/r.json'",),
    ),
    "lre name": (
        tree({"a/r s.json": b""}, lre.read),
        ("r s.json: expected a relation's name", "'r s'"),
    ),
    "lre not JSON": (
        linear(b'{\n"samples": [\n}'),
        ("r.json, line 3: expected JSON", "Expecting value at column 1"),
    ),
    "lre not UTF-8": (linear(b"{\n\n\xff"), ("r.json, line 3: expected UTF-8",)),
    "lre empty": (linear(b""), ("r.json, line 1: expected JSON",)),
    "lre list": (linear(b"[]"), ("r.json: expected a JSON object, got []",)),
    "lre no samples": (
        linear(b'{"prompt_templates": ["{}"]}'),
        ("r.json: expected 'samples'", "no such key"),
    ),
    "lre samples empty": (
        linear(row(LRE, samples=[])),
        ("r.json: expected 'samples' to be a filled list, got []",),
    ),
    "lre sample a list": (sample(["a", "b"]), ("r.json, sample 2: expected a JSON object",)),
    "lre object missing": (sample({"subject": "a"}), ("r.json, sample 2: expected 'object'",)),
    "lre object none": (
        sample({"subject": "a", "object": []}),
        ("r.json, sample 2: expected 'object' to be a filled",),
    ),
    "lre object blank": (
        sample({"subject": "a", "object": ["b", " "]}),
        ("sample 2: expected 'object' to be filled",),
    ),
    "lre subject a number": (
        sample({"subject": 1, "object": "b"}),
        ("sample 2: expected text in 'subject', got 1",),
    ),
    "lre template a number": (prompt("{} is", 3), ("r.json: expected text in 'template', got 3",)),
    "lre template's brace": (
        prompt("{x} is"),
        ("r.json: expected {} and no other brace, got '{x} is'",),
    ),
    "lre templates a text": (
        linear(row(LRE, prompt_templates="{}")),
        ("r.json: expected 'prompt_templates' to be",),
    ),
    # archives
    "zip of nothing": (zipped(b""), ("facts.zip: expected a readable file, got BadZipFile",)),
    "zip is text": (zipped(row(TUPLE)), ("facts.zip: expected a readable file", "not a zip file")),
    "zip cut": (
        zipped(archive(GOOD)[:-30]),
        ("facts.zip: expected a readable file", "fetch it again"),
    ),
    "zip changed": (zipped(miscounted()), ("facts.zip: m/en/P1.jsonl: expected", "Bad CRC-32")),
    "zip encrypted": (
        zipped(flagged()),
        ("facts.zip: m/en/templates.jsonl: expected no password",),
    ),
    "zip names one twice": (
        zipped(twice()),
        ("facts.zip: m/en/P1.jsonl: expected each name once",),
    ),
    "zip absolute": (member("/etc/passwd"), ("facts.zip: /etc/passwd: expected a name inside",)),
    "zip leaves": (member("m/../../x"), ("facts.zip: m/../../x: expected a name inside",)),
    "zip ends above": (member("m/.."), ("facts.zip: m/..: expected a name inside",)),
    "zip backslash": (member("m\\x"), ("facts.zip: m\\x: expected a name inside",)),
    "zip drive": (member("C:x"), ("facts.zip: C:x: expected a name inside",)),
    "zip line": (
        zipped(archive({**GOOD, "m/en/P1.jsonl": b"\n1"})),
        ("facts.zip: m/en/P1.jsonl, line 2: expected a JSON object",),
    ),
    "zip long name": (
        member(f"../{'x' * 9000}\n"),
        ("facts.zip: '../xxx", "expected a name inside"),
    ),
}


def refusal(read: Read, folder: Path) -> str:
    with pytest.raises(ValueError, match=str(folder)) as caught:
        read(folder)
    message = str(caught.value)
    assert len(message) < 600
    assert "\n" not in message
    return message


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_input_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    read, reasons = CASES[case]
    message = refusal(read, tmp_path)
    for reason in reasons:
        assert reason in message


@pytest.mark.parametrize(
    ("read", "rows"),
    [
        (own(row(OWN)), 1),
        (comma(HEAD + b"r,en,s,o\n"), 1),
        (tree(GOOD), 2),
        (zipped(archive(GOOD)), 2),
        (member("m/x..y"), 2),
        (sample(SAMPLES[0]), 2),
    ],
)
def test_what_the_table_starts_from_is_read(read: Read, rows: int, tmp_path: Path) -> None:
    """Positive control: without its fault, each kind of input is accepted."""
    found = read(tmp_path)
    assert isinstance(found, Raw)
    assert len(found.table) == rows


def raw_or_refusal(read: Read, folder: Path) -> Raw | None:
    """Return what was read, or None where one sentence named a file: nothing else may happen."""
    try:
        found = read(folder)
    except ValueError as error:
        message = str(error)
    else:
        return writable(found, folder)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return None


def writable(found: object, folder: Path) -> Raw:
    """Return what was read; text that UTF-8 cannot hold would not get into a table's file."""
    assert isinstance(found, Raw)
    found.table.to_parquet(folder / "table.parquet")
    (folder / "table.parquet").unlink()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def almost(*parts: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, and such as are put together from pieces of what is expected."""
    pieces = st.lists(st.sampled_from(parts) | st.binary(max_size=3), max_size=12).map(b"".join)
    return st.binary(max_size=60) | pieces


quick = settings(max_examples=150)
JSON = (b"{", b"}", b'"', b"[", b"]", b",", b":", b"\n", b"\r", b"\xef\xbb\xbf", b"\\ud800", b"\0")


@quick
@given(almost(*JSON, row(OWN), row(OWN)[:-2], b'"subject": ', b"NaN", b"1e999"))
def test_any_bytes_as_json_lines(folder: Path, data: bytes) -> None:
    raw_or_refusal(own(data), folder)


@quick
@given(almost(HEAD, b"r,en,s,o\n", b'"', b",", b"\n", b"\r", b"\r\n", b'r,"en",s,"', b"\0"))
def test_any_bytes_as_csv(folder: Path, data: bytes) -> None:
    raw_or_refusal(comma(data), folder)
    raw_or_refusal(comma(HEAD + data), folder)


@quick
@given(almost(*JSON, b'"samples": ', b'"prompt_templates": ', b'["{}"]', row(SAMPLES[0]), row(LRE)))
def test_any_bytes_as_an_lre_file(folder: Path, data: bytes) -> None:
    raw_or_refusal(linear(data), folder)


SMALL = archive(GOOD)
STORED = archive(GOOD, zipfile.ZIP_STORED)


@quick
@given(
    almost(SMALL, b"PK\3\4", b"PK\1\2", SMALL[SMALL.index(b"PK\5\6") :], SMALL[:40], SMALL[-90:])
)
def test_any_bytes_as_a_zip(folder: Path, data: bytes) -> None:
    raw_or_refusal(zipped(data), folder)


@functools.cache
def expected(folder: Path) -> Raw:
    found = raw_or_refusal(zipped(SMALL), folder)
    assert found is not None
    return found


@pytest.mark.parametrize("data", [SMALL, STORED])
def test_an_archive_cut_anywhere_is_refused(folder: Path, data: bytes) -> None:
    for end in range(0, len(data), 3):
        assert raw_or_refusal(zipped(data[:end]), folder) is None
    assert raw_or_refusal(zipped(data[:-1]), folder) is None


@quick
@given(
    data=st.sampled_from([SMALL, STORED]),
    at=st.floats(0, 1, exclude_max=True),
    flip=st.integers(1, 255),
)
def test_an_archive_with_one_byte_changed_is_refused_or_reads_the_same(
    folder: Path, data: bytes, at: float, flip: int
) -> None:
    """A change must never go unnoticed, as a file passed over or as another label."""
    changed = bytearray(data)
    changed[int(at * len(data))] ^= flip
    found = raw_or_refusal(zipped(bytes(changed)), folder)
    if found is not None:
        pd.testing.assert_frame_equal(found.table, expected(folder).table)
        assert found.templates == expected(folder).templates


TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ['[X] "a"\n', "{subject}", "\\", "\0"]
)


@quick
@given(labels=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), ascii_only=st.booleans())
def test_any_labels_survive(folder: Path, labels: list[tuple[str, str]], ascii_only: bool) -> None:
    rows = [{**TUPLE, "sub_label": s, "obj_label": o} for s, o in labels]
    data = "\n".join(json.dumps(r, ensure_ascii=ascii_only) for r in rows).encode()
    found = mlama.read(zip_of({**GOOD, "m/en/P1.jsonl": data}, folder), "en", None).table
    assert list(zip(found["subject_label"], found["object_label"], strict=True)) == labels


def zip_of(files: dict[str, bytes], folder: Path) -> Path:
    (folder / "labels.zip").write_bytes(archive(files))
    return folder / "labels.zip"
