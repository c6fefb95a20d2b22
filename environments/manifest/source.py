"""Where configuration files are read from: a Git tree (implemented with the repositories), a folder, a dictionary."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from .problems import ManifestError, Problem

MAX_FILE_BYTES = 1024 * 1024
MAX_FILES = 128


class Source(Protocol):
    """Paths are relative to the root of the repository, with forward slashes."""

    def read(self, path: str) -> bytes | None:
        """The file's content, or None when there is none.

        Raises ManifestError for a symbolic link and for a file over MAX_FILE_BYTES.
        """
        ...

    def files(self) -> Iterable[str]:
        """All paths of the tree that are not directories."""
        ...


def too_large(path: str, size: int) -> ManifestError:
    return ManifestError(
        [Problem(path, None, "", f"The file has {size} bytes, too many for a configuration file.", "up to 1 MiB")]
    )


def is_a_link(path: str) -> ManifestError:
    message = "This is a symbolic link, which is not followed. Commit the file itself."
    return ManifestError([Problem(path, None, "", message)])


class DictSource:
    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}

    def read(self, path: str) -> bytes | None:
        data = self._files.get(path)
        if data is not None and len(data) > MAX_FILE_BYTES:
            raise too_large(path, len(data))
        return data

    def files(self) -> Iterable[str]:
        return self._files.keys()


class FolderSource:
    """A checked-out tree. Every component is opened without following links, so nothing outside the folder is read,
    not even when a link is put in place while we read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> bytes | None:
        parts = path.split("/")
        if path.startswith("/") or any(part in ("", ".", "..", ".git") or "\0" in part for part in parts):
            return None
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for part in parts[:-1]:
                opened.append(self._open(part, os.O_DIRECTORY, opened[-1], path))
            opened.append(self._open(parts[-1], os.O_NONBLOCK, opened[-1], path))
            return self._content(opened[-1], path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ManifestError([Problem(path, None, "", f"The file cannot be read: {error.strerror}.")]) from error
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def files(self) -> Iterator[str]:
        for folder, directories, names in os.walk(self._root):
            if ".git" in directories:
                directories.remove(".git")
            prefix = Path(folder).relative_to(self._root).as_posix()
            links = [name for name in directories if os.path.islink(os.path.join(folder, name))]
            for name in [*names, *links]:
                yield name if prefix == "." else f"{prefix}/{name}"

    @staticmethod
    def _open(name: str, flags: int, parent: int, path: str) -> int:
        details = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(details.st_mode):
            raise is_a_link(path)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=parent)

    @staticmethod
    def _content(descriptor: int, path: str) -> bytes | None:
        details = os.fstat(descriptor)
        if not stat.S_ISREG(details.st_mode):
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise too_large(path, details.st_size)
        return data
