"""A project's Git repository on disk: bare, configured by us, read with GitPython and Git's plumbing.

Every commit that reaches Git here is 40 hex digits, every branch has passed names.check_branch, and paths stand behind
a commit and a colon, so nothing can read as an option.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from git import GitCmdObjectDB, Repo
from git.objects import Blob, Tree

from environments import names, process
from environments.manifest.source import MAX_FILE_BYTES, is_a_link, too_large
from portal.errors import Conflict, Missing

ZERO = "0" * 40
# What tells Slipway how to run the app but is not part of what runs: a change of these alone needs no new build.
CONFIG_NAMES = frozenset({".platform", ".platform.app.yaml", ".magento", ".magento.app.yaml", ".slipway"})
_SHA = re.compile(r"[0-9a-f]{40}\Z")
_LONG = 900.0  # seconds, for what depends on the size of a repository

# fsck refuses what could harm a checkout. The exceptions are harmless faults that old tools left in many histories.
_FSCK = "".join(f"\t{name} = ignore\n" for name in ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode"))
_CONFIG = f"""[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = true
\thooksPath = /dev/null
\tbigFileThreshold = 32m
[receive]
\tfsckObjects = true
\tadvertisePushOptions = true
\tautogc = false
\tdenyDeleteCurrent = ignore
[receive "fsck"]
{_FSCK}[fetch "fsck"]
{_FSCK}[transfer]
\tfsckObjects = true
\tunpackLimit = 100
\thideRefs = refs/slipway
[uploadpack]
\tallowFilter = true
\thideRefs = refs
\thideRefs = !refs/heads
\thideRefs = !refs/tags
[gc]
\tauto = 0
[maintenance]
\tauto = false
[pack]
\twindowMemory = 128m
\tthreads = 1
\twriteBitmapHashCache = true
[repack]
\twriteBitmaps = true
[protocol]
\tversion = 2
"""


@dataclass(frozen=True)
class Commit:
    sha: str
    subject: str
    author: str
    email: str
    at: datetime


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """For every Git that is started: no configuration of the host or of a person, English messages, no prompts."""
    fixed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
    return process.environment(fixed | dict(extra or {}))


def command(path: Path, *arguments: str) -> list[str]:
    return ["git", "-c", f"safe.directory={path}", "--git-dir", str(path), *arguments]


def _git(
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


def init(path: Path) -> None:
    """Make an empty repository, whole or not at all; one that is there is left alone but for its configuration."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            _prepare(fresh)
            fresh.rename(path)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    else:
        configure(path)


def configure(path: Path) -> None:
    (path / "config").write_text(_CONFIG)
    (path / "info").mkdir(exist_ok=True)
    # What is deployed is the whole tree, whatever the author leaves out of archives.
    (path / "info" / "attributes").write_text("* -export-ignore -export-subst\n")


def _prepare(path: Path) -> None:
    process.run(
        ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=master", "--", str(path)],
        env=environment(),
    )
    path.chmod(0o750)
    configure(path)


def create_from_folder(
    path: Path,
    folder: Path,
    *,
    message: str,
    author: str,
    email: str = "slipway@localhost",
    branches: Sequence[str] = ("master", "staging", "production"),
    at: datetime | None = None,
) -> str:
    """A new repository with one commit of the folder's files (but those its .gitignore names); returns the commit.

    The same folder, message, author and time give the same commit. An existing repository is replaced: it can only be
    what an interrupted attempt left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        _prepare(fresh)
        commit = _commit_folder(fresh, folder, message, author, email, at or datetime.now(UTC))
        for branch in branches:
            create_branch(fresh, branch, commit)
        replace(fresh, path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return commit


def _commit_folder(path: Path, folder: Path, message: str, author: str, email: str, at: datetime) -> str:
    who = _identity(author, email, at)
    index = path / "index.tmp"
    in_tree = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(folder)}
    try:
        _git(path, "-c", "core.bare=false", "add", "--all", "--", str(folder), env=in_tree, timeout=_LONG)
        tree = _git(path, "write-tree", env={"GIT_INDEX_FILE": str(index)}).text.strip()
    finally:
        index.unlink(missing_ok=True)
    return _git(path, "commit-tree", "-F", "-", tree, env=who, input=message.encode() + b"\n").text.strip()


def _identity(author: str, email: str, at: datetime) -> dict[str, str]:
    stamp = f"{int(at.timestamp())} +0000"
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", author or "Slipway"), ("EMAIL", email), ("DATE", stamp))
    }


def commit_change(
    path: Path, parent: str, files: Mapping[str, bytes], *, message: str, author: str, email: str, at: datetime
) -> str:
    """A commit on top of `parent` that writes these files, whose modes stay; no branch moves. Returns the commit.

    `files`: content by path from the root of the repository. A new file is not executable.
    """
    handle, index = tempfile.mkstemp(prefix=".index-", dir=path.parent)
    os.close(handle)
    Path(index).unlink()
    env = {"GIT_INDEX_FILE": index}
    try:
        _git(path, "read-tree", check_sha(parent), env=env)
        for name, content in files.items():
            blob = _git(path, "hash-object", "-w", "--stdin", input=content).text.strip()
            known = _git(path, "ls-files", "--stage", "--", name, env=env).text.split(" ", 1)[0]
            entry = f"{known or '100644'},{blob},{name}"
            _git(path, "update-index", "--add", "--cacheinfo", entry, env=env)
        tree = _git(path, "write-tree", env=env).text.strip()
    finally:
        Path(index).unlink(missing_ok=True)
    who = _identity(author, email, at)
    return _git(
        path, "commit-tree", "-p", parent, "-F", "-", tree, env=who, input=message.encode() + b"\n"
    ).text.strip()


def replace(fresh: Path, path: Path) -> None:
    if path.exists():
        old = path.with_name(f"{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        fresh.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        fresh.rename(path)


# Refs


def head(path: Path, branch: str) -> str | None:
    """The commit that a branch is at; None when there is no such branch."""
    ref = f"refs/heads/{names.check_branch(branch)}^{{commit}}"
    done = _git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", ref, check=False)
    return done.text.strip() if done.code == 0 else None


def branches(path: Path) -> dict[str, str]:
    """Commit by branch, in order of names; branches whose name Slipway would refuse are left out."""
    return {name: sha for name, sha in refs(path, "refs/heads/") if names.is_branch(name)}


def refs(path: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Names below the prefix (without it) and what they are at."""
    listing = _git(path, "for-each-ref", "--format=%(objectname) %(refname)", prefix, timeout=_LONG)
    for line in listing.stdout.decode("utf-8", "surrogateescape").splitlines():
        sha, _, ref = line.partition(" ")
        yield ref.removeprefix(prefix), sha


def update_refs(path: Path, updates: Sequence[str]) -> None:
    """Lines of `git update-ref --stdin`, all or none."""
    _git(
        path, "update-ref", "--stdin", input="".join(f"{line}\n" for line in updates).encode("utf-8", "surrogateescape")
    )


def create_branch(path: Path, name: str, commit: str) -> None:
    """Raises Conflict when the branch exists, or when a branch stands where this one needs a folder."""
    if head(path, name) == commit:
        return
    done = _git(
        path, "update-ref", "--", f"refs/heads/{names.check_branch(name)}", check_sha(commit), ZERO, check=False
    )
    if done.code != 0:
        raise Conflict(f"The branch {name} exists already, or its name collides with another branch.", field="branch")


def delete_branch(path: Path, name: str, expected: str = "") -> None:
    """Safe to repeat. With `expected`, only while the branch is still at that commit; else raises Conflict."""
    if head(path, name) is None:
        return
    ref = f"refs/heads/{names.check_branch(name)}"
    done = _git(path, "update-ref", "-d", "--", ref, *([check_sha(expected)] if expected else []), check=False)
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


def is_ancestor(path: Path, old: str, new: str, objects: Mapping[str, str] | None = None) -> bool:
    arguments = ("merge-base", "--is-ancestor", check_sha(old), check_sha(new))
    return _git(path, *arguments, check=False, env=objects, timeout=_LONG).code == 0


def types(path: Path, shas: Collection[str], objects: Mapping[str, str] | None = None) -> dict[str, str]:
    """What each object is: "commit", "tree", "blob", "tag" or "missing"."""
    asked = "".join(f"{check_sha(sha)}\n" for sha in shas).encode()
    listing = _git(path, "cat-file", "--batch-check=%(objectname) %(objecttype)", input=asked, env=objects)
    return {line.split()[0]: line.split()[1] for line in listing.text.splitlines()}


def commits(path: Path, old: str, new: str, limit: int = 50, objects: Mapping[str, str] | None = None) -> list[Commit]:
    """What `new` adds to `old` (empty or zeros: everything), newest first, at most `limit`."""
    revisions = check_sha(new) if old in ("", ZERO) else f"{check_sha(old)}..{check_sha(new)}"
    with _reader(path, objects) as repo:
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
    ahead, behind = _git(path, "rev-list", "--count", "--left-right", both, timeout=_LONG).text.split()
    return int(ahead), int(behind)


# Trees


def _reader(path: Path, objects: Mapping[str, str] | None = None) -> Repo:
    repo = Repo(path, odbt=GitCmdObjectDB, expand_vars=False)
    repo.git.update_environment(**environment(objects), GIT_DIR=str(path))
    return repo


class TreeSource:
    """The files of a commit as a manifest.Source. `objects`: Git's quarantine variables while a push is looked at."""

    def __init__(self, path: Path, commit: str, objects: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._commit = check_sha(commit)
        self._objects = objects
        self._repo = _reader(path, objects)
        self._root: Tree | None = None
        self._paths: list[str] | None = None

    def __enter__(self) -> "TreeSource":
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def read(self, path: str) -> bytes | None:
        found = self._find(path)
        if found is None or found.type != "blob":
            return None
        if stat.S_ISLNK(found.mode):
            raise is_a_link(path)
        if found.size > MAX_FILE_BYTES:
            raise too_large(path, found.size)
        return bytes(found.data_stream.read())

    def files(self) -> list[str]:
        """What fits in 8 MiB (100,000 paths or more); what follows is not looked at."""
        if self._paths is None:
            # One listing of the whole tree: walking it object by object takes minutes on a large one.
            listing = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._commit)
            done = _git(self._path, *listing, env=self._objects, timeout=_LONG)
            self._paths = [name.decode("utf-8", "surrogateescape") for name in done.stdout.split(b"\0")[:-1]]
        return self._paths

    def _find(self, path: str) -> Tree | Blob | None:
        if self._root is None:
            self._root = self._repo.commit(self._commit).tree
        here: Tree | Blob = self._root
        for part in path.split("/"):
            if not isinstance(here, Tree):
                return None
            entry = next((item for item in here if item.name == part), None)
            if not isinstance(entry, Tree | Blob):
                return None
            here = entry
        return here


def tree_id(path: Path, commit: str, directory: str = "", exclude: Collection[str] = CONFIG_NAMES) -> str:
    """Git's hash of a folder's tree without the named entries: what a build is made from."""
    listing = _git(path, "cat-file", "tree", _at(commit, directory))
    kept = b"".join(raw for name, raw in _entries(listing.stdout) if name.decode("utf-8", "replace") not in exclude)
    return hashlib.sha1(b"tree %d\0" % len(kept) + kept, usedforsecurity=False).hexdigest()


def _entries(tree: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and raw form of each entry of a tree object: mode, space, name, NUL, 20 bytes of hash."""
    start = 0
    while start < len(tree):
        space, nul = tree.index(b" ", start), tree.index(b"\0", start)
        yield tree[space + 1 : nul], tree[start : nul + 21]
        start = nul + 21


def _at(commit: str, directory: str) -> str:
    clean = directory.strip("/").removeprefix("./")
    if any(part in ("..", ".git") for part in clean.split("/")):
        raise Missing(f"There is no folder {directory[:100]!r} in the repository.")
    return f"{check_sha(commit)}:{'' if clean == '.' else clean}"


def export(path: Path, commit: str, directory: str, to: Path) -> None:
    """Write the files of a folder of a commit below `to`, which is empty or does not exist.

    Git itself refuses `..`, absolute names, `.git` and writing through a symbolic link; there are no devices in a tree.
    Links are kept as they are, wherever they point. Submodules become empty folders. Raises ProcessError.
    """
    to.mkdir(parents=True, exist_ok=True)
    handle, index = tempfile.mkstemp(prefix=".index-", dir=to.parent)
    os.close(handle)
    Path(index).unlink()
    env = {"GIT_INDEX_FILE": index, "GIT_WORK_TREE": str(to)}
    try:
        _git(path, "read-tree", _at(commit, directory), env=env, timeout=_LONG)
        options = ("-c", "core.bare=false", "checkout-index", "--all", "--force", "--quiet", f"--prefix={to}/")
        _git(path, *options, env=env, timeout=_LONG)
    finally:
        Path(index).unlink(missing_ok=True)


def housekeeping(path: Path) -> None:
    """Pack what pushes have left loose, when there is enough of it. Cheap to ask often, and safe beside pushes: what is
    younger than two weeks is kept, reachable or not.
    """
    when = ("-c", "gc.auto=1000", "-c", "gc.autoPackLimit=20", "-c", "gc.autoDetach=false")
    _git(path, *when, "gc", "--auto", "--quiet", timeout=4 * _LONG)
