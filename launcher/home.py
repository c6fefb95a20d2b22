"""SLIPWAY_HOME: where it really is, and the paths below it. tests/launcher compares them with portal/paths.py."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import Refused
from launcher.user import SYSTEM_USER, RunUser, name_of

RELOCATED = Path("/var/lib/slipway")
LEAST_FREE = 1024**3
# A Unix socket's path has at most 107 bytes; the longest one below a home takes 55 of them.
LONGEST_HOME = 50
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*\Z")


@dataclass(frozen=True)
class Layout:
    """One instance on disk. `root` is what every process gets as SLIPWAY_HOME: `real`, or a short link to it."""

    real: Path
    root: Path

    @property
    def instance(self) -> str:
        """Names this instance among others on the machine."""
        return digest(str(self.real))

    @property
    def memory(self) -> Path:
        """What the last start was told: ports, domain, database. 0600, because a database URL holds a password."""
        return self.root / "secrets" / "environment.json"

    @property
    def process_environ(self) -> Path:
        """The environment of the portal's processes, for launcher/guard.py; 0600 for the same reason."""
        return self.run / "environ.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def app(self) -> Path:
        """The copy of the code, used when the checkout cannot be read by the user that runs it."""
        return self.root / "app"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def setup_log(self) -> Path:
        return self.logs / "setup.log"

    @property
    def edge(self) -> Path:
        return self.root / "edge"

    @property
    def certificates(self) -> Path:
        """Certificates that the edge obtained, their keys, and its account."""
        return self.root / "certificates"

    @property
    def edge_token(self) -> Path:
        return self.secrets / "edge.token"

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def database(self) -> Path:
        return self.root / "slipway.sqlite3"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def supervisor_config(self) -> Path:
        return self.root / "supervisor" / "supervisord.conf"

    @property
    def supervisor_programs(self) -> Path:
        return self.root / "supervisor" / "conf.d"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def web_socket(self) -> Path:
        return self.run / "web" / "web.sock"

    @property
    def hook_socket(self) -> Path:
        return self.run / "hook.sock"

    @property
    def network(self) -> Path:
        return self.run / "network"

    @property
    def ssh_host_key(self) -> Path:
        return self.secrets / "ssh_host_ed25519"

    def make(self) -> None:
        """Create the folders that a start needs; called as the user that runs Slipway."""
        private = [self.secrets, self.run, self.web_socket.parent, self.certificates]
        for folder in [*private, self.logs, self.cache, self.edge, self.static, self.supervisor_programs]:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for folder in private:
            folder.chmod(0o700)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:10]


def requested_home(environ: dict[str, str], checkout: Path) -> Path:
    given = environ.get("SLIPWAY_HOME", "")
    path = Path(os.path.abspath(Path(given).expanduser())) if given else checkout / "var"
    if "\n" in str(path) or "\0" in str(path):
        raise Refused("SLIPWAY_HOME has a line break in it; choose another folder")
    return path


def locate(requested: Path) -> Layout:
    """The home of an instance that was started before. Changes nothing."""
    real = requested.resolve()
    try:
        if not (real / "supervisor").is_dir():
            raise Refused(f"nothing has been started in {requested} yet; begin with ./slipway up")
    except PermissionError as error:
        raise Refused(f"{real} is not yours to read; run this as the user that started it, or as root") from error
    link = _short_name(real)
    linked = link.is_symlink() and link.readlink() == real and link.lstat().st_uid in (0, real.stat().st_uid)
    return Layout(real, link if linked else real)


def settle(requested: Path, user: RunUser, *, relocated: Path = RELOCATED) -> Layout:
    """Find or create the home so that `user` can work in it, and make its short name. Called with all rights."""
    real = requested.resolve()
    if user.drop and not user.can("-x", _nearest_existing(real)):
        real = _relocate(requested, relocated)
    _create(real, user)
    layout = Layout(real, _short_name(real))
    if layout.root != real:
        _link(layout.root, real)
    return layout


