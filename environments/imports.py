"""Making a project's repository from somebody else's: heads and tags only, watched, limited, whole or not at all."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from environments import names, process, remotes, repositories
from environments.process import Watch
from portal.errors import Invalid

TREE = ("master", "staging", "production")  # the branches that every project has
MAX_REFS = 20_000
_MAX_LISTING = 8 * 1024**2  # bytes; what a host lists is its own to make endless
_ASK_SECONDS = 90.0
_PROGRESS_SECONDS = 1.0
_SHOWN_ERROR = 300
_LEFTOVER = re.compile(r"[^\x20-\x7e]")

# What Git, curl and ssh print, and what it means to the person who gave the URL.
# The first that fits counts: ssh ends every failure with "Could not read from remote repository".
_MEANINGS = (
    (r"no space left", "There is no space left on this host. Free some, then try again."),
    (r"could not resolve|name or service not known", "The host is not known to the name server."),
    (r"host key verification failed|identification has changed", "The host's SSH key is not the one seen before."),
    (r"connection refused|timed out|no route to host|network is unreachable|too slow", "The host does not answer."),
    (r"certificate", "The host's certificate is not valid."),
    (r"error: 30\d|redirect", "The URL redirects to another address, which is not followed. Give the final URL."),
    (
        r"authentication failed|could not read username|terminal prompts disabled|error: 40[13]",
        "The repository asks for a sign-in. Use git@host:path.git and add the project's deploy key at its host.",
    ),
    (
        r"permission denied|publickey|could not read from remote repository",
        "The host refused the deploy key, or there is no such repository. Add the project's deploy key there "
        "(reading is enough) and try again.",
    ),
    (r"not found|error: 404|does not appear to be a git repository", "There is no such repository at that URL."),
    (r"fsck|index-pack failed", "The repository holds a malformed or dangerous object and was refused."),
)


@dataclass(frozen=True)
class Imported:
    commit: str  # where master, staging and production are now
    branches: list[str]
    notes: list[str] = field(default_factory=list)  # what was left out or renamed, one sentence each


class ImportFailed(Invalid):
    """The URL cannot be imported; the message says why and what to do."""


def import_remote(
    url: str,
    path: Path,
    *,
    watch: Watch,
    known_hosts: Path,
    private_key: str = "",
    max_bytes: int,
    allow_private: bool = False,
) -> Imported:
    """Fetch the remote's branches and tags into a new repository; its HEAD becomes master, staging and production.

    `watch.output` gets Git's progress as whole lines. Raises Invalid (ImportFailed among it), TimedOut and Stopped;
    then nothing is left. An existing repository is replaced: it can only be what an interrupted attempt left.
    """
    plan = remotes.plan(url, allow_private=allow_private)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        bare = fresh / "repository"
        repositories.init(bare)
        with _Credentials(plan, fresh, private_key, known_hosts) as env:
            fetch = _Fetch(plan, bare, env, watch, max_bytes)
            head = fetch.head_branch()
            fetch.everything()
        imported = _arrange(bare, head)
        repositories.replace(bare, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return imported


class _Credentials:
    """The deploy key as a file of ours for as long as the fetch runs, and Git's variables that point at it."""

    def __init__(self, plan: remotes.Plan, folder: Path, private_key: str, known_hosts: Path) -> None:
        self._plan, self._folder, self._key, self._known_hosts = plan, folder, private_key, known_hosts

    def __enter__(self) -> dict[str, str]:
        if self._plan.remote.scheme != "ssh":
            return self._plan.environment(None)
        key = self._folder / "deploy_key"
        if self._key:
            with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(self._key.rstrip("\n") + "\n")
        config = self._folder / "ssh_config"
        config.write_text(self._plan.ssh_config(key if self._key else None, self._known_hosts))
        return self._plan.environment(config)

    def __exit__(self, *_: object) -> None:
        (self._folder / "deploy_key").unlink(missing_ok=True)


