"""Branches and other refs: where they are, and moving them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from environments import names
from environments.repositories.history import types
from environments.repositories.plumbing import LONG, ZERO, check_sha, git
from portal.errors import Conflict


def head(path: Path, branch: str) -> str | None:
    """The commit that a branch is at; None when there is no such branch."""
    ref = f"refs/heads/{names.check_branch(branch)}^{{commit}}"
    done = git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", ref, check=False)
    return done.text.strip() if done.code == 0 else None


def branches(path: Path) -> dict[str, str]:
    """Commit by branch, in order of names; branches whose name Slipway would refuse are left out."""
    return {name: sha for name, sha in refs(path, "refs/heads/") if names.is_branch(name)}


def refs(path: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Names below the prefix (without it) and what they are at."""
    listing = git(path, "for-each-ref", "--format=%(objectname) %(refname)", prefix, timeout=LONG)
    for line in listing.stdout.decode("utf-8", "surrogateescape").splitlines():
        sha, _, ref = line.partition(" ")
        yield ref.removeprefix(prefix), sha


def update_refs(path: Path, updates: Sequence[str]) -> None:
    """Lines of `git update-ref --stdin`, all or none."""
    git(
        path, "update-ref", "--stdin", input="".join(f"{line}\n" for line in updates).encode("utf-8", "surrogateescape")
    )


def create_branch(path: Path, name: str, commit: str) -> None:
    """Raises Conflict when the branch exists, or when a branch stands where this one needs a folder."""
    if head(path, name) == commit:
        return
    done = git(path, "update-ref", "--", f"refs/heads/{names.check_branch(name)}", check_sha(commit), ZERO, check=False)
    if done.code != 0:
        raise Conflict(f"The branch {name} exists already, or its name collides with another branch.", field="branch")


def delete_branch(path: Path, name: str, expected: str = "") -> None:
    """Safe to repeat. With `expected`, only while the branch is still at that commit; else raises Conflict."""
    if head(path, name) is None:
        return
    ref = f"refs/heads/{names.check_branch(name)}"
    done = git(path, "update-ref", "-d", "--", ref, *([check_sha(expected)] if expected else []), check=False)
    if done.code != 0:
        raise Conflict(f"The branch {name} has moved on meanwhile.", field="branch")


def hold(path: Path, wanted: Mapping[str, str]) -> None:
    """Make the hidden refs below refs/slipway/releases exactly these (commit by name) of which the commit exists."""
    prefix = "refs/slipway/releases/"
    held = dict(refs(path, prefix))
    missing = {name: commit for name, commit in wanted.items() if held.get(name) != commit}
    there = types(path, set(missing.values())) if missing else {}
    lines = [f"delete {prefix}{name}" for name in held if name not in wanted]
    lines += [f"update {prefix}{name} {sha}" for name, sha in missing.items() if there.get(sha) == "commit"]
    if lines:
        update_refs(path, lines)
