"""Small releases to run, and a supervisord and a portal to run them under."""

import http.client
import os
import pwd
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

from environments.manifest import DictSource, Manifest, load
from environments.process import Watch
from environments.routing import resolve
from environments.runtimes.base import BuildSpec, Place, ProgramSpec, ReleaseSpec
from launcher import network
from launcher.home import Layout
from launcher.user import RunUser
from portal.paths import Home
from tests.environments.backing.servers import USER, give_away, is_root, unprivileged

HOST = "main-abc1234-projectid0000.localhost"
VERBS = (
    "prepare",
    "build",
    "provision",
    "remove_service",
    "stop_service",
    "hold_service",
    "place",
    "start",
    "probe",
    "run",
    "enter",
    "leave",
    "stop",
    "remove",
    "releases",
    "healthy",
    # of its crons
    "quiet",
    "wake",
    "quiet_until",
    "allow",
    "runs",
    "find",
    "output",
    "forget",
    "snapshot",
    "left_standing",
    "release_held",
    "take_in",
    "give_back",
    "discard_aside",
    "keeps_aside",
    "throw_away",
    "count",
)


class Dropped:
    """A runtime whose verbs are done by the unprivileged user when the tests are run by root.

    Output that a verb hands over is handed over when the verb has ended.
    """

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    @property
    def crons(self) -> "Dropped":
        return Dropped(self.runtime.crons)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.runtime, name)
        return verb if name not in VERBS else lambda *args, **options: _drop(verb, args, options)


