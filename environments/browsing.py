"""Looking into the folders of mounts, whose content belongs to strangers: nothing is opened through a link."""

import contextlib
import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.errors import Missing

PAGE = 1000  # entries
MOST = 200_000  # entries of a folder that are looked at
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Found:
    name: str  # as the file system has it: what is no UTF-8 is in surrogates
    kind: str  # "folder", "file", "link" or "other"
    size: int  # bytes
    changed: datetime


@dataclass(frozen=True)
class Listing:
    entries: list[Found]
    total: int  # entries of the folder; MOST when there are more
    page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


def listing(root: Path, below: str, path: str, page: int = 1) -> Listing:
    """One page of the folder `path` of the mount that lies at `below` in `root`. Raises Missing where there is none."""
    with _opened(root, f"{below}/{path}") as folder:
        names = _names(folder)
        begin = (page - 1) * PAGE
        # Only as much is sorted as comes up to this page.
        shown = heapq.nsmallest(begin + PAGE, names)[begin:]
        return Listing([each for each in (_look(folder, name) for name in shown) if each], len(names), page)


def _names(folder: int) -> list[str]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(names) >= MOST:
                break
            names.append(entry.name)
    return names


def _look(folder: int, name: str) -> Found | None:
    try:
        told = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    kinds = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(told.st_mode), "other")
    try:
        changed = datetime.fromtimestamp(told.st_mtime, UTC)
    except (OverflowError, ValueError, OSError):  # a time that the app has made up
        changed = datetime.fromtimestamp(0, UTC)
    return Found(name, kind, told.st_size if kind == "file" else 0, changed)


def measure(root: Path, below: str) -> tuple[int, int]:
    """(files, bytes on the disk) of a mount. Takes as long as the disk does."""
    files = size = 0
    try:
        with _opened(root, below) as folder:
            for _, _, names, here in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
                for name in names:
                    with contextlib.suppress(OSError):
                        size += os.stat(name, dir_fd=here, follow_symlinks=False).st_blocks * 512
                        files += 1
    except Missing:
        return 0, 0
    return files, size


@contextlib.contextmanager
def _opened(root: Path, relative: str) -> Iterator[int]:
    """A descriptor of the folder, to be read from."""
    missing = Missing("There is no such folder.")
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if ".." in parts or any("\0" in part for part in parts):
        raise missing
    try:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        raise missing from None
    try:
        for part in parts:
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
    except OSError:
        os.close(descriptor)
        raise missing from None
    os.close(descriptor)
    try:
        yield readable
    finally:
        os.close(readable)
