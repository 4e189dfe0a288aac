"""Read text files of a folder or a zip archive, which is never extracted; errors are one line."""

import hashlib
import io
import itertools
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from neuron_atlas.files.json_values import mapping, parsed, printable, shown

T = TypeVar("T")
MAX_LINE = 2**20  # bytes, without the line ending
MAX_UNPACKED = 2**30  # bytes of all files of an archive
_BOM = b"\xef\xbb\xbf"
_OUTSIDE = re.compile(r"/|[A-Za-z]:|(.*/)?\.\.(/|$)|.*[\\\0]", re.DOTALL)
_PACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
_DAMAGE = (*_PACKING, EOFError, OSError, OverflowError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Folder:
    """A folder or a zip archive, for reading only.

    Attributes:
        path: The folder, or the archive.
        names: Its files at any depth, relative, with forward slashes, sorted; no hidden ones.
        archive: The open archive; None for a folder.
    """

    path: Path
    names: tuple[str, ...]
    archive: zipfile.ZipFile | None = None

    def where(self, name: str) -> str:
        """Return a file's name in error messages."""
        return (
            f"{self.path}: {printable(name)}" if self.archive else str(self.path / printable(name))
        )

    @contextmanager
    def open(self, name: str) -> Iterator[io.BufferedIOBase]:
        """Yield a file's bytes as a buffered stream.

        Raises:
            ValueError: there is no such file, or it cannot be opened.
        """
        if name not in self.names:
            raise ValueError(f"{self.where(name)}: expected a file, found none; restore it")
        raw = _tried(partial(self._raw, name), self.where(name))
        with io.BufferedReader(cast(io.RawIOBase, raw), 2**16) as stream:
            yield stream

    def _raw(self, name: str) -> io.IOBase:
        if self.archive:
            return cast(io.IOBase, self.archive.open(name))
        return (self.path / name).open("rb", buffering=0)

    def json_lines(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield a JSON Lines file's objects, as the function `json_lines` does."""
        with self.open(name) as stream:
            yield from json_lines(stream, self.where(name))

    def text(self, name: str, limit: int) -> str:
        """Return a whole file of at most `limit` bytes, without its byte-order mark.

        Raises:
            ValueError: it is larger, cannot be read, or is not UTF-8.
        """
        where = self.where(name)
        with self.open(name) as stream:
            data = _tried(partial(stream.read, limit + 1), where)
        if len(data) > limit:
            raise ValueError(f"{where}: expected at most {limit} bytes, got more; split the file")
        return _decoded(data.removeprefix(_BOM), where)

    def sha256(self, names: Iterable[str]) -> dict[str, str]:
        """Return SHA-256 by file name: of the archive itself, or of each of a folder's `names`."""
        if self.archive:
            return {self.path.name: sha256(self.path)}
        return {name: sha256(self.path / name) for name in names}


def sha256(path: Path) -> str:
    """Return a file's SHA-256, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Yield a folder or a zip archive as a `Folder`.

    Raises:
        ValueError: `path` is neither, a folder in it is a link, or the archive is damaged, is
            encrypted, unpacks to more than `MAX_UNPACKED`, names a file twice or names a file
            outside itself.
    """
    if path.is_dir():
        yield Folder(path, _visible(_files(path)))
        return
    if not path.is_file():
        raise ValueError(f"{path}: expected a folder or a zip archive, found none; check the path")
    with _tried(partial(zipfile.ZipFile, path), str(path)) as archive:
        _check_members(archive, path)
        yield Folder(path, _visible(n for n in archive.namelist() if not n.endswith("/")), archive)


def _files(path: Path) -> Iterator[str]:
    for folder, inner, names in os.walk(path):
        _refuse_links(Path(folder), inner)
        yield from ((Path(folder) / name).relative_to(path).as_posix() for name in names)


def _refuse_links(folder: Path, inner: Iterable[str]) -> None:
    """Refuse links to folders, into which DVC does not look: a change there would go unseen."""
    for name in inner:
        if (folder / name).is_symlink() and not name.startswith("."):
            raise ValueError(
                f"{folder / printable(name)}: expected a folder, got a link to one, whose changes "
                "DVC does not see; copy the folder here, or name the one it leads to"
            )


def _visible(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, sorted, without what systems add: `.DS_Store`, `__MACOSX/._name`."""
    return tuple(sorted(n for n in names if not re.search(r"(^|/)\.[^/]", n)))


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    # zipfile reads no more of a file than its stated size: the sum bounds what is read.
    if (size := sum(info.file_size for info in archive.infolist())) > MAX_UNPACKED:
        raise ValueError(
            f"{path}: expected at most {MAX_UNPACKED} bytes when unpacked, got {size}; unpack what "
            "you need of it and name the folder"
        )
    seen: set[str] = set()
    for info in archive.infolist():
        where = f"{path}: {printable(info.orig_filename)}"
        if _OUTSIDE.match(info.orig_filename):
            raise ValueError(f"{where}: expected a name inside the archive; pack it again")
        if info.flag_bits & 1:
            raise ValueError(f"{where}: expected no password, got an encrypted file; pack it again")
        if info.filename in seen:
            raise ValueError(f"{where}: expected each name once, got it twice; pack it again")
        seen.add(info.filename)
        # Opening compares the two copies of the name: if one is damaged, a file would be missed.
        _tried(partial(archive.open, info), where).close()


def _tried(action: Callable[[], T], where: str) -> T:
    try:
        return action()
    except _DAMAGE as error:
        raise ValueError(
            f"{where}: expected a readable file, got {type(error).__name__} {shown(str(error))}; "
            "fetch it again"
        ) from error


def lines(stream: io.BufferedIOBase, where: str) -> Iterator[tuple[int, str]]:
    """Yield each line's number, from 1, and its text with its ending, without a byte-order mark.

    Raises:
        ValueError: a line is longer than `MAX_LINE` or not UTF-8, or the stream is damaged.
    """
    read = partial(stream.readline, MAX_LINE + 1)
    for number in itertools.count(1):
        line = _tried(read, where)
        if not line:
            return
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            raise ValueError(
                f"{where}, line {number}: expected at most {MAX_LINE} bytes, got a longer line; "
                "write one record per line"
            )
        yield number, _decoded(line.removeprefix(_BOM) if number == 1 else line, where, number)


def _decoded(data: bytes, where: str, first: int = 1) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first + data.count(b"\n", 0, error.start)
        raise ValueError(
            f"{where}, line {line}: expected UTF-8, got the byte 0x{data[error.start]:02x}; "
            "save the file as UTF-8"
        ) from error


def json_lines(stream: io.BufferedIOBase, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file and line, and the object, of each line of a JSON Lines file that is not blank.

    Raises:
        ValueError: a line is not a JSON object, or no line has one.
    """
    here = ""
    for number, line in lines(stream, where):
        if text := line.strip():
            here = f"{where}, line {number}"
            yield here, mapping(parsed(text, where, number), here)
    if not here:
        raise ValueError(f"{where}: expected at least one record, got none; fill the file")
