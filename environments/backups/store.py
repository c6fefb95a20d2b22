"""Where backups are stored: a folder below SLIPWAY_HOME or a bucket, by Django's storage API. Streams only."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, Protocol, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import Storage, storages

from environments import process

_CHUNK = 1024**2
_ID = re.compile(r"[a-z0-9]{13}\Z")
_FILE = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class StoreFailure(Exception):
    """The store does not answer, or refuses; the message is for people."""


class Hashing:
    """Passes on what it reads, and knows its length and digest afterwards."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size = 0
        self.closed = False  # Django asks

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing: whoever opened the source closes it."""

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def path(project: str, backup: str, file: str) -> str:
    if not (_ID.match(project) and _ID.match(backup) and _FILE.match(file)):
        raise ValueError(f"{project}/{backup}/{file} is not the name of a backup's file")
    return f"{project}/{backup}/{file}"


def save(name: str, source: Readable) -> Hashing:
    """Store what `source` gives, in place of what had that name. Raises StoreFailure, OSError."""
    hashing = Hashing(source)
    with _failing():
        store = _store()
        store.delete(name)
        store.save(name, File(cast(IO[Any], hashing), name=name))
    return hashing


@contextmanager
def opened(name: str) -> Iterator[Readable]:
    """Raises FileNotFoundError, StoreFailure."""
    with _failing():
        store = _store()
        bucket = getattr(store, "bucket", None)
        # The storage's own file would first be fetched whole.
        source = store.open(name, "rb") if bucket is None else bucket.Object(_key(store, name)).get()["Body"]
    with closing(source) as found:
        yield found


def read(name: str, limit: int = 64 * 1024**2) -> bytes:
    with opened(name) as source:
        return source.read(limit)


def digest(name: str, *, check: Any = None) -> str:
    """SHA-256 of a stored file; `check` is called now and then and may raise."""
    with opened(name) as source:
        hashing = Hashing(source)
        while hashing.read(_CHUNK):
            if check is not None:
                check()
        return hashing.sha256


def size(name: str) -> int | None:
    """None when it is not there. Raises StoreFailure."""
    with _failing():
        store = _store()
        return int(store.size(name)) if store.exists(name) else None


def remove(project: str, backup: str) -> None:
    """Remove the backup: its manifest first, so that nobody takes the rest for one. Safe to repeat."""
    folder = f"{project}/{backup}"
    path(project, backup, "manifest.json")
    with _failing():
        store = _store()
        store.delete(f"{folder}/manifest.json")
        for name in names(project, backup):
            store.delete(f"{folder}/{name}")
        if is_local():
            for gone in (folder, project):
                _remove_folder(gone)


def names(project: str, backup: str) -> list[str]:
    with _failing():
        try:
            return sorted(_store().listdir(f"{project}/{backup}")[1])
        except FileNotFoundError:
            return []


def all_ids() -> list[tuple[str, str]]:
    """(project, backup) of whatever lies in the store, whole or not."""
    found = []
    with _failing():
        store = _store()
        try:
            for project in store.listdir("")[0]:
                found += [(project, backup) for backup in store.listdir(project)[0] if _ID.match(backup)]
        except FileNotFoundError:
            return found
    return [(project, backup) for project, backup in found if _ID.match(project)]


def is_local() -> bool:
    return not hasattr(_store(), "bucket_name")


def settle() -> None:
    """Have what was stored on the disk, where it is ours."""
    if is_local() and settings.HOME.backups.is_dir():
        process.run(["sync", "--file-system", "--", str(settings.HOME.backups)], timeout=600)


def _store() -> Storage:
    return storages["backups"]


def _key(store: Storage, name: str) -> str:
    location = str(getattr(store, "location", "")).strip("/")
    return f"{location}/{name}" if location else name


def _remove_folder(name: str) -> None:
    try:
        (settings.HOME.backups / name).rmdir()
    except OSError:
        return  # not empty, or gone


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (OSError, StoreFailure, process.ProcessError, ValueError):
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "boto3", "s3transfer")):
            raise
        if getattr(error, "response", {}).get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            raise FileNotFoundError(str(error)) from error
        message = f"The store for backups does not take part: {error}. Check SLIPWAY_BACKUP_S3_* and the bucket."
        raise StoreFailure(message) from error
