"""Real servers for tests, always run by an unprivileged user: the servers refuse root, and so does the product."""

import multiprocessing
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from environments.backing.base import Engine
from environments.runtimes.base import Place, Sandbox, ServiceSpec
from environments.runtimes.local import sandbox

USER = "slipway"
T = TypeVar("T")


def _account() -> pwd.struct_passwd:
    """The user the tests drop to, made when root finds none."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run(["useradd", *options, "--shell", "/usr/sbin/nologin", USER], check=False)
        return pwd.getpwnam(USER)


def is_root() -> bool:
    return os.geteuid() == 0


def give_away(path: Path) -> Path:
    """Let the unprivileged user write in a folder that the tests made."""
    if is_root():
        os.chown(path, _account().pw_uid, _account().pw_gid)
    return path


def _dropped(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    account = _account()
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    try:
        pipe.send((function(*arguments), None))
    except BaseException as error:
        pipe.send((None, (type(error), error.args, vars(error))))  # not all of them can be pickled themselves


def unprivileged(function: Callable[..., T], *arguments: Any) -> T:
    """Call it as the user that the product runs as; in a forked process when the tests are run by root."""
    if not is_root():
        return function(*arguments)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_dropped, args=(theirs, function, arguments))
    child.start()
    theirs.close()
    try:
        result, raised = ours.recv()
    finally:
        child.join()
    if raised is not None:
        kind, kind_arguments, attributes = raised
        error = kind.__new__(kind)
        error.args = kind_arguments
        vars(error).update(attributes)
        raise error
    return result  # type: ignore[no-any-return]


def free_address(port: int) -> str:
    """A loopback address of the range that services get, on which nothing listens at `port` now."""
    while True:
        address = f"127.{random.randint(64, 127)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return address


def sandboxed(box: Sandbox, folder: Path) -> Sandbox:
    """The same program, to be started in a sandbox of the local runtime."""
    description, launch = folder / "description.json", folder / "launch.py"
    shutil.copy(sandbox.LAUNCH, launch)  # the checkout may be closed to the other user
    launch.chmod(0o644)
    unprivileged(sandbox.write, description, box)
    return replace(box, argv=[sandbox.interpreter(), "-IS", str(launch), str(description)], env={}, cwd="/")


def start(box: Sandbox, log: Path) -> "subprocess.Popen[bytes]":
    drop = ["setpriv", "--pdeathsig", "KILL"]
    if is_root():
        drop += [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*drop, "--", *box.argv],
            env={"PATH": "/usr/bin:/bin", **box.env},
            cwd=box.cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@dataclass
class Server:
    """One backing service in a folder of its own."""

    engine: Engine
    spec: ServiceSpec
    home: Path
    times: dict[str, float] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data(self) -> Path:
        return self.home / "services" / self.spec.name / "data"

    @property
    def sockets(self) -> Path:
        return self.home / "sockets"

    def reconfigured(self, **changes: Any) -> None:
        self.spec = replace(self.spec, **changes)

    def timed(self, name: str, function: Callable[..., T], *arguments: Any) -> T:
        started = time.monotonic()
        result = unprivileged(function, *arguments)
        self.times[name] = time.monotonic() - started
        return result

    def create(self) -> None:
        self.timed("create", self.engine.create, self.spec, self.data, self.sockets)

    def configure(self) -> None:
        self.timed("configure", self.engine.configure, self.spec, self.sockets)

    def is_ready(self) -> bool:
        return unprivileged(self.engine.ready, self.spec, self.sockets)

    def start(self, *, confined: bool = False) -> None:
        started = time.monotonic()
        box = self.engine.program(self.spec, self.data, self.sockets)
        self.process = start(sandboxed(box, self.home) if confined else box, self.home / "log")
        while not self.engine.ready(self.spec, self.sockets):
            assert self.process.poll() is None, (self.home / "log").read_text()
            assert time.monotonic() - started < 30, (self.home / "log").read_text()
            time.sleep(0.02)
        self.times["start"] = time.monotonic() - started

    def stop(self, number: int | None = None) -> int:
        """Stop it as the runtime would, or with another signal; its exit code."""
        assert self.process is not None
        wanted = self.engine.program(self.spec, self.data, self.sockets).stop_signal
        os.killpg(self.process.pid, number or getattr(signal, f"SIG{wanted}"))
        code = self.process.wait(20)
        self.process = None
        return code

    def relationship(self, endpoint: str = "") -> dict[str, Any]:
        return self.engine.relationship(self.spec, "database", endpoint)

    def resident(self) -> int:
        """Bytes: proportional set size of the server and its children."""
        assert self.process is not None
        total = 0
        for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
            try:
                if os.getpgid(int(status.parent.name)) == self.process.pid:
                    line = next(line for line in status.read_text().splitlines() if line.startswith("Pss:"))
                    total += int(line.split()[1]) * 1024
            except (OSError, StopIteration):
                continue
        return total


def make(engine: Engine, asked: str, home: Path, configuration: dict[str, Any] | None = None, key: int = 1) -> Server:
    configuration = configuration or {}
    spec = ServiceSpec(
        place=Place("abcdefghijklm", f"main-{key}abcdef", key),
        name="db",
        engine=engine.name,
        version=engine.versions()[-1],
        asked=asked,
        address=free_address(engine.port),
        port=engine.port,
        secrets=engine.new_secrets(configuration),
        configuration=configuration,
    )
    give_away(home)
    return Server(engine, spec, home)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.create()
        server.start()
        server.configure()
        yield server
    finally:
        kill(server)


def kill(server: Server) -> None:
    if server.process is not None:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.process = None
