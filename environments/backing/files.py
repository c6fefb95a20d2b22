"""Files of services: made whole or not at all, readable by nobody else."""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from environments import process

_COPY_LIMIT = 600.0  # seconds


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` (made when missing) against every other process that asks for it."""
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_whole(target: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill a folder beside `target`, which then takes its name; nothing when `target` is there.

    Killed in between, it leaves no `target`, and the next call begins again.
    """
    if target.exists():
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock"):
        if target.exists():
            return
        fresh = target.with_name(f"{target.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        make(fresh)
        fresh.rename(target)


def template(name: str, make: Callable[[Path], None]) -> Path:
    """The prepared data directory of that name, made on first use."""
    path = settings.HOME.templates / name
    make_whole(path, make)
    return path


def copy(source: Path, target: Path) -> None:
    """Copy a folder, by reflink where the file system can; on disk when this returns."""
    process.run(
        ["cp", "--archive", "--reflink=auto", "--no-target-directory", "--", str(source), str(target)],
        timeout=_COPY_LIMIT,
    )
    # Otherwise a power cut within half a minute leaves a data directory with empty files under its final name.
    process.run(["sync", "--", *(str(path) for path in target.rglob("*"))], timeout=_COPY_LIMIT)


def disk_use(path: Path) -> int:
    """Bytes that a folder takes on the disk."""
    return 512 * sum(found.st_blocks for found in _walk(path))


def measure(path: Path) -> tuple[int, int]:
    """Number and bytes of the files in a folder."""
    sizes = [found.st_size for found in _walk(path) if stat.S_ISREG(found.st_mode)]
    return len(sizes), sum(sizes)


def _walk(top: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(top):
        for name in names:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(folder, name))


def private_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; nobody but this user can read it at any moment."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