def _drop(verb: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    watches = [value for value in (*args, *options.values()) if isinstance(value, Watch)]

    def call() -> tuple[Any, list[bytes], BaseException | None]:
        said: list[bytes] = []

        def collecting(value: Any) -> Any:
            return replace(value, output=said.append) if isinstance(value, Watch) else value

        result, raised = None, None
        try:
            result = verb(*map(collecting, args), **{name: collecting(value) for name, value in options.items()})
        except Exception as error:
            raised = error
        kind = None if raised is None else (type(raised), raised.args, vars(raised))
        return result, said, kind  # type: ignore[return-value]

    result, said, kind = unprivileged(call)
    for data in said:
        for watch in watches:
            watch.output(data)
    if kind is not None:
        error = kind[0].__new__(kind[0])  # type: ignore[index]
        error.args = kind[1]  # type: ignore[index]
        vars(error).update(kind[2])  # type: ignore[index]
        raise error
    return result


def drop_to_user() -> list[str]:
    drop = ["setpriv", "--pdeathsig", "KILL"]
    return [*drop, f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"] if is_root() else [*drop, "--"]


def settle_network(home: Home) -> None:
    """As the launcher does at a start."""
    account = pwd.getpwnam(USER) if is_root() else pwd.getpwuid(os.geteuid())
    user = RunUser(account.pw_name, account.pw_uid, account.pw_gid, drop=is_root())
    network.open_tun(user)
    give_away(home.run)
    user.call(lambda: network.settle(Layout(home.root, home.root), Path(__file__).parents[3], "auto").mode)


def start_supervisor(home: Home, environ: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    for folder in (home.run, home.supervisor_programs, home.web_socket.parent, home.edge, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (home.root, home.run, home.root / "supervisor", home.supervisor_programs, home.web_socket.parent):
        give_away(folder)
    config = home.root / "supervisor" / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nloglevel=info\npidfile={home.run}/supervisord.pid\n"
        f"childlogdir={home.run}\n"
        f"[unix_http_server]\nfile={home.supervisor_socket}\nchmod=0700\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[include]\nfiles={home.supervisor_programs}/*.ini\n"
    )
    # The interpreter of the tests may lie where the unprivileged user cannot go; the system's cannot.
    python = "/usr/bin/python3" if is_root() else sys.executable
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": sysconfig.get_path("purelib"), **(environ or {})}
    process = subprocess.Popen(
        [*drop_to_user(), python, "-m", "supervisor.supervisord", "-n", "-c", str(config)],
        env=env,
        stdout=(home.logs / "supervisord.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(home.supervisor_socket))
            return process
        assert process.poll() is None, "supervisord ended"
        time.sleep(0.02)
    raise AssertionError("supervisord does not answer")


def stop_supervisor(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Portal:
    """Answers what nginx asks the portal about visitors. Cookies and addresses in `allowed` may come in, and so may
    Authorization headers in `logins`; others are told to `ask`."""

    def __init__(self, path: Path) -> None:
        self.allowed: set[str] = set()
        self.logins: set[str] = set()
        self.ask = ""
        self.asked: list[dict[str, str]] = []
        portal = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                portal.asked.append(
                    {"path": self.path, **{name.lower(): value for name, value in self.headers.items()}}
                )
                cookie = (self.headers.get("Cookie") or "").partition("=")[2]
                said = self.headers.get("Authorization") or ""
                if self.path.startswith("/-/visit/check") and said in portal.logins:
                    self.send_response(204)
                    self.send_header("X-Slipway-Login", "1")
                elif self.path.startswith("/-/visit/check"):
                    come = cookie in portal.allowed or self.headers.get("X-Forwarded-For") in portal.allowed
                    self.send_response(204 if come else 401)
                    if not come and portal.ask:
                        self.send_header("X-Slipway-Ask", portal.ask)
                else:
                    self.send_response(302)
                    self.send_header("Location", "/inside")
                    self.send_header("Set-Cookie", "slipway_visit=let-in; Path=/; HttpOnly")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingMixIn, UnixStreamServer):
            daemon_threads = True

        path.unlink(missing_ok=True)
        self._server = Server(str(path), Handler)
        path.chmod(0o666)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def get(
    socket_path: Path, path: str = "/", *, host: str = HOST, headers: Mapping[str, str] | None = None, **options: Any
) -> Answer:
    connection = _Connection(str(socket_path))
    try:
        method = options.get("method", "GET")
        connection.request(method, path, body=options.get("body"), headers={"Host": host, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def manifest(app: str, routes: str | None = None) -> Manifest:
    files: dict[str, bytes] = {".platform.app.yaml": app.encode()}
    if routes is not None:
        files[".platform/routes.yaml"] = routes.encode()
    return load(DictSource(files))  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """Files of an app, owned by the user that runs it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            give_away(path)
    return folder


@dataclass
class Maker:
    """Makes releases of an environment of its own."""

    home: Home
    key: int
    made: list[ReleaseSpec] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place("projectid0000", f"main-{self.key}", self.key)

    def release(
        self,
        app: str,
        files: Mapping[str, str],
        *,
        number: int = 1,
        routes: str | None = None,
        public: bool = True,
        env: Mapping[str, str] | None = None,
        hosts: Mapping[str, str] | None = None,
    ) -> ReleaseSpec:
        found = manifest(app, routes)
        programs = []
        for one in found.apps:
            slug = write_tree(self.home.root / "slugs" / f"{self.key}-{number}-{one.name}", files)
            tcp = one.upstream.socket_family == "tcp"
            port = free_port() if tcp else None
            programs.append(ProgramSpec(one.name, one, None, slug, dict(env or {}), port))
            for worker in one.workers.values():
                programs.append(ProgramSpec(worker.full_name, one, worker, slug, dict(env or {}), None))
        release = ReleaseSpec(
            place=self.place,
            number=number,
            programs=programs,
            routes=resolve(found, default_host=HOST),
            hosts=dict(hosts or {}),
            public=public,
            portal_url="http://localhost:8000",
        )
        self.made.append(release)
        return release

    def build(self, app: str, files: Mapping[str, str], *, name: str = "b") -> BuildSpec:
        """A build of the app, which is always a fresh tree."""
        tree = write_tree(self.home.root / "builds" / f"{self.key}-{name}", files)
        cache = write_tree(self.home.root / "caches" / str(self.key), {})
        return BuildSpec(f"a{self.key}{name}", "projectid0000", manifest(app).apps[0], tree, cache, {})
