"""A running ssh process for tests: the real server in a thread, real keys, the real git and ssh."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from deployments.ssh import server
from environments import repositories
from portal import keys
from portal.models import Project, SSHKey, User

APP = 'name: app\ntype: "python:3.11"\nweb:\n  commands:\n    start: "sleep 1"\n'


@dataclass
class Client:
    """A person at their computer: a key, a folder, git and ssh."""

    folder: Path
    port: int
    address: str = ""
    options: list[str] = field(default_factory=list)

    @property
    def key(self) -> Path:
        return self.folder / "id"

    def ssh_command(self, *extra: str) -> list[str]:
        fixed = ("BatchMode=yes", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", "LogLevel=ERROR")
        # Of several values of one option ssh takes the first.
        options = [*self.options, *fixed, f"UserKnownHostsFile={self.folder / 'known_hosts'}"]
        argv = ["ssh", "-F", "/dev/null", "-i", str(self.key), "-p", str(self.port)]
        argv += ["-b", self.address] if self.address else []
        return [*argv, *(part for option in options for part in ("-o", option)), *extra]

    def ssh(self, user: str, *command: str, timeout: float = 30) -> "subprocess.CompletedProcess[str]":
        argv = [*self.ssh_command(), f"{user}@127.0.0.1", *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        fixed = {"GIT_SSH_COMMAND": " ".join(self.ssh_command()), "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C.UTF-8"}
        who = {
            f"GIT_{role}_{what}": "ada@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return {**os.environ, **fixed, **who, "GIT_CONFIG_NOSYSTEM": "1", **(extra or {})}

    def git(
        self, *arguments: str, at: Path | None = None, check: bool = True, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            ["git", *arguments],
            cwd=at or self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def url(self, project: Project) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/{project.pk}.git"

    def clone(self, project: Project, name: str = "work") -> Path:
        self.git("clone", "-q", self.url(project), name)
        return self.folder / name

    def commit(self, at: Path, files: Mapping[str, str], message: str = "Change something") -> str:
        for path, text in files.items():
            (at / path).parent.mkdir(parents=True, exist_ok=True)
            (at / path).write_text(text)
        self.git("add", "--all", at=at)
        self.git("commit", "-q", "--allow-empty", "-m", message, at=at)
        return self.git("rev-parse", "HEAD", at=at).stdout.strip()


def new_client(folder: Path, port: int, user: User | None) -> Client:
    """A client whose key is the user's (nobody's when there is none)."""
    folder.mkdir(parents=True, exist_ok=True)
    client = Client(folder, port)
    private = ed25519.Ed25519PrivateKey.generate()
    client.key.touch(mode=0o600)
    client.key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    line = (
        private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    )
    if user is not None:
        register(user, line)
    return client


def register(user: User, line: str) -> SSHKey:
    parsed = keys.parse(line)
    return SSHKey.objects.create(
        user=user,
        title="laptop",
        kind=parsed.kind,
        bits=parsed.bits,
        public_key=parsed.line,
        fingerprint=parsed.fingerprint,
    )


@contextmanager
def running() -> Iterator[int]:
    """The server on a free port, which is yielded."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    port: list[int] = []
    failure: list[BaseException] = []
    up = threading.Event()

    async def main() -> None:
        ready: asyncio.Future[int] = loop.create_future()
        ready.add_done_callback(lambda done: (port.append(done.result()), up.set()))
        await server.serve(stop, host="127.0.0.1", port=0, ready=ready)

    def run() -> None:
        try:
            loop.run_until_complete(main())
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            up.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    up.wait(10)
    assert not failure, failure
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def starter(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ({".platform.app.yaml": APP, "README": "hello\n"} | files).items():
        (folder / name).write_text(text)
    return folder


def make_repository(path: Path, folder: Path) -> str:
    return repositories.create_from_folder(path, starter(folder), message="Begin", author="Ada")
