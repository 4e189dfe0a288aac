"""A first look at a file of one's own, before a model is fetched: are there two relations?"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from io import BufferedIOBase
from pathlib import Path

from neuron_atlas.files import delimited, text_files
from neuron_atlas.files.delimited import Row

REQUIRED = ("relation", "language", "subject", "object")
WHY = (
    "at least two relations are needed, since the neurons of one are told by comparing it with "
    "others"
)


def rows(path: Path) -> Generator[Row, None, None]:
    """Yield the file and line, and the values by column, of each row of a `.jsonl` or `.csv` file.

    Raises:
        ValueError: the file is of another kind, or a line is malformed.
    """
    readers: dict[str, Callable[[BufferedIOBase, str], Iterator[Row]]] = {
        ".jsonl": text_files.json_lines,
        ".csv": partial(delimited.rows, required=REQUIRED),
    }
    if not path.is_file() or path.suffix.lower() not in readers:
        found = "another name" if path.is_file() else "no file"
        raise ValueError(f"{path}: expected a .jsonl or .csv file, found {found}; check the path")
    with text_files.Folder(path.parent, (path.name,)).open(path.name) as stream:
        yield from readers[path.suffix.lower()](stream, str(path))


def require_two_relations(path: Path) -> None:
    """Require a file to have two relations; it is read until the second comes.

    Raises:
        ValueError: it has one, or cannot be read so far.
    """
    found = set[str]()
    for _, row in rows(path):
        found.add(str(row.get("relation")).strip())
        if len(found) == 2:
            return
    raise ValueError(f"facts.path {path} has one relation, {found.pop()!r}; {WHY}; add another")
