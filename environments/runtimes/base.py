"""The seam between what is asked of an environment and what runs it: plain data in, plain data out.

A Runtime is a set of small verbs, each safe to repeat: doing it twice leaves the same as doing it once. Nothing here
knows the database, HTTP, or who asked.
"""

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from environments.manifest import App, Mount, Worker
from environments.process import Watch
from environments.routing import ResolvedRoute

if TYPE_CHECKING:
    from environments.runtimes.crons import Crons
    from environments.runtimes.gauges import Gauges
    from environments.runtimes.workers import Workers

# Files in Home.marks of a public environment, looked at with each request: see environments/marks.py.
ASKED = "asked"  # the portal is asked about visitors
UNLISTED = "unlisted"  # search engines are asked to stay away
SHARED = "shared"  # name of the network of environments that have none of their own
EVERYWHERE = "0.0.0.0"  # noqa: S104 - every address of the environment's own network


class RuntimeFailure(Exception):
    """Something that was run did not do what it must. `error_id` is stable; `message` tells the person what to do."""

    def __init__(self, error_id: str, message: str, *, by_user: bool = True) -> None:
        super().__init__(message)
        self.error_id = error_id
        self.message = message
        self.by_user = by_user


@dataclass(frozen=True)
class Place:
    """Where an environment lives on the runtime."""

    project_id: str
    machine_name: str
    key: int  # the environment's primary key: short names of sockets and program groups are made of it


@dataclass(frozen=True)
class Sandbox:
    """One program in a sandbox. Paths on the left of a bind are the host's, on the right the program's."""

    argv: Sequence[str]
    env: Mapping[str, str]
    read_only: Sequence[tuple[Path, str]] = ()
    writable: Sequence[tuple[Path, str]] = ()
    cwd: str = "/"
    hosts: Mapping[str, str] = field(default_factory=dict)  # host name -> address, for /etc/hosts
    memory: int | None = None  # bytes
    processes: int = 512
    file_size: int | None = None  # bytes, the largest file it may write
    label: str = ""  # for the control group's name: letters, digits and dashes
    stop_signal: str = "TERM"  # what asks the program itself to end


@dataclass(frozen=True)
class ServiceSpec:
    """A backing service of an environment, as the runtime must make and keep it."""

    place: Place
    name: str
    engine: str
    version: str
    asked: str  # the type in services.yaml, "mysql:10.4"
    address: str
    port: int
    secrets: Mapping[str, Any]
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class BuildSpec:
    """One app to build. `tree` holds its source on entry and the finished slug afterwards."""

    activity_id: str
    project_id: str
    app: App
    tree: Path
    cache: Path
    env: Mapping[str, str]


@dataclass(frozen=True)
class ProgramSpec:
    """A web app or a worker of a release. A worker's name is "app--worker"."""

    name: str
    app: App
    worker: Worker | None
    slug: Path
    env: Mapping[str, str]
    port: int | None  # leased to it; None when it listens on a socket
    hosts: Mapping[str, str] = field(default_factory=dict)  # "<relationship>.internal" -> address, for it alone


@dataclass(frozen=True)
class ReleaseSpec:
    place: Place
    number: int
    programs: Sequence[ProgramSpec]
    routes: Sequence[ResolvedRoute]
    hosts: Mapping[str, str]  # host name -> address, for all its programs
    public: bool  # open to everyone unless the mark ASKED is set; the others always ask the portal
    portal_url: str
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)  # host of routes -> others that mean the same
    version: int = 1

    @property
    def group(self) -> str:
        """Name of its program group."""
        return f"e{self.place.key}-r{self.number}"


@dataclass(frozen=True)
class Probe:
    """What a new release answered to a real request through its own front door."""

    ok: bool
    status: int | None  # HTTP status, None when there was no answer
    milliseconds: float
    reason: str = ""


