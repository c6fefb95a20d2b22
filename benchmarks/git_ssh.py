"""Git over Slipway's SSH server against OpenSSH's sshd, on this machine, with the same git and the same repositories.

    python -m benchmarks.git_ssh [megabytes]

Prints ratios measured side by side in one run: of speeds for the large push and clone (more is better for us), of times
for the one-commit push and for 50 connections (below 1 is faster than sshd). sshd has no hooks; ours checks the push.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 5
PARALLEL = 50
CODE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Side:
    """One server: how to reach its repositories."""

    name: str
    port: int
    user: str
    repository: Path  # on disk
    path: str  # in the URL
    folder: Path  # for clones and keys

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}/{self.path}"

    def git(self, *arguments: str, at: Path) -> None:
        subprocess.run(["git", *arguments], cwd=at, env=self.environment(), check=True, stderr=subprocess.DEVNULL)

    def environment(self) -> dict[str, str]:
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        ssh = ["ssh", "-F", "/dev/null", "-i", str(self.folder / "id"), "-o", "SetEnv=PLATFORMSH_PUSH_NO_WAIT=1"]
        ssh += [part for option in options for part in ("-o", option)]
        who = {f"GIT_{role}_{what}": "bench" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return os.environ | who | {"GIT_SSH_COMMAND": " ".join(ssh), "GIT_CONFIG_GLOBAL": "/dev/null"}


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="bench-") as name, both(Path(name)) as sides:
        folder = Path(name)
        work = large(folder, megabytes)
        print(f"{megabytes} MB, median of {ROUNDS} rounds, {os.cpu_count()} cores")
        compare("push", sides, lambda side, n: push_all(side, work, n), speed=megabytes)
        compare("clone", sides, lambda side, n: clone(side, folder, n), speed=megabytes)
        small = {side.name: start_small(side, folder) for side in sides}
        compare("one-commit push", sides, lambda side, n: one_commit(side, small[side.name], n))
        compare(f"{PARALLEL} connections", sides, lambda side, n: connections(side))


def compare(what: str, sides: list[Side], run: Callable[[Side, int], None], speed: int = 0) -> None:
    taken: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(ROUNDS):
        # Whoever is first in one round is second in the next.
        for side in sides if number % 2 else sides[::-1]:
            started = time.perf_counter()
            run(side, number)
            taken[side.name].append(time.perf_counter() - started)
    ours, theirs = (statistics.median(taken[side.name]) for side in sides)
    if speed:
        rates = f"{speed / ours:6.1f} MB/s against {speed / theirs:6.1f} MB/s"
        print(f"{what:18} {rates}: {theirs / ours:.2f} of sshd's speed (aim: at least 0.85)", flush=True)
    else:
        times = f"{ours * 1000:6.0f} ms   against {theirs * 1000:6.0f} ms  "
        print(f"{what:18} {times}: {ours / theirs:.2f} of sshd's time (aim: below 1)", flush=True)


def large(folder: Path, megabytes: int) -> Path:
    work = folder / "large"
    work.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "big", "."], cwd=work, check=True)
    for number in range(megabytes):
        (work / f"file-{number}").write_bytes(os.urandom(1024 * 1024))
    who = ["-c", "user.name=bench", "-c", "user.email=bench"]
    subprocess.run(["git", *who, "-c", "core.compression=0", "add", "."], cwd=work, check=True)
    subprocess.run(["git", *who, "commit", "-q", "-m", "Large"], cwd=work, check=True)
    subprocess.run(["git", "repack", "-qad"], cwd=work, check=True)
    return work


def push_all(side: Side, work: Path, number: int) -> None:
    if number:
        subprocess.run(["git", "update-ref", "-d", "refs/heads/big"], cwd=side.repository, check=True)
        for pack in (side.repository / "objects" / "pack").glob("*"):
            pack.unlink()
    side.git("push", "-q", side.url, "HEAD:refs/heads/big", at=work)


def clone(side: Side, folder: Path, number: int) -> None:
    to = folder / f"clone-{side.name}"
    side.git("clone", "-q", "--bare", side.url, str(to), at=folder)
    shutil.rmtree(to)


def start_small(side: Side, folder: Path) -> Path:
    work = folder / f"small-{side.name}"
    side.git("clone", "-q", "--single-branch", "-b", "master", side.url, str(work), at=folder)
    return work


def one_commit(side: Side, work: Path, number: int) -> None:
    (work / "README").write_text(f"{number} {time.time()}\n")
    side.git("commit", "-q", "-a", "-m", "One line", at=work)
    side.git("push", "-q", "origin", "HEAD:feature", at=work)


def connections(side: Side) -> None:
    """`git ls-remote` from many clients at once."""
    asked = [
        subprocess.Popen(["git", "ls-remote", "-q", side.url], env=side.environment(), stdout=subprocess.DEVNULL)
        for _ in range(PARALLEL)
    ]
    if sum(each.wait() for each in asked):
        raise SystemExit(f"{side.name}: a connection failed")


@contextmanager
def both(folder: Path) -> Iterator[list[Side]]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id")], check=True)
    with ours(folder) as slipway, theirs(folder, slipway) as sshd:
        yield [slipway, sshd]


@contextmanager
def ours(folder: Path) -> Iterator[Side]:
    home = folder / "home"
    (home / "run").mkdir(parents=True)
    (home / "static").mkdir()
    # An address without a server: nothing listens for the nudges of this benchmark.
    os.environ |= {
        "SLIPWAY_HOME": str(home),
        "SLIPWAY_SECRET_KEY": "benchmark",
        "SLIPWAY_FIELD_KEYS": "c2xpcHdheS1vbmx5LWZvci10ZXN0cy0zMi1ieXRlczA=",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SLIPWAY_LOG_LEVEL": "ERROR",
    }
    project, repository = prepare(folder)
    port = free_port()
    argv = [sys.executable, "manage.py", "ssh_server", "--host", "127.0.0.1", "--port", str(port)]
    with program(argv, port):
        yield Side("slipway", port, "git", repository, f"{project}.git", folder)


def prepare(folder: Path) -> tuple[str, Path]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from environments import repositories
    from tests import factories
    from tests.deployments.git_server import register

    call_command("migrate", verbosity=0)
    project = factories.ProjectFactory()
    starter = folder / "starter"
    starter.mkdir()
    (starter / ".platform.app.yaml").write_text('name: app\ntype: "python:3.11"\nweb: {commands: {start: "sleep 1"}}\n')
    (starter / "README").write_text("hello\n")
    repository = settings.HOME.repository(project.pk)
    commit = repositories.create_from_folder(repository, starter, message="Begin", author="bench")
    for environment in factories.tree(project).values():
        environment.head_commit = commit
        environment.status = "inactive"
        environment.save()
    register(factories.MembershipFactory(project=project).user, (folder / "id.pub").read_text())
    return project.pk, repository


@contextmanager
def theirs(folder: Path, slipway: Side) -> Iterator[Side]:
    repository = folder / "sshd.git"
    shutil.copytree(slipway.repository, repository)
    port = free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "sshd_key")], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "sshd_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "PidFile": "none",
        "MaxStartups": "200",
        "AcceptEnv": "GIT_PROTOCOL PLATFORMSH_PUSH_NO_WAIT",
        "LogLevel": "QUIET",
        "SetEnv": f"HOME={folder / 'nobody'}",  # whatever this account's shell does at its start is not sshd's fault
    }
    configuration = folder / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    with program([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(configuration)], port):
        yield Side("sshd", port, user, repository, str(repository).lstrip("/"), folder)


@contextmanager
def program(argv: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(argv, cwd=CODE)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
