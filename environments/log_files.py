"""The log files of an environment, read from their ends: they may be large, grow meanwhile, and be rotated.

A place in one is an inode and an offset, so that a reader goes on without gap or repeat when the file has been renamed
to "<name>.1" and begun anew.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PIECE = 256 * 1024  # bytes that are read at once
SEARCHED = 8 * 1024**2  # bytes from the end that a search looks through
FALLEN_BEHIND = 4 * 1024**2  # bytes that came meanwhile: who reads live is let skip them
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z_]+)?\Z")
_POSITION = re.compile(r"([0-9]{1,20})-([0-9]{1,17})\Z")


@dataclass(frozen=True)
class LogFile:
    name: str  # "access", or "<program>.<kind>"
    size: int
    changed: datetime

    @property
    def program(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def kind(self) -> str:
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Position:
    inode: int
    offset: int

    def __str__(self) -> str:
        return f"{self.inode}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        found = _POSITION.match(text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True)
class Piece:
    """Whole lines, and where the next one begins. `skipped`: bytes left out before them."""

    text: bytes
    first: int  # offset of the first line
    end: Position
    skipped: int = 0
    rotated: bool = False  # these are the first lines of a new file


def listed(folder: Path) -> list[LogFile]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            name, dot, ending = entry.name.rpartition(".")
            if dot and ending == "log" and _NAME.match(name) and entry.is_file(follow_symlinks=False):
                told = entry.stat(follow_symlinks=False)
                found.append(LogFile(name, told.st_size, datetime.fromtimestamp(told.st_mtime, UTC)))
    return sorted(found, key=lambda each: each.name)


def tail(folder: Path, name: str, size: int = PIECE) -> Piece | None:
    """The last lines; None when there is no such log."""
    with _opened(folder, name) as file:
        if file is None:
            return None
        told = os.fstat(file)
        start, text = _whole(file, max(0, told.st_size - size), told.st_size)
        return Piece(text, start, Position(told.st_ino, start + len(text)), skipped=start)


def before(folder: Path, name: str, offset: int, size: int = PIECE) -> Piece | None:
    """The lines that end at an offset of the file as it is now."""
    with _opened(folder, name) as file:
        if file is None:
            return None
        told = os.fstat(file)
        end = min(offset, told.st_size)
        start, text = _whole(file, max(0, end - size), end)
        return Piece(text, start, Position(told.st_ino, end), skipped=start)


def following(folder: Path, name: str, position: Position) -> Piece | None:
    """What came after a position; None when nothing did."""
    with _opened(folder, name) as file:
        if file is None:
            return None
        told = os.fstat(file)
        if told.st_ino == position.inode and told.st_size >= position.offset:
            return _from(file, told, position.offset)
        with _opened(folder, f"{name}.log.1", whole_name=True) as old:
            if old is not None and os.fstat(old).st_ino == position.inode:
                rest = _from(old, os.fstat(old), position.offset, ended=True)
                if rest is not None:
                    return rest
        fresh = _from(file, told, 0)
        if fresh is None:
            return Piece(b"", 0, Position(told.st_ino, 0), rotated=True)
        return Piece(fresh.text, fresh.first, fresh.end, fresh.skipped, rotated=True)


def pieces(folder: Path, name: str) -> Iterator[bytes]:
    """The whole log as it is now, older part first, in pieces of whole lines."""
    for whole in (f"{name}.log.1", f"{name}.log"):
        with _opened(folder, whole, whole_name=True) as file:
            size = os.fstat(file).st_size if file is not None else 0
            offset = 0
            while file is not None and offset < size:
                data = os.pread(file, min(PIECE, size - offset), offset)
                cut = data.rfind(b"\n") + 1 or len(data)
                yield data[:cut]
                offset += max(cut, 1)


def _from(file: int, told: os.stat_result, offset: int, *, ended: bool = False) -> Piece | None:
    skipped = 0
    if told.st_size - offset > FALLEN_BEHIND:
        skipped = told.st_size - offset - PIECE
        offset += skipped
    data = os.pread(file, PIECE, offset)
    if skipped:
        cut = data.find(b"\n") + 1
        data, offset, skipped = data[cut:], offset + cut, skipped + cut
    end = data.rfind(b"\n") + 1
    # A line without an end is waited for, unless nothing more can come or it is too long to wait for.
    if not end and (ended or len(data) == PIECE):
        end = len(data)
    return Piece(data[:end], offset, Position(told.st_ino, offset + end), skipped) if end else None


def _whole(file: int, start: int, end: int) -> tuple[int, bytes]:
    """The whole lines between two offsets, and where they begin."""
    data = os.pread(file, end - start, start)
    if start:
        cut = data.find(b"\n") + 1
        start, data = start + cut, data[cut:]
    return start, data[: data.rfind(b"\n") + 1]


@contextlib.contextmanager
def _opened(folder: Path, name: str, *, whole_name: bool = False) -> Iterator[int | None]:
    if not whole_name and not _NAME.match(name):
        yield None
        return
    try:
        file = os.open(folder / (name if whole_name else f"{name}.log"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield file if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)
