"""The `web` part of an app: how it is started and which requests reach it."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, model_validator

from .base import Model
from .values import (
    ByteSize,
    Folder,
    HeaderName,
    Line,
    Lines,
    Passthru,
    Pattern,
    Script,
    Seconds,
    SitePath,
    Truth,
    check_captures,
    one_of,
    wrong,
)

_BEFORE_2016 = ("document_root", "passthru", "index_files", "whitelist", "blacklist", "expires")
_ANYTHING = {"passthru": True}


class Commands(Model):
    pre_start: Script | None = None
    start: Script | None = None
    post_start: Script | None = None


class Upstream(Model):
    """Where the app listens: on $PORT or on $SOCKET, and what it speaks there."""

    socket_family: Annotated[str, one_of("tcp", "unix")] = "tcp"
    protocol: Annotated[str, one_of("http", "fastcgi")] = "http"


class Rule(Model):
    """What a rule leaves out (None) is as in its location."""

    allow: Truth | None = None
    expires: Seconds | None = None
    passthru: Passthru | None = None
    scripts: Truth | None = None
    headers: dict[HeaderName, Line] | None = None


class RequestBuffering(Model):
    enabled: Truth = True
    max_request_size: ByteSize = "250m"


class Location(Model):
    """`root` is relative to the app: "" is the app itself, None means no static files. `expires`: seconds, or -1."""

    root: Folder | None = None
    passthru: Passthru = False
    index: Lines = ()
    expires: Seconds = -1
    scripts: Truth = True
    allow: Truth = True
    headers: dict[HeaderName, Line] = Field(default_factory=dict)
    rules: dict[Pattern, Rule] = Field(default_factory=dict)  # in the order of the file: the first match counts
    request_buffering: RequestBuffering = RequestBuffering()

    @model_validator(mode="after")
    def _known_captures(self) -> Self:
        if isinstance(self.passthru, str):
            check_captures(self.passthru, None, ("passthru",))
        for pattern, rule in self.rules.items():
            if isinstance(rule.passthru, str):
                check_captures(rule.passthru, pattern, ("rules", pattern, "passthru"))
        for name in self.index:
            if "/" in name.strip("/") or ".." in name or not name:
                raise wrong("An index must be the name of a file.", "such as index.html", ("index",))
        return self


class Web(Model):
    """`upstream` is None until the app is put together: its default depends on the language."""

    commands: Commands = Commands()
    upstream: Upstream | None = None
    locations: dict[SitePath, Location] = Field(default_factory=dict)
    move_to_root: Truth = False

    @model_validator(mode="before")
    @classmethod
    def _with_locations(cls, data: Any, info: ValidationInfo) -> Any:
        """Keys that stood in `web` itself before 2016 become the location "/"; without any, all goes to the app."""
        if data is None:
            data = {}
        if not isinstance(data, dict):
            return data
        cls.remember(data, info)
        old = [key for key in _BEFORE_2016 if data.get(key) is not None]
        if not old:
            return data if data.get("locations") else {**data, "locations": {"/": _ANYTHING}}
        if data.get("locations"):
            raise wrong(f'"{old[0]}" cannot be used together with "locations". Move it into a location.')
        return {key: data[key] for key in data if key not in _BEFORE_2016} | {"locations": {"/": _location(data)}}


def _location(old: dict[str, Any]) -> dict[str, Any]:
    """The location "/" for the keys of before 2016. What is blacklisted is refused even when it is whitelisted."""
    rules: dict[str, Any] = {}
    for name, allow in (("blacklist", False), ("whitelist", True)):
        patterns = old.get(name) or []
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise wrong(f'"{name}" must be a list of patterns.')
        for pattern in patterns:
            rules.setdefault(pattern, {"allow": allow})
    return {
        "root": old.get("document_root"),
        "index": old.get("index_files"),
        "passthru": old.get("passthru"),
        "expires": old.get("expires"),
        "allow": old.get("whitelist") is None,
        "rules": rules,
    }
