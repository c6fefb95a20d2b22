"""How Git is called: by our own configuration only, with a timeout, on what has been checked before.

Every commit that reaches Git here is 40 hex digits, every branch has passed names.check_branch, and paths stand behind
a commit and a colon, so nothing can read as an option.
"""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from environments import process
from portal.errors import Missing

ZERO = "0" * 40
LONG = 900.0  # seconds, for what depends on the size of a repository
_SHA = re.compile(r"[0-9a-f]{40}\Z")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """For every Git that is started: no configuration of the host or of a person, English messages, no prompts."""
    fixed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
    return process.environment(fixed | dict(extra or {}))


def command(path: Path, *arguments: str) -> list[str]:
    return ["git", "-c", f"safe.directory={path}", "--git-dir", str(path), *arguments]


def git(
    path: Path,
    *arguments: str,
    input: bytes | None = None,
    check: bool = True,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
) -> process.Completed:
    return process.run(command(path, *arguments), env=environment(env), input=input, check=check, timeout=timeout)


def check_sha(sha: str) -> str:
    if not _SHA.match(sha):
        raise Missing("There is no such commit.")
    return sha


def identity(author: str, email: str, at: datetime) -> dict[str, str]:
    stamp = f"{int(at.timestamp())} +0000"
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", author or "Slipway"), ("EMAIL", email), ("DATE", stamp))
    }
