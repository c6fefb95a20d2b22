"""Joining two lines of commits: what it would give, and the commits that do it. No ref moves but in `move`.

Everything is worked out in the object store alone, with `git merge-tree`: there is no working copy to leave half done.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from environments import names
from environments.process import CommandFailed
from environments.repositories.plumbing import LONG, check_sha, command, git, identity
from portal.errors import Conflict

MAX_REBASED = 300  # commits; more than that is rewritten nowhere but on a developer's machine
_KIND = re.compile(r"CONFLICT \(([a-z/ -]+)\)")
# Git's words for a kind of conflict -> ours; one that is not here is called by Git's own word.
_WORDS = {
    "content": "both sides changed the same lines",
    "binary": "both sides changed a binary file",
    "modify/delete": "one side changed it, the other deleted it",
    "add/add": "both sides added it, differently",
    "rename/delete": "one side renamed it, the other deleted it",
    "rename/rename": "both sides renamed it, differently",
    "file/directory": "it is a file on one side and a folder on the other",
    "distinct modes": "it is a link or submodule on one side only",
    "distinct types": "it is a link or submodule on one side only",
}


@dataclass(frozen=True)
class Collision:
    """A file that both sides changed, so that a person has to say which is right."""

    path: str
    why: str


@dataclass(frozen=True)
class Joined:
    """`tree` is what both sides together give; with collisions it holds Git's markers and is good for nothing."""

    tree: str
    collisions: tuple[Collision, ...] = ()


@dataclass(frozen=True)
class Rebased:
    """`commit` is the new head. With collisions, `at` is the subject of the commit that could not be put on top."""

    commit: str
    collisions: tuple[Collision, ...] = ()
    at: str = ""


@dataclass(frozen=True)
class Person:
    """Who writes a commit, and when."""

    name: str
    email: str
    at: datetime


def merge_base(path: Path, one: str, other: str) -> str | None:
    """The newest commit that both have in common; None when they have none."""
    done = git(path, "merge-base", check_sha(one), check_sha(other), check=False, timeout=LONG)
    return done.text.strip() if done.code == 0 else None


def changes(path: Path, old: str, new: str) -> list[tuple[str, str]]:
    """(A, M, D or T, path) of every file that differs between two commits, in order of paths."""
    arguments = ("diff-tree", "-r", "-z", "--no-renames", "--name-status", check_sha(old), check_sha(new))
    fields = git(path, *arguments, timeout=LONG).stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return list(zip(fields[::2], fields[1::2], strict=False))  # of a huge listing, the end is cut


def join(path: Path, ours: str, theirs: str) -> Joined:
    """Merge two commits. Raises Conflict when they have no commit in common."""
    # Git 2.39's own switches; -z, because file names are a stranger's.
    arguments = ("merge-tree", "--write-tree", "-z", "--name-only", check_sha(ours), check_sha(theirs))
    done = git(path, *arguments, check=False, timeout=LONG)
    if done.code not in (0, 1):
        if merge_base(path, ours, theirs) is None:
            raise Conflict("The two branches have no commit in common: they cannot be merged.")
        raise CommandFailed(command(path, "merge-tree"), done.code, done.stderr.decode("utf-8", "replace")[-500:])
    fields = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return Joined(fields[0], _collisions(fields[1:]) if done.code == 1 else ())


def _collisions(fields: Sequence[str]) -> tuple[Collision, ...]:
    """From the files in conflict, an empty field, and messages: (how many paths, the paths, kind, text)."""
    end = fields.index("")
    why: dict[str, str] = {}
    rest = iter(fields[end + 1 :])
    for count in rest:
        if not count.strip().isdigit():
            break
        paths = [next(rest) for _ in range(int(count))]
        next(rest)  # the stable name of its kind, which tells less than the text
        kind = _KIND.match(next(rest))
        for each in paths if kind else ():
            why.setdefault(each, _WORDS.get(kind[1], kind[1]) if kind else "")
    return tuple(Collision(each, why.get(each, "both sides changed it")) for each in dict.fromkeys(fields[:end]))


