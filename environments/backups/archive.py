"""A folder as a compressed archive in the store, and back. Nothing is held in memory, nothing uncompressed on disk."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from environments import process
from environments.backing import files
from environments.backups import store

_CHUNK = 1024**2
_PACK, _UNPACK = "zstd -q -T0 -1", "zstd -q -d"

Check = Callable[[], None]


class Damaged(Exception):
    """What is stored is not what was stored; the message says what is wrong with it."""


@dataclass(frozen=True)
class Packed:
    files: int
    bytes: int  # of the files
    size: int  # of the archive
    sha256: str


def pack(folder: Path, name: str, *, check: Check) -> Packed:
    """Store the folder under that name. `check` is called now and then and may raise."""
    count, total = files.measure(folder)
    argv = ["tar", "--create", "--file=-", "--sparse", "--numeric-owner", f"--use-compress-program={_PACK}"]
    with process.reading([*argv, f"--directory={folder}", "--", "."]) as output:
        stored = store.save(name, _Checked(output, check))
    return Packed(count, total, stored.size, stored.sha256)


def verify(name: str, sha256: str, size: int, *, check: Check) -> None:
    """Raises Damaged unless exactly what was packed is there. Before anything of it is unpacked."""
    try:
        found = store.size(name)
        if found is not None and found != size:
            raise Damaged(f"{name} has {found} bytes and should have {size}.")
        if found is None:
            raise Damaged(f"{name} is not in the store any more.")
        if store.digest(name, check=check) != sha256:
            raise Damaged(f"{name} was altered: its checksum is not the one that was recorded.")
    except FileNotFoundError as error:
        raise Damaged(f"{name} is not in the store any more.") from error


def unpack(name: str, folder: Path, *, check: Check) -> None:
    """Unpack a verified archive into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    argv = ["tar", "--extract", "--file=-", "--preserve-permissions", "--no-same-owner", "--delay-directory-restore"]
    argv += [f"--use-compress-program={_UNPACK}", f"--directory={folder}"]
    with store.opened(name) as source, process.writing(argv) as target:
        while data := source.read(_CHUNK):
            check()
            target.write(data)


class _Checked:
    def __init__(self, source: store.Readable, check: Check) -> None:
        self._source = source
        self._check = check

    def read(self, size: int = -1) -> bytes:
        self._check()
        return self._source.read(size if size > 0 else _CHUNK)