def check_space(layout: Layout) -> None:
    free = shutil.disk_usage(layout.real).free
    if free < LEAST_FREE:
        raise Refused(
            f"the disk of {layout.real} is full: {free // 1024**2} MB are free and Slipway needs at least 1 GB. "
            "Free some space, or set SLIPWAY_HOME to a folder on another disk"
        )


@contextmanager
def lock(layout: Layout) -> Iterator[None]:
    """One start or stop at a time in one home."""
    handle = os.open(layout.real / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another ./slipway is starting or stopping in {layout.real}; wait for it to end") from None
        yield
    finally:
        os.close(handle)


def remembered(layout: Layout) -> dict[str, str]:
    try:
        stored = json.loads(layout.memory.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Refused(f"{layout.memory} is damaged; delete it and give the settings again") from error
    return {str(key): str(value) for key, value in stored.items()}


def remember(layout: Layout, settings: dict[str, str]) -> None:
    fresh = layout.memory.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        json.dump(settings, handle, indent=2, sort_keys=True)
    fresh.rename(layout.memory)


def forget_short_name(layout: Layout) -> None:
    if layout.root != layout.real and layout.root.is_symlink():
        layout.root.unlink(missing_ok=True)


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _relocate(requested: Path, relocated: Path) -> Path:
    """Keep the data where the system user reaches it, with a link at the place that was asked for."""
    real = relocated / digest(str(requested))
    if requested.is_symlink():
        raise Refused(f"{requested} is a link to a folder that the user slipway cannot reach; remove the link")
    if requested.is_dir():
        try:
            requested.rmdir()
        except OSError as error:
            raise Refused(
                f"{requested} holds files, but the user slipway cannot reach it; "
                "set SLIPWAY_HOME to another folder, or make this one reachable"
            ) from error
    relocated.mkdir(mode=0o755, parents=True, exist_ok=True)
    real.mkdir(exist_ok=True)
    requested.parent.mkdir(parents=True, exist_ok=True)
    requested.symlink_to(real)
    return real


def _create(real: Path, user: RunUser) -> None:
    try:
        real.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise Refused(f"{real} is not a folder; set SLIPWAY_HOME to one") from error
    except PermissionError as error:
        raise Refused(f"{real} cannot be created by {user.name}; set SLIPWAY_HOME to a writable folder") from error
    owner = real.stat().st_uid
    if owner != user.uid and user.drop and not any(real.iterdir()):
        real.chmod(0o750)
        os.chown(real, user.uid, user.gid)
        owner = user.uid
    if owner != user.uid:
        raise Refused(
            f"{real} belongs to {name_of(owner)} and Slipway would run as {user.name}; "
            f"start it as {name_of(owner)}, or set SLIPWAY_HOME to another folder"
            if owner != 0 or not user.drop
            else f"{real} belongs to root and is not empty; empty it, or set SLIPWAY_HOME to another folder"
        )
    if not user.can("-w", real):
        raise Refused(f"{real} is not writable by {user.name}; set SLIPWAY_HOME to a writable folder")


def _short_name(real: Path) -> Path:
    """The path itself, or a link when it is too long for sockets or has characters that configuration files split."""
    if len(os.fsencode(real)) <= LONGEST_HOME and PLAIN_PATH.match(str(real)):
        return real
    owner = real.stat().st_uid
    if name_of(owner) == SYSTEM_USER:
        return Path("/run/slipway") / digest(str(real))
    return Path(f"/tmp/slipway-{owner}-{digest(str(real))}")  # whose it is gets checked when it is made and used


def _link(link: Path, real: Path) -> None:
    if link.parent != Path("/tmp"):
        link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if link.is_symlink() or link.exists():
        if link.lstat().st_uid != os.geteuid() or not link.is_symlink():
            raise Refused(f"{link} belongs to {name_of(link.lstat().st_uid)}, and this home needs it; remove it")
        if link.readlink() == real:
            return
        link.unlink()
    link.symlink_to(real)
