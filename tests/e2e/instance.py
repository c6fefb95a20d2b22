"""A whole running Slipway in a scratch home, driven only through what people have: the launcher, HTTP, Git and SSH."""

import json
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "lantern-otter-quay-71"


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on; both are held until both are known, or they could be the same."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def wait_for(what: str, question: Callable[[], object], seconds: float = 60) -> None:
    """Ask until the answer is true; the message of the failure is the last answer's own."""
    deadline = time.monotonic() + seconds
    answer: object = None
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds:g} s (last answer: {answer!r})")


class Loopback(httpx.HTTPTransport):
    """Resolves every name below localhost to this machine, as browsers and curl do."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions | {"sni_hostname": request.url.host},
        )
        return super().handle_request(here)


class Instance:
    def __init__(self, home: Path, work: Path, **settings: str) -> None:
        self.home = home
        self.work = work  # for clones and keys of the people who use it
        self.port, self.ssh_port = free_ports()
        self.url = f"http://localhost:{self.port}"
        self.trusted: ssl.SSLContext | bool = True  # what is believed about certificates
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")},
            "SLIPWAY_HOME": str(home),
            "SLIPWAY_PORT": str(self.port),
            "SLIPWAY_SSH_PORT": str(self.ssh_port),
            **settings,
        }
        self.env.pop("DJANGO_SETTINGS_MODULE", None)

    def launcher(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        done = subprocess.run(
            [str(ROOT / "slipway"), *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"./slipway {' '.join(arguments)}: {done.returncode}\n{output}"
        return output

    def shell(self, code: str) -> str:
        """Run Python inside the portal, for what a test needs to know and no page shows."""
        return self.launcher("manage", "shell", "--no-imports", "--verbosity", "0", "-c", code)

    def wrong(self) -> list[str]:
        """What the doctor finds."""
        output = self.launcher("manage", "doctor", "--json", check=False)
        return [finding["found"] for finding in json.loads(output[output.index("{") :])["wrong"]]

    def check_sound(self, seconds: float = 90) -> None:
        """Whatever was done to it: in the end everything is as it should be, and nothing is left over."""
        wrong: list[str] = []
        deadline = time.monotonic() + seconds
        while wrong := self.wrong():
            assert time.monotonic() < deadline, f"the doctor finds: {wrong}"
            time.sleep(1)

    def query(self, expression: str) -> object:
        prelude = "import json;" + "".join(
            f"from {app}.models import *;" for app in ("portal", "environments", "deployments")
        )
        output = self.shell(f"{prelude}print('=>' + json.dumps({expression}, default=str))")
        return json.loads(output.rpartition("=>")[2])

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read the portal's database; cheap enough to ask again and again."""
        with closing(sqlite3.connect(self.home / "slipway.sqlite3", timeout=30)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA query_only = true")
            return database.execute(sql, values).fetchall()

    # Git and SSH, as a person with a key of their own

    def key(self, name: str) -> Path:
        path = self.work / "keys" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path

    def git_env(self, name: str) -> dict[str, str]:
        command = (
            f"ssh -i {self.key(name)} -p {self.ssh_port} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no "
            "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none"
        )
        return {
            **os.environ,
            "GIT_SSH_COMMAND": command,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": f"{name}@example.org",
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": f"{name}@example.org",
        }

    def git(
        self, *arguments: str, cwd: Path | None = None, who: str = "mara", check: bool = True, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.work,
            env=self.git_env(who),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    def remote(self, project_id: str) -> str:
        return f"ssh://{project_id}@localhost:{self.ssh_port}/{project_id}.git"

    def clone(self, project_id: str, to: str, who: str = "mara", branch: str = "master") -> Path:
        target = self.work / to
        self.git("clone", "-q", "-b", branch, self.remote(project_id), str(target), who=who)
        return target

    def commit(self, checkout: Path, files: dict[str, str], message: str, who: str = "mara") -> str:
        for name, text in files.items():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text(text)
        self.git("add", "-A", cwd=checkout, who=who)
        self.git("commit", "-q", "-m", message, cwd=checkout, who=who)
        return self.git("rev-parse", "HEAD", cwd=checkout, who=who).stdout.strip()

    def get(self, url: str) -> httpx.Response:
        """A request of a visitor whom nobody knows."""
        with httpx.Client(transport=Loopback(verify=self.trusted), timeout=30) as visitor:
            return visitor.get(url)


def installed(home: Path) -> Path | None:
    """The interpreter of a home, or else of the checkout's own, that has every package already, as locked now."""
    locked = (ROOT / "requirements.txt").stat().st_mtime
    stamps = [stamp for each in (home, ROOT / "var") for stamp in (each / "venv").glob("*/complete")]
    ready = [stamp for stamp in stamps if stamp.stat().st_mtime > locked]
    return ready[0].parent / "bin" / "python" if ready else None


@contextmanager
def running(python: Path | None = None, **settings: str) -> Iterator[Instance]:
    """A started instance; `python` has all its packages already, which saves the installation."""
    base = Path(tempfile.mkdtemp(prefix="sw-"))
    base.chmod(0o755)
    (base / "work").mkdir()
    home = base / "home"
    home.mkdir(mode=0o755)
    if python is not None:
        settings["SLIPWAY_PYTHON"] = str(python)
    instance = Instance(home, base / "work", **settings)
    try:
        instance.launcher("up", "--detach")
        yield instance
    finally:
        instance.launcher("stop", check=False)
        shutil.rmtree(base, ignore_errors=True)