def write_commit(path: Path, tree: str, parents: Sequence[str], message: str, by: Person) -> str:
    """A commit that no ref knows yet. The same arguments give the same commit."""
    who = identity(by.name, by.email, by.at)
    arguments = [part for parent in parents for part in ("-p", check_sha(parent))]
    made = git(path, "commit-tree", *arguments, "-F", "-", check_sha(tree), env=who, input=_text(message))
    return made.text.strip()


def rebase(path: Path, head: str, onto: str, by: Person) -> Rebased:
    """Put the commits that `head` has and `onto` lacks on top of `onto`, one by one; authors stay, `by` commits.

    As `git rebase` does: merges are left out, and so is what `onto` holds already. Raises Conflict when that cannot be.
    """
    top = check_sha(onto)
    for commit in _to_rebase(path, head, onto):
        parents = git(path, "rev-list", "--parents", "--max-count=1", commit).text.split()[1:]
        if not parents:
            raise Conflict("The two branches have no commit in common: one cannot be put on top of the other.")
        # merge-tree takes no base of our choice before Git 2.40: a commit with the tree of one side on the base does.
        side = write_commit(path, _tree(path, top), parents[:1], "rebase", by)
        joined = join(path, side, commit)
        if joined.collisions:
            subject = git(path, "log", "-1", "--format=%s", commit).text.strip()[:200]
            return Rebased(top, joined.collisions, subject)
        if joined.tree != _tree(path, top):
            top = _again(path, commit, joined.tree, top, by)
    return Rebased(top)


def _to_rebase(path: Path, head: str, onto: str) -> list[str]:
    both = f"{check_sha(onto)}...{check_sha(head)}"
    listing = git(
        path,
        "rev-list",
        "--reverse",
        "--topo-order",
        "--right-only",
        "--cherry-pick",
        "--no-merges",
        both,
        timeout=LONG,
    )
    commits = listing.text.split()
    if len(commits) > MAX_REBASED:
        raise Conflict(f"There are {len(commits)} commits to rewrite, more than {MAX_REBASED}. Merge instead.")
    return commits


def _tree(path: Path, commit: str) -> str:
    return git(path, "rev-parse", "--verify", "--end-of-options", f"{check_sha(commit)}^{{tree}}").text.strip()


def _again(path: Path, commit: str, tree: str, parent: str, by: Person) -> str:
    """The same commit, on another parent."""
    form = "--format=%an%x00%ae%x00%at %ad%x00%B"
    told = git(path, "log", "-1", "--encoding=UTF-8", "--date=format:%z", form, commit).stdout
    author, email, at, message = told.decode("utf-8", "replace").split("\0", 3)
    who = identity(by.name, by.email, by.at) | {
        "GIT_AUTHOR_NAME": author or "unknown",
        "GIT_AUTHOR_EMAIL": email,
        "GIT_AUTHOR_DATE": at,
    }
    arguments = ("commit-tree", "-p", check_sha(parent), "-F", "-", check_sha(tree))
    return git(path, *arguments, env=who, input=_text(message.rstrip("\n"))).text.strip()


def _text(message: str) -> bytes:
    return message.encode("utf-8", "replace").replace(b"\0", b"") + b"\n"


def move(path: Path, branch: str, old: str, new: str, why: str) -> bool:
    """Let the branch go from `old` to `new` in one step; False when it is not at `old`, or is being moved just now."""
    ref = f"refs/heads/{names.check_branch(branch)}"
    done = git(path, "update-ref", "-m", why, "--", ref, check_sha(new), check_sha(old), check=False)
    return done.code == 0


def held_elsewhere(path: Path, commit: str, branch: str) -> bool:
    """Whether another branch holds the commit, so that deleting this one loses nothing."""
    which = ("--count=2", f"--contains={check_sha(commit)}", "--format=%(refname)", "refs/heads/")
    listing = git(path, "for-each-ref", *which, timeout=LONG)
    return any(ref != f"refs/heads/{branch}" for ref in listing.text.split())
