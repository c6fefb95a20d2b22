"""Making a repository, and giving it commits of our own."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from environments import process
from environments.repositories.plumbing import LONG, check_sha, environment, git, identity
from environments.repositories.refs import create_branch

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
    who = identity(author, email, at)
    index = path / "index.tmp"
    in_tree = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(folder)}
    try:
        git(path, "-c", "core.bare=false", "add", "--all", "--", str(folder), env=in_tree, timeout=LONG)
        tree = git(path, "write-tree", env={"GIT_INDEX_FILE": str(index)}).text.strip()
    finally:
        index.unlink(missing_ok=True)
    return git(path, "commit-tree", "-F", "-", tree, env=who, input=message.encode() + b"\n").text.strip()


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
        git(path, "read-tree", check_sha(parent), env=env)
        for name, content in files.items():
            blob = git(path, "hash-object", "-w", "--stdin", input=content).text.strip()
            known = git(path, "ls-files", "--stage", "--", name, env=env).text.split(" ", 1)[0]
            entry = f"{known or '100644'},{blob},{name}"
            git(path, "update-index", "--add", "--cacheinfo", entry, env=env)
        tree = git(path, "write-tree", env=env).text.strip()
    finally:
        Path(index).unlink(missing_ok=True)
    who = identity(author, email, at)
    return git(path, "commit-tree", "-p", parent, "-F", "-", tree, env=who, input=message.encode() + b"\n").text.strip()


def replace(fresh: Path, path: Path) -> None:
    if path.exists():
        old = path.with_name(f"{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        fresh.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        fresh.rename(path)