class _Fetch:
    def __init__(self, plan: remotes.Plan, bare: Path, env: Mapping[str, str], watch: Watch, max_bytes: int) -> None:
        self._plan, self._bare, self._watch, self._max = plan, bare, watch, max_bytes
        self._env = repositories.environment(env)
        self._checked = 0.0

    def head_branch(self) -> str:
        """The branch that the remote's HEAD names (or the likeliest one). Raises ImportFailed for an empty remote."""
        listing = self._git(
            ["ls-remote", "--symref", "--", self._plan.remote.url],
            replace(self._watch, total=_ASK_SECONDS, silence=None),
        )
        heads: list[str] = []
        found = ""
        for line in listing.splitlines():
            left, _, right = line.partition("\t")
            if left.startswith("ref: refs/heads/") and right == "HEAD":
                found = left.removeprefix("ref: refs/heads/")
            elif right.startswith("refs/heads/"):
                heads.append(right.removeprefix("refs/heads/"))
        if len(listing.splitlines()) > MAX_REFS:
            raise _too_many()
        for candidate in (found, "main", "master", *heads):
            if candidate in heads:
                return candidate
        raise ImportFailed("The repository is empty: push a first commit to it, then try again.", field="url")

    def everything(self) -> None:
        """Branches and tags, with progress, until done or the size limit."""
        options = ["fetch", "--progress", "--no-write-fetch-head", "--no-recurse-submodules", "--no-tags", "--force"]
        refspecs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        progress = _Progress(self._watch)
        self._git(
            [*options, "--", self._plan.remote.url, *refspecs],
            replace(self._watch, output=progress.feed, should_stop=self._too_large),
        )
        progress.end()
        self._checked = 0.0
        self._too_large()

    def _git(self, arguments: list[str], watch: Watch) -> str:
        seen: list[bytes] = []
        size = 0
        quiet = arguments[0] == "ls-remote"

        def output(data: bytes) -> None:
            nonlocal size
            seen.append(data)
            size += len(data)
            if not quiet:
                watch.output(data)
                del seen[:-50]
            elif size > _MAX_LISTING:
                raise _too_many()

        argv = repositories.command(self._bare, *self._plan.git_options(), *arguments)
        try:
            code = process.stream(argv, replace(watch, output=output), env=self._env)
        except process.TimedOut as error:
            if quiet:
                raise ImportFailed(f"The host did not answer within {error.seconds:g} seconds.", field="url") from error
            raise
        text = b"".join(seen).decode("utf-8", "replace")
        if code != 0:
            raise ImportFailed(explain(text), field="url")
        return text

    def _too_large(self) -> str | None:
        now = time.monotonic()
        if now - self._checked > 1:
            self._checked = now
            if size(self._bare) > self._max:
                raise ImportFailed(f"The repository is larger than {self._max // 1024**2} MiB, the limit.", field="url")
        return self._watch.should_stop()


class _Progress:
    """Git's progress as whole lines: of those that overwrite each other, one a second and the last."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._rest = b""
        self._printed = 0.0

    def feed(self, data: bytes) -> None:
        *lines, self._rest = re.split(rb"(?<=[\r\n])", self._rest + data)
        for line in lines:
            passing = line.endswith(b"\r")
            if passing and time.monotonic() - self._printed < _PROGRESS_SECONDS:
                continue
            self._printed = time.monotonic()
            self._watch.output(line.rstrip(b"\r\n") + b"\n")

    def end(self) -> None:
        if self._rest:
            self._watch.output(self._rest + b"\n")


def _too_many() -> ImportFailed:
    return ImportFailed(f"The repository has more than {MAX_REFS} branches and tags.", field="url")


def size(folder: Path) -> int:
    """Bytes of all files below the folder; files that go meanwhile do not count."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except FileNotFoundError:
                continue
    return total


def explain(output: str) -> str:
    """The sentence for what Git printed; when none is known, Git's own last error."""
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, output, re.IGNORECASE):
            return meaning
    lines = [line for line in output.splitlines() if line.startswith(("fatal:", "error:"))]
    last = _LEFTOVER.sub("?", lines[-1])[:_SHOWN_ERROR] if lines else "it gave no reason"
    return f"Git could not fetch the repository ({last})."


def _arrange(bare: Path, head: str) -> Imported:
    """Let the three branches stand where the remote's HEAD stood, lose no commit, and drop what we could not name."""
    present = dict(repositories.refs(bare, "refs/heads/"))
    commit = present.pop(head)
    notes: list[str] = []
    updates = [f"delete refs/heads/{head}"] if head not in TREE else []
    for name in TREE:
        theirs = present.pop(name, None)
        if theirs is not None and theirs != commit:
            kept = _free_name(f"imported-{name}", present)
            updates.append(f"update refs/heads/{kept} {theirs}")
            present[kept] = theirs
            notes.append(f"The remote's branch {name} is kept as {kept}.")
        updates.append(f"update refs/heads/{name} {commit}")
    for name in [name for name in present if name.partition("/")[0] in TREE and "/" in name]:
        # Git cannot have the branches "master" and "master/x" at once.
        kept = _free_name(f"imported-{name}", present)
        updates = [f"delete refs/heads/{name}", *updates, f"update refs/heads/{kept} {present[name]}"]
        present[kept] = present.pop(name)
        notes.append(f"The remote's branch {_shown(name)} is kept as {_shown(kept)}.")
    if head != "master":
        notes.append(f"The remote's default branch {_shown(head)} is called master here.")
    for name in [name for name in present if not names.is_branch(name)]:
        del present[name]
        updates.append(f"delete refs/heads/{name}")
        notes.append(f"The branch {_shown(name)} was left out: its name cannot be an environment's.")
    # Deletions first, by themselves: a branch may need the place where another one's folder was.
    for kind in ("delete", "update"):
        repositories.update_refs(bare, [line for line in updates if line.startswith(kind)])
    return Imported(commit=commit, branches=[*TREE, *present], notes=notes)


def _free_name(wanted: str, taken: Mapping[str, str]) -> str:
    number = 1
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _shown(text: str) -> str:
    return _LEFTOVER.sub("?", text)[:80]
