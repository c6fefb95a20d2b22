"""Where the code runs from: the checkout, or a copy below the home when the user that runs it cannot read that."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from launcher import progress
from launcher.errors import Refused
from launcher.home import Layout
from launcher.user import RunUser

_NEVER = {
    ".git",
    "var",
    "__pycache__",
    ".venv",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
}


def place(checkout: Path, layout: Layout, user: RunUser) -> Path:
    """The folder that the code runs from. Refreshes the copy, if there must be one, when the checkout changed."""
    files = list_files(checkout)
    if not user.drop or _readable(checkout, files, user):
        return checkout
    state = _state(checkout, files)
    stamp = layout.app / ".slipway-copy"
    if stamp.is_file() and not stamp.is_symlink() and stamp.read_text() == state:
        return layout.app
    progress.line(f"Copying the code to {layout.app}, because {user.name} cannot read {checkout}")
    _copy(checkout, files, state, layout, user)
    return layout.app


def list_files(checkout: Path) -> list[str]:
    """Relative paths: what Git tracks and what it would; without Git, everything but state and caches."""
    # The checkout often belongs to someone else than root; Git refuses to look at it then unless told.
    ask = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(checkout),
        "ls-files",
        "-z",
        "-co",
        "--exclude-standard",
    ]
    try:
        result = subprocess.run(ask, capture_output=True, check=False)
        found = os.fsdecode(result.stdout).split("\0") if result.returncode == 0 else []
    except FileNotFoundError:
        found = []
    files = [name for name in found if name and os.path.lexists(checkout / name)]
    return sorted(files or _walk(checkout))


def _walk(checkout: Path) -> Iterable[str]:
    for folder, subfolders, names in os.walk(checkout):
        subfolders[:] = [name for name in subfolders if name not in _NEVER]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), checkout)


def _readable(checkout: Path, files: list[str], user: RunUser) -> bool:
    """Whether the user reads every file; one test per folder's permissions and a look at each file's mode."""
    folders = {str(Path(name).parent) for name in files}
    if not all(user.can("-x", checkout / folder) for folder in sorted(folders, key=len)[:1]):
        return False
    for name in [*folders, *files]:
        found = os.lstat(checkout / name)
        wanted = 0o5 if name in folders else 0o4
        own = found.st_uid == user.uid
        if not own and (found.st_mode & wanted) != wanted and not os.path.islink(checkout / name):
            return False
    return user.can("-r", checkout / "manage.py")


def _state(checkout: Path, files: list[str]) -> str:
    summary = hashlib.sha256()
    for name in files:
        found = os.lstat(checkout / name)
        summary.update(
            f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_mode}\n".encode(
                errors="surrogateescape"
            )
        )
    return summary.hexdigest()


def _copy(checkout: Path, files: list[str], state: str, layout: Layout, user: RunUser) -> None:
    """Root reads, the user writes: a pipe between the two, so that neither does the other's part."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            _pack(checkout, files, writer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    try:
        user.call(_unpack, reader, state, str(layout.app))
    finally:
        os.close(reader)
        _, status = os.waitpid(pid, 0)
    if status != 0:
        raise Refused(f"the code in {checkout} changed while it was copied; run the command again")


def _pack(checkout: Path, files: list[str], writer: int) -> None:
    with os.fdopen(writer, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
        for name in files:
            archive.add(checkout / name, arcname=name, recursive=False)


def _unpack(reader: int, state: str, app: str) -> None:
    fresh, old = Path(app + ".new"), Path(app + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    with os.fdopen(os.dup(reader), "rb") as pipe, tarfile.open(fileobj=pipe, mode="r|") as archive:
        archive.extractall(fresh, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(
            fresh
        )
    (fresh / ".slipway-copy").write_text(state)
    if os.path.isdir(app):
        os.rename(app, old)
    os.rename(fresh, app)
    shutil.rmtree(old, ignore_errors=True)
