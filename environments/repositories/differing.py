"""What differs between two commits: lines counted, single files compared, texts read; all of it bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from environments.repositories.plumbing import LONG, check_sha, git

_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}  # a file's name is no pattern


@dataclass(frozen=True)
class Counted:
    """A file that differs. Lines are None for what Git takes for binary."""

    path: str
    how: str  # A, M, D or T
    added: int | None
    removed: int | None


def counted(path: Path, old: str, new: str) -> list[Counted]:
    """In order of paths; of a huge listing (8 MiB), the end is cut."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", "--no-ext-diff", "--no-textconv")
    listing = git(path, *arguments, check_sha(old), check_sha(new), timeout=LONG).stdout
    fields = listing.decode("utf-8", "surrogateescape").split("\0")[:-1]
    how: dict[str, str] = {}
    found = []
    at = 0
    while at < len(fields):
        if fields[at].startswith(":") and at + 1 < len(fields):  # ":modes hashes M", then the path
            how[fields[at + 1]] = fields[at][-1]
            at += 2
            continue
        added, removed, name = [*fields[at].split("\t", 2), "", ""][:3]
        if name:
            found.append(Counted(name, how.get(name, "M"), _lines(added), _lines(removed)))
        at += 1
    return found


def _lines(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def unified(path: Path, old: str, new: str, name: str) -> str:
    """How one file differs, without Git's heading. Its size is the caller's to look at first: see `sizes`."""
    arguments = ("diff-tree", "-r", "-p", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--unified=3")
    done = git(path, *arguments, check_sha(old), check_sha(new), "--", name, env=_LITERAL)
    _, at, rest = done.text.partition("\n@@ ")
    return f"@@ {rest}" if at else ""


def sizes(path: Path, commit: str, names: Sequence[str]) -> dict[str, int]:
    """Bytes of those that are files there."""
    askable = [name for name in names if "\n" not in name]
    asked = "".join(f"{check_sha(commit)}:{name}\n" for name in askable).encode("utf-8", "surrogateescape")
    if not askable:
        return {}
    listing = git(path, "cat-file", "--batch-check=%(objecttype) %(objectsize)", input=asked)
    rows = [line.split(b" ") for line in listing.stdout.split(b"\n")]
    return {name: int(row[1]) for name, row in zip(askable, rows, strict=False) if row[0] == b"blob"}


def texts(path: Path, commit: str, names: Sequence[str], each: int, together: int) -> dict[str, str]:
    """Content by name, as far as a file has no more than `each` bytes and all of them `together`."""
    wanted: dict[str, int] = {}
    for name, size in sizes(path, commit, names).items():
        if size <= each and size + sum(wanted.values()) <= together:
            wanted[name] = size
    if not wanted:
        return {}
    asked = "".join(f"{check_sha(commit)}:{name}\n" for name in wanted).encode("utf-8", "surrogateescape")
    content = git(path, "cat-file", "--batch", input=asked).stdout
    found, at = {}, 0
    for name, size in wanted.items():
        at = content.index(b"\n", at) + 1
        found[name] = content[at : at + size].decode("utf-8", "replace")
        at += size + 1
    return found
