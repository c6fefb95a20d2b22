"""Where the parts of an environment lie on this host, and under which names its programs run."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from environments import process
from environments.runtimes.base import Place
from environments.runtimes.local.sandbox import interpreter
from portal.paths import Home

_SWEEP = Path(__file__).with_name("sweep.py")


@dataclass(frozen=True)
class Layout:
    """One environment on disk. Below `folder` only `mounts`, `services`, `aside` and `logs` cannot be made again."""

    home: Home
    place: Place

    @property
    def folder(self) -> Path:
        return self.home.environment(self.place.project_id, self.place.machine_name)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def mounts(self) -> Path:
        return self.folder / "mounts"

    @property
    def services(self) -> Path:
        return self.folder / "services"

    @property
    def crons(self) -> Path:
        """What became of runs of crons, and what their schedulers must heed."""
        return self.folder / "crons"

    @property
    def crons_quiet(self) -> Path:
        """While it is here, and not out of date, no cron begins."""
        return self.crons / "quiet"

    @property
    def crons_off(self) -> Path:
        """While it is here, no schedule begins a run."""
        return self.crons / "off"

    @property
    def incoming(self) -> Path:
        """A copy of data that waits to be taken in, see data.py."""
        return self.folder / "incoming"

    @property
    def aside(self) -> Path:
        """What was there before it was taken in."""
        return self.folder / "aside"

    @property
    def releases(self) -> Path:
        return self.folder / "run"

    def release(self, number: int) -> Path:
        """Descriptions and configuration of a release's programs, and their folders for the time they run."""
        return self.releases / str(number)

    @property
    def sockets(self) -> Path:
        return self.home.sockets(self.place.key)

    @property
    def marks(self) -> Path:
        return self.home.marks(self.place.key)

    @property
    def door(self) -> Path:
        """Where programs get the environment's network from; in no sandbox's sight."""
        return self.sockets / "net.sock"

    @property
    def network(self) -> tuple[Path, Path]:
        """What a program that joins the environment's network is told."""
        return self.door, self.home.network

    def release_sockets(self, number: int) -> Path:
        return self.sockets / str(number)

    def front(self, number: int) -> Path:
        return self.release_sockets(number) / "front.sock"

    def probe(self, number: int) -> Path:
        """A second door of the same site, for us alone: it lets everybody in."""
        return self.release_sockets(number) / "probe.sock"

    def group(self, number: int) -> str:
        return f"e{self.place.key}-r{number}"

    def service_group(self, service: str) -> str:
        return f"e{self.place.key}-s-{plain(service)}"

    def volume(self, app: str, service: str | None = None) -> Path:
        """The folder that the mounts of an app, or of a storage service, are folders of."""
        return self.mounts / (f"service-{plain(service)}" if service else f"app-{plain(app)}")

    def log(self, program: str, kind: str) -> Path:
        return self.logs / f"{plain(program)}.{kind}.log"


def plain(name: str) -> str:
    """A name that may stand in file names and in supervisord's files: itself where it can, else itself and a hash."""
    if re.match(r"[a-z0-9][a-z0-9-]*\Z", name) and len(name) <= 40:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:30].strip("-") + f"-{digest}"


def make_private(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def throw_away(home: Home, paths: Sequence[Path]) -> None:
    """Take folders out of the way at once; a process of its own deletes them, however long that takes."""
    trash = home.root / "trash"
    trash.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in paths:
        try:
            path.rename(trash / secrets.token_hex(8))
        except FileNotFoundError:
            continue
    # What an interrupted deletion left goes too.
    if any(trash.iterdir()):
        process.detach([interpreter(), "-IS", str(_SWEEP), str(trash)])
