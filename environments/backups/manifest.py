"""The manifest of a backup: what it holds, of which instant, and the checksum of each part."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from environments.backups import store
from environments.backups.archive import Damaged

FILE = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class Part:
    """One service's data, or one volume that mounts lie in."""

    kind: str  # "service" or "mount"
    name: str
    folder: str  # in a copy of data, see Runtime.snapshot
    file: str  # in the store
    files: int
    bytes: int
    size: int
    sha256: str
    engine: str = ""
    version: str = ""
    asked: str = ""
    expects: Mapping[str, int] | None = None  # counted at the instant


@dataclass(frozen=True)
class Contents:
    project: str
    backup: str
    at: str  # ISO 8601
    environment: Mapping[str, Any]
    release: Mapping[str, Any]
    sealed: str  # encrypted JSON: what of the release is secret
    parts: Sequence[Part]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


def write(contents: Contents) -> str:
    """Store it, which makes the backup exist; returns its checksum."""
    data = _bytes(contents)
    store.save(store.path(contents.project, contents.backup, FILE), io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def checksum(contents: Contents) -> str:
    """What writing it would return."""
    return hashlib.sha256(_bytes(contents)).hexdigest()


def _bytes(contents: Contents) -> bytes:
    return json.dumps({"format": _FORMAT, **asdict(contents)}, indent=1, sort_keys=True).encode()


def read(project: str, backup: str, sha256: str) -> Contents:
    """Raises Damaged unless it is the one that was written, for this project."""
    try:
        data = store.read(store.path(project, backup, FILE))
    except FileNotFoundError as error:
        raise Damaged("Its manifest is not in the store any more.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Damaged("Its manifest was altered: the checksum is not the one that was recorded.")
    given = json.loads(data)
    if given.pop("format") != _FORMAT or (given["project"], given["backup"]) != (project, backup):
        raise Damaged("Its manifest belongs to another backup.")
    return Contents(**{**given, "parts": [Part(**part) for part in given["parts"]]})
