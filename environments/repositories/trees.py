"""The files of a commit."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from git import GitCmdObjectDB, Repo
from git.objects import Blob, Tree

from environments.manifest.source import MAX_FILE_BYTES, is_a_link, too_large
from environments.repositories.plumbing import LONG, check_sha, environment, git
from portal.errors import Missing

# What tells Slipway how to run the app but is not part of what runs: a change of these alone needs no new build.
CONFIG_NAMES = frozenset({".platform", ".platform.app.yaml", ".magento", ".magento.app.yaml", ".slipway"})


def reader(path: Path, objects: Mapping[str, str] | None = None) -> Repo:
    repo = Repo(path, odbt=GitCmdObjectDB, expand_vars=False)
    repo.git.update_environment(**environment(objects), GIT_DIR=str(path))
    return repo


class TreeSource:
    """The files of a commit as a manifest.Source. `objects`: Git's quarantine variables while a push is looked at."""

    def __init__(self, path: Path, commit: str, objects: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._commit = check_sha(commit)
        self._objects = objects
        self._repo = reader(path, objects)
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
            done = git(self._path, *listing, env=self._objects, timeout=LONG)
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
    listing = git(path, "cat-file", "tree", _at(commit, directory))
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
        git(path, "read-tree", _at(commit, directory), env=env, timeout=LONG)
        options = ("-c", "core.bare=false", "checkout-index", "--all", "--force", "--quiet", f"--prefix={to}/")
        git(path, *options, env=env, timeout=LONG)
    finally:
        Path(index).unlink(missing_ok=True)
