"""What may be asked over SSH, and by which user names. Pure: of Git's commands a command is exactly one, or nothing."""

import re
from dataclasses import dataclass
from enum import StrEnum

from deployments.actions.ssh_sessions import Address

_COMMAND = re.compile(r"git-(?P<service>upload|receive)-pack '/?(?P<project>[a-z0-9]{13})(?:\.git)?/?'\Z")
_PROTOCOL = re.compile(r"version=[012](?::[a-z0-9=._-]{1,40}){0,8}\Z")
_GIT_USER = re.compile(r"(?:git|(?P<project>[a-z0-9]{13}))\Z")
_ENVIRONMENT_USER = re.compile(r"(?P<project>[a-z0-9]{13})-(?P<rest>[A-Za-z0-9._+#=@-]{1,400})\Z")
_TERMINAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z")


class Service(StrEnum):
    UPLOAD = "upload-pack"  # clone and fetch
    RECEIVE = "receive-pack"  # push


@dataclass(frozen=True)
class GitCommand:
    service: Service
    project_id: str


def parse(command: str) -> GitCommand | None:
    found = _COMMAND.match(command)
    return GitCommand(Service(f"{found['service']}-pack"), found["project"]) if found else None


def git_protocol(value: bytes | None) -> str | None:
    """The client's GIT_PROTOCOL, when it is one that Git clients send."""
    text = (value or b"").decode("ascii", "replace")
    return text if _PROTOCOL.match(text) else None


def is_known_user(name: str) -> bool:
    """Whether the name can be one of ours; it says nothing about what exists."""
    return bool(_GIT_USER.match(name) or _ENVIRONMENT_USER.match(name))


def is_environment_user(name: str) -> bool:
    return bool(_ENVIRONMENT_USER.match(name))


def addresses(name: str) -> list[Address]:
    """What `<project>-<environment>[--<app>[--<worker>]]` may mean. An environment's name may hold "--" itself: the
    readings with the longer one come first."""
    found = _ENVIRONMENT_USER.match(name)
    if found is None:
        return []
    parts = found["rest"].split("--")
    cuts = range(len(parts), max(0, len(parts) - 3), -1)
    return [Address(found["project"], "--".join(parts[:cut]), "--".join(parts[cut:])) for cut in cuts]


def terminal(name: str) -> str:
    """The client's TERM, when it is one that can be; else the one that everything understands."""
    return name if _TERMINAL.match(name) else "dumb"


def fits_user(name: str, project_id: str) -> bool:
    """Whether someone who came by this user name may ask for this project's repository."""
    found = _GIT_USER.match(name)
    return found is not None and found["project"] in (None, project_id)
