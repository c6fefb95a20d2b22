"""What commits there are, and how they stand to each other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from environments.repositories.plumbing import LONG, ZERO, check_sha, git
from environments.repositories.trees import reader


@dataclass(frozen=True)
class Commit:
    sha: str
    subject: str
    author: str
    email: str
    at: datetime


def is_ancestor(path: Path, old: str, new: str, objects: Mapping[str, str] | None = None) -> bool:
    arguments = ("merge-base", "--is-ancestor", check_sha(old), check_sha(new))
    return git(path, *arguments, check=False, env=objects, timeout=LONG).code == 0


def types(path: Path, shas: Collection[str], objects: Mapping[str, str] | None = None) -> dict[str, str]:
    """What each object is: "commit", "tree", "blob", "tag" or "missing"."""
    asked = "".join(f"{check_sha(sha)}\n" for sha in shas).encode()
    listing = git(path, "cat-file", "--batch-check=%(objectname) %(objecttype)", input=asked, env=objects)
    return {line.split()[0]: line.split()[1] for line in listing.text.splitlines()}


def commits(path: Path, old: str, new: str, limit: int = 50, objects: Mapping[str, str] | None = None) -> list[Commit]:
    """What `new` adds to `old` (empty or zeros: everything), newest first, at most `limit`."""
    revisions = check_sha(new) if old in ("", ZERO) else f"{check_sha(old)}..{check_sha(new)}"
    with reader(path, objects) as repo:
        return [
            Commit(
                sha=commit.hexsha,
                subject=str(commit.summary)[:300],
                author=(commit.author.name or "")[:200],
                email=(commit.author.email or "")[:200],
                at=commit.authored_datetime,
            )
            for commit in repo.iter_commits(revisions, max_count=limit)
        ]


def count_between(path: Path, base: str, commit: str) -> tuple[int, int]:
    """How many commits `commit` is ahead of and behind `base`."""
    both = f"{check_sha(commit)}...{check_sha(base)}"
    ahead, behind = git(path, "rev-list", "--count", "--left-right", both, timeout=LONG).text.split()
    return int(ahead), int(behind)