@dataclass(frozen=True)
class Stray:
    """Something on the runtime that belongs to no environment, or to no service that its environment has."""

    what: str  # "The program group e12-r3"
    age: float  # seconds since it last changed
    remove: Callable[[], None]


@dataclass(frozen=True)
class Entry:
    """How somebody wants to be in the sandbox of a program. With neither command nor files: a shell."""

    command: str | None = None  # for bash
    files: bool = False  # SFTP on standard input and output
    terminal: str = ""  # its TERM, when all three streams will be a terminal
    prompt: str = ""  # before each line of an interactive shell; bash's own escapes mean something in it


@dataclass(frozen=True)
class Inside:
    """A program that waits to be started by whoever asked for it, and what must be cleared away after its end."""

    argv: Sequence[str]
    place: Place
    label: str
    description: Path


@dataclass(frozen=True)
class Snapshot:
    """A copy of all data of an environment, of one instant."""

    at: datetime
    held: float  # seconds for which its programs stood still
    folders: Mapping[str, str]  # by service: the name of its folder, see Runtime.snapshot
    counts: Mapping[str, Mapping[str, int]]  # by service: what was counted at that instant, {"tables": 12}


class Runtime(Protocol):
    name: str

    @property
    def crons(self) -> "Crons": ...

    @property
    def workers(self) -> "Workers": ...

    @property
    def gauges(self) -> "Gauges": ...

    def languages(self) -> Mapping[str, Sequence[str]]:
        """Installed versions by language, e.g. {"php": ["8.2"], "python": ["3.11"]}."""
        ...

    def engines(self) -> Mapping[str, Sequence[str]]:
        """Installed versions by service type, aliases included, e.g. {"mariadb": ["10.11"], "mysql": ["10.11"]}."""
        ...

    def prepare(self) -> None:
        """Make what the first environment would otherwise wait for; nothing when it is there."""
        ...

    def build(self, spec: BuildSpec, watch: Watch) -> None:
        """Install dependencies, run the flavor and the build hook in a sandbox. Raises RuntimeFailure."""
        ...

    def provision(self, spec: ServiceSpec, watch: Watch) -> None:
        """Make the service when it does not exist, start it when it does not run, and wait until it answers."""
        ...

    def answers(self, spec: ServiceSpec) -> bool:
        """Whether the service answers a real query now."""
        ...

    def stop_service(self, spec: ServiceSpec) -> None:
        """Stop it and keep its data; `provision` starts it again."""
        ...

    def hold_service(self, spec: ServiceSpec, held: bool) -> bool:
        """Let a service that runs take no more data, or take it again. False: its engine cannot."""
        ...

    def remove_service(self, spec: ServiceSpec) -> None: ...

    def snapshot(self, place: Place, services: Sequence[ServiceSpec], into: Path, watch: Watch) -> Snapshot:
        """Copy the data of these services and all mounts, as they are at one instant, into a folder on this host.

        The folder has `services/<name>` and `mounts/<volume>`; it is whole, or not there. Whatever may write stands
        still meanwhile and goes on afterwards, also when we are killed: clients wait, nothing fails. What `into` held
        before is replaced. Raises RuntimeFailure.
        """
        ...

    def left_standing(self, place: Place) -> bool:
        """Whether programs stand still for a `snapshot` that was interrupted, together with all that cleans up."""
        ...

    def release_held(self, place: Place) -> bool:
        """Let these go on; False when there were none."""
        ...

    def keeps_aside(self, place: Place) -> bool:
        """Whether anything is kept aside, or waits in `incoming`."""
        ...

    def incoming(self, place: Place) -> Path:
        """Where a copy, such as `snapshot` makes, waits for `take_in`."""
        ...

    def take_in(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        """Make the data in `incoming` that of the environment and of these services, which are stopped for it.

        They take their own passwords with the next `provision`. What was there before is kept aside.
        """
        ...

    def give_back(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        """Undo `take_in`: what was there before is there again, and the services are stopped. Nothing when nothing is
        kept aside."""
        ...

    def discard_aside(self, place: Place) -> None:
        """Remove what `take_in` kept aside, and what still waits in `incoming`."""
        ...

    def throw_away(self, folder: Path) -> None:
        """Remove a folder of this host that one of these verbs filled; nothing when it is not there."""
        ...

    def count(self, spec: ServiceSpec, data: Path, watch: Watch) -> Mapping[str, int]:
        """Run a throw-away service on this copy of its data, out of everybody's reach, and read all of it.

        Returns rows by table, keys by database; the copy is used up. Raises RuntimeFailure.
        """
        ...

    def place(self, release: ReleaseSpec) -> None:
        """Write what the release needs in order to start: configuration, mounts, programs."""
        ...

    def start(self, release: ReleaseSpec) -> None:
        """Start the release beside the one that serves; returns when its programs run, not when they answer.

        Its workers and crons begin only when the edge is switched to it: two releases never work on the same data.
        """
        ...

    def probe(self, release: ReleaseSpec, *, timeout: float, watch: Watch) -> Probe:
        """Ask until it answers properly or the time (seconds) is over."""
        ...

    def run(self, release: ReleaseSpec, program: str, script: str, watch: Watch, *, log: str = "") -> int:
        """Run a dash script (hook, cron, command) as the program would run; returns its exit code.

        With `log`, what it prints is also added to the program's log of that name: /var/log/deploy.log for "deploy".
        """
        ...

    def enter(self, release: ReleaseSpec, program: str, entry: Entry) -> Inside:
        """Prepare a sandbox of its own beside a program: same files, variables, hosts and limits. The caller starts the
        argument list with its own streams, once, and calls `leave` whether it did or not. Raises RuntimeFailure."""
        ...

    def leave(self, inside: Inside) -> str:
        """Clear away what `enter` made, after the program ended. Returns why the runtime ended it, or ""."""
        ...

    def logs(self, place: Place) -> Path:
        """The folder with the environment's logs, see environments.log_files. It may not exist yet."""
        ...

    def mount(self, place: Place, program: str, mount: Mount) -> tuple[Path, str]:
        """(folder, path below it) where the files of an app's or worker's kept mount lie. They belong to strangers:
        whatever is opened there is opened beneath the folder, through no link. It may not exist yet."""
        ...

    def front(self, release: ReleaseSpec) -> Path:
        """The Unix socket at which the release answers the edge."""
        ...

    def stop(self, place: Place, number: int) -> None:
        """Stop a release and remove what `place` wrote for it; requests in flight finish first."""
        ...

    def remove(self, place: Place) -> None:
        """Remove the environment whole: releases, services, mounts, logs, sockets."""
        ...

    def connect(self, place: Place, address: str, port: int) -> socket.socket:
        """A TCP connection made from inside the environment, to one of its own services or apps. Raises OSError."""
        ...

    def listen(self, place: Place, address: str, port: int) -> socket.socket:
        """A TCP socket that listens inside the environment, on an address that none of its programs takes.

        Where environments share the host's network it listens there. Raises OSError.
        """
        ...

    def mail(self, place: Place) -> tuple[str, int]:
        """Address and port at which the environment's programs hand over mail, and the portal is to listen."""
        ...

    def network(self, place: Place) -> str:
        """Names the network that the environment has now; another one when it was made anew, "" while it has none.

        SHARED where environments have none of their own.
        """
        ...

    def why_shared(self) -> str | None:
        """Why environments share the host's network; None where each has one of its own."""
        ...

    def releases(self, place: Place) -> Sequence[int]:
        """Numbers of the releases that have anything on the runtime, running or not."""
        ...

    def strays(self, known: Mapping[Place, Collection[str] | None]) -> Sequence[Stray]:
        """What is on the runtime beside these environments and their services (None: whatever it has is its own)."""
        ...

    def healthy(self, release: ReleaseSpec) -> bool:
        """Whether every program of the release runs now."""
        ...
