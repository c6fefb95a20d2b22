"""What a kept message says, taken apart by a process of its own when it is first looked at."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployments.mail import store
from deployments.models import Message
from environments import process
from portal.errors import Missing

_TAKE_APART = Path(__file__).with_name("take_apart.py")
_PYTHON = "/usr/bin/python3"
_LIMIT = 15.0  # seconds
_SHOWN = 256 * 1024  # bytes of the source
_REMOTE = re.compile(
    r"""(?i)(?:src|background|srcset|poster)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//"""
)


@dataclass(frozen=True)
class Attachment:
    number: int
    name: str
    type: str
    size: int


@dataclass(frozen=True)
class Content:
    headers: Sequence[tuple[str, str]] = ()
    text: str = ""
    html: str = ""
    attachments: Sequence[Attachment] = ()
    cut: bool = False  # something of it is too large to be shown
    unreadable: bool = False  # it could not be taken apart

    @property
    def has_remote(self) -> bool:
        """Whether its HTML asks for something from elsewhere, which is not fetched."""
        return bool(_REMOTE.search(self.html))


def content(message: Message) -> Content:
    """Raises Missing when its text is not kept any more."""
    folder = _folder(message)
    path = folder / "read.json"
    if not path.exists():
        try:
            process.run([_PYTHON, "-IS", str(_TAKE_APART), str(folder / store.SOURCE), str(folder)], timeout=_LIMIT)
        except process.ProcessError:
            return Content(unreadable=True)
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return Content(unreadable=True)
    return Content(
        headers=[(name, value) for name, value in told["headers"]],
        text=told["text"],
        html=told["html"],
        attachments=[
            Attachment(number, each["name"] or f"part-{number}", each["type"], each["size"])
            for number, each in enumerate(told["attachments"])
        ],
        cut=told["cut"],
    )


def attachment(message: Message, number: int) -> tuple[Attachment, Path]:
    """Raises Missing."""
    found = content(message).attachments
    path = _folder(message) / f"part-{number}"
    if number >= len(found) or not path.is_file():
        raise Missing("There is no such attachment.")
    return found[number], path


def source(message: Message) -> Path:
    """Raises Missing."""
    path = _folder(message) / store.SOURCE
    if not path.is_file():
        raise Missing("The text of this message is not kept any more.")
    return path


def beginning(message: Message) -> tuple[str, bool]:
    """The source as text, and whether that is all of it."""
    path = source(message)
    with path.open("rb") as file:
        data = file.read(_SHOWN)
    return data.decode("utf-8", "replace"), path.stat().st_size <= _SHOWN


def _folder(message: Message) -> Path:
    folder = store.files(message)
    if not folder.is_dir():
        raise Missing("The text of this message is not kept any more.")
    return folder
