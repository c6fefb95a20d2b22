"""SSH into an environment on the fake runtime: who gets in, what passes, what is recorded, what is cut."""

import asyncio
import fcntl
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from deployments.actions import ssh_sessions
from deployments.enums import Kind, State
from deployments.models import Health, Release, SSHSession
from deployments.ssh import people
from environments.models import Environment, EnvironmentAccess
from portal.crypto import encrypt
from portal.enums import EnvironmentRole, EnvironmentType
from portal.models import AuditEvent, Project, SSHKey, User
from tests import factories
from tests.deployments import git_server
from tests.deployments.engine import APP, Engine
from tests.deployments.git_server import Client

FILES = {
    ".platform.app.yaml": APP
    + "access: {ssh: contributor}\n"
    + "relationships: {database: 'db:mysql', cache: 'store:redis'}\n"
    + "workers:\n"
    + "    queue: {commands: {start: x}, access: {ssh: viewer}}\n"
    + "    strict: {commands: {start: x}, access: {ssh: admin}}\n",
    ".platform/services.yaml": "db: {type: 'mysql:10.4', disk: 512}\nstore: {type: 'redis:7.0'}\n",
    "serve.py": "",
}


def wait_for(question: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


class World:
    def __init__(self, engine: Engine, port: int, folder: Path) -> None:
        self.engine, self.port, self.folder = engine, port, folder
        activity = engine.run(engine.push(FILES)) if engine.environment.is_active else None
        activity = activity or engine.run(engine.ask(Kind.ACTIVATE, commit=engine.commit(FILES)))
        assert activity.state == State.SUCCEEDED, activity.outcome
        self.owner = self.client(engine.by, "owner")

    @property
    def environment(self) -> Environment:
        return self.engine.environment

    def name(self, program: str = "", environment: str = "") -> str:
        place = environment or self.environment.machine_name
        return f"{self.engine.project.pk}-{place}" + (f"--{program}" if program else "")

    def client(self, user: User | None, name: str = "") -> Client:
        return git_server.new_client(
            self.folder / (name or f"client-{len(list(self.folder.iterdir()))}"), self.port, user
        )

    def member(self, role: EnvironmentRole) -> User:
        return factories.member(self.engine.project, integration=role, staging=role, production=role)

    def events(self, action: str) -> list[AuditEvent]:
        return list(AuditEvent.objects.filter(action=action).order_by("id"))


@pytest.fixture(autouse=True)
def host() -> None:
    """The runtime here is the fake one, whole."""


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "people").mkdir()
    engine.runtime._home.run.mkdir(exist_ok=True)
    with git_server.running() as port:
        yield World(engine, port, tmp_path / "people")


def run(client: Client, name: str, command: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    argv = [*client.ssh_command(), f"{name}@127.0.0.1", command]
    return subprocess.run(argv, input=given, capture_output=True, timeout=30)


def test_a_command_has_its_streams_its_input_and_its_exit_code(world: World) -> None:
    done = run(world.owner, world.name(), "where\necho out\nerror err\nexit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"app v1\nout\n", b"err\n")
    large = os.urandom(3_000_000)
    assert run(world.owner, world.name(), "cat", large).stdout == large
    killed = run(world.owner, world.name(), "die KILL")
    assert killed.returncode == 255
    assert run(world.owner, world.name(environment=world.environment.name), "where").stdout == b"app v1\n"
    assert run(world.owner, world.name("app"), "where").stdout == b"app v1\n"
    assert run(world.owner, world.name("app--queue"), "where").stdout == b"app--queue v1\n"


def test_who_enters_where_mounts_are_over_their_limit_is_told_and_may_clear_up(world: World) -> None:
    volume = {"name": "app", "kind": "mounts", "bytes": 300 * 1024**2, "limit": 256 * 1024**2}
    Health.objects.create(environment=world.environment, volumes=[volume])
    done = run(world.owner, world.name(), "echo out")
    assert (done.returncode, done.stdout) == (0, b"out\n")
    told = b"Slipway: over their disk limit: mounts of app (300 of 256 MB). Remove what nobody needs."
    assert done.stderr.strip() == told
    Health.objects.update(volumes=[volume | {"bytes": 255 * 1024**2}])
    assert run(world.owner, world.name(), "echo out").stderr == b""


def test_an_exit_by_signal_is_told_as_one(world: World) -> None:
    key = asyncssh.read_private_key(str(world.owner.key))

    async def ask() -> list[Any]:
        async with asyncssh.connect(
            "127.0.0.1", world.port, username=world.name(), client_keys=[key], known_hosts=None
        ) as link:
            died = await link.run("die TERM")
            process = await link.create_process("echo begun\nsleep 600")
            await process.stdout.readline()
            process.send_signal("USR1")
            ended = await process.wait()
            return [died.exit_signal, ended.exit_signal]

    assert [told[0] for told in asyncio.run(ask())] == ["TERM", "USR1"]


def test_a_shell_has_a_terminal_that_follows_its_size(world: World) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    argv = [*world.owner.ssh_command(), "-tt", f"{world.name()}@127.0.0.1"]
    shell = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=ctty)
    os.close(slave)
    seen = b""

    def until(text: bytes) -> bytes:
        nonlocal seen
        while text not in seen:
            seen += os.read(master, 65536)
        before, _, seen = seen.partition(text)
        return before

    greeting = until(b"/tmp")
    assert world.environment.title.encode() in greeting
    os.write(master, b"size\n")
    until(b"111x33\r\n")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 77, 0, 0))
    os.kill(shell.pid, 28)  # SIGWINCH
    time.sleep(0.5)
    os.write(master, b"size\n")
    until(b"77x20\r\n")
    [session] = ssh_sessions.present(world.environment)
    assert (session.kind, session.user) == ("shell", world.engine.by)
    os.write(master, b"exit 5\n")
    wait_for(lambda: shell.poll() is not None)
    os.close(master)
    assert shell.returncode == 5
    wait_for(lambda: not SSHSession.objects.exists())


def ctty() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_what_is_done_is_recorded_without_its_secrets(world: World) -> None:
    Project.objects.update(entropy_sealed=encrypt("entropy-of-the-project"))
    run(world.owner, world.name(), "echo entropy-of-the-project\necho --password=hush-hush PGPASSWORD=hush2")
    wait_for(lambda: world.events("ssh.close"))
    [begin], [end] = world.events("ssh.open"), world.events("ssh.close")
    assert begin.details["command"] == "echo [secret]\necho --password=[secret] PGPASSWORD=[secret]"
    assert "hush" not in str(end.details)
    assert (begin.actor, begin.address, begin.project_id) == (world.engine.by, "127.0.0.1", world.engine.project.pk)
    assert end.details["exit"] == 0
    assert end.details["sent"] > 50
    assert "seconds" in end.details
    assert not SSHSession.objects.exists()


@pytest.mark.parametrize(
    ("role", "program", "let_in"),
    [
        (EnvironmentRole.VIEWER, "", False),
        (EnvironmentRole.CONTRIBUTOR, "", True),
        (EnvironmentRole.VIEWER, "app--queue", True),
        (EnvironmentRole.NONE, "app--queue", False),
        (EnvironmentRole.CONTRIBUTOR, "app--strict", False),
        (EnvironmentRole.ADMIN, "app--strict", True),
    ],
)
def test_the_role_decides_by_the_apps_file(world: World, role: EnvironmentRole, program: str, let_in: bool) -> None:
    done = run(world.client(world.member(role)), world.name(program), "where")
    assert (done.returncode == 0) is let_in
    if not let_in:
        assert b"service doesn't exist or you do not have access to it" in done.stderr
        assert world.events("ssh.open")[-1].outcome == "refused"


def test_production_is_for_its_admins_whatever_the_file_says(world: World) -> None:
    Environment.objects.filter(type=EnvironmentType.PRODUCTION).update(type=EnvironmentType.STAGING)
    Environment.objects.filter(pk=world.environment.pk).update(type=EnvironmentType.PRODUCTION)
    contributor, admin = world.member(EnvironmentRole.CONTRIBUTOR), world.member(EnvironmentRole.ADMIN)
    assert run(world.client(contributor), world.name("app--queue"), "where").returncode == 1
    assert run(world.client(admin), world.name(), "where").returncode == 0


def test_what_is_not_there_looks_like_what_is_not_allowed(world: World) -> None:
    stranger, viewer = (
        world.client(factories.MembershipFactory().user),
        world.client(world.member(EnvironmentRole.VIEWER)),
    )
    names = [world.name(), world.name("app--x"), world.name(environment="nothing-1234567"), "a" * 13 + "-x"]
    answers = set()
    for who in (stranger, viewer):
        for name in names:
            done = run(who, name, "id")
            answers.add((done.returncode, done.stdout, done.stderr.replace(name.encode(), b"*").partition(b",")[2]))
    assert len(answers) == 1, answers


def test_somebody_allowed_is_told_why_it_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_WAKING", 0.3)  # nobody carries out what wakes it here
    assert b"It has: app, app--queue, app--strict" in run(world.owner, world.name("nope"), "id").stderr
    for change, said in (
        ({"paused_at": "2026-01-01T00:00:00Z"}, b"did not wake up"),
        ({"paused_at": None, "status": "inactive"}, b"is inactive"),
        ({"status": "deleting"}, b"is being deleted"),
        ({"status": "active"}, b""),
    ):
        Environment.objects.filter(pk=world.environment.pk).update(**change)
        done = run(world.owner, world.name(), "id")
        assert said in done.stderr
        assert (done.returncode == 1) is bool(said)
    Release.objects.all().delete()
    assert b"Nothing is deployed" in run(world.owner, world.name(), "id").stderr


class Held:
    """A command that runs, and a tunnel beside it, until they are cut."""

    def __init__(self, world: World, client: Client) -> None:
        self.shell = subprocess.Popen(
            [*client.ssh_command(), f"{world.name()}@127.0.0.1", "echo in\nsleep 600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.shell.stdout is not None
        assert self.shell.stdout.readline() == b"in\n"

    def cut_within(self, seconds: float) -> str:
        try:
            _, errors = self.shell.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.shell.kill()
            raise AssertionError("it was not cut") from None
        return errors.decode()


TAKEN: dict[str, Callable[[World, User], object]] = {
    "role": lambda world, user: EnvironmentAccess.objects.update_or_create(
        environment=world.environment, user=user, defaults={"role": EnvironmentRole.VIEWER}
    ),
    "account": lambda world, user: User.objects.filter(pk=user.pk).update(is_active=False),
    "key": lambda world, user: SSHKey.objects.filter(user=user).delete(),
    "deactivated": lambda world, user: Environment.objects.filter(pk=world.environment.pk).update(status="inactive"),
    "paused": lambda world, user: Environment.objects.filter(pk=world.environment.pk).update(
        paused_at="2026-01-01T00:00:00Z"
    ),
    "closed by an admin": lambda world, user: ssh_sessions.ask_to_close(
        SSHSession.objects.get(user=user), by=world.engine.by, address=""
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_open_is_cut_when_the_right_ends(world: World, what: str) -> None:
    user = world.member(EnvironmentRole.CONTRIBUTOR)
    held = Held(world, world.client(user))
    TAKEN[what](world, user)
    held.cut_within(6)
    wait_for(lambda: not SSHSession.objects.exists())
    assert world.events("ssh.close")[-1].details["reason"]


def test_a_client_that_goes_away_leaves_no_program(world: World) -> None:
    held = Held(world, world.owner)
    held.shell.kill()
    held.shell.communicate()
    wait_for(lambda: not SSHSession.objects.exists())
    assert not any(b"fake_program" in line for line in running_programs())


def running_programs() -> list[bytes]:
    """Of this process: their command lines."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"PPid:\t{os.getpid()}\n" in (folder / "status").read_text():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found


@pytest.fixture
def service(world: World) -> Iterator[tuple[str, int]]:
    """Something that answers where the environment's database would, and says everything twice."""
    from environments.models import Service

    listener = socket.socket()
    row = Service.objects.get(environment=world.environment, name="db")
    listener.bind((str(row.address), row.port))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                while data := link.recv(65536):
                    link.sendall(data + data)

    threading.Thread(target=serve, daemon=True).start()
    yield str(row.address), row.port
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def tunnel(client: Client, name: str, target: str, given: bytes) -> "subprocess.CompletedProcess[bytes]":
    argv = [*client.ssh_command(), "-W", target, f"{name}@127.0.0.1"]
    return subprocess.run(argv, input=given, capture_output=True, timeout=30)


def test_a_tunnel_leads_to_a_service_by_its_name_and_by_its_address(world: World, service: tuple[str, int]) -> None:
    for host in ("database.internal", "Database.Internal.", service[0]):
        assert tunnel(world.owner, world.name(), f"{host}:{service[1]}", b"again").stdout == b"againagain"
    large = os.urandom(2_000_000)
    assert len(tunnel(world.owner, world.name(), f"database.internal:{service[1]}", large).stdout) == 4_000_000
    wait_for(lambda: not SSHSession.objects.exists())
    end = world.events("ssh.close")[-1]
    assert end.details["to"] == [f"database.internal:{service[1]}"]
    assert (end.details["received"], end.details["sent"]) == (2_000_000, 4_000_000)


def test_a_service_that_does_not_answer_is_named(world: World) -> None:
    world.owner.options = ["LogLevel=INFO"]
    done = tunnel(world.owner, world.name(), "cache.internal:6379", b"")
    assert b"cache.internal:6379 does not answer" in done.stderr
    assert done.returncode == 255


def test_open_tunnels_are_cut_when_the_right_ends(world: World, service: tuple[str, int]) -> None:
    user = world.member(EnvironmentRole.CONTRIBUTOR)
    argv = [*world.client(user).ssh_command(), "-W", f"database.internal:{service[1]}", f"{world.name()}@127.0.0.1"]
    link = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert link.stdin is not None
    assert link.stdout is not None
    link.stdin.write(b"x")
    link.stdin.flush()
    assert link.stdout.read(2) == b"xx"
    TAKEN["role"](world, user)
    assert link.wait(6) != 0 or link.stdout.read() == b""
    wait_for(lambda: not SSHSession.objects.exists())


def test_sessions_of_a_process_that_was_killed_are_forgotten(world: World) -> None:
    lost = SSHSession.objects.create(environment=world.environment, user=world.engine.by, program="app", kind="shell")
    SSHSession.objects.filter(pk=lost.pk).update(seen_at="2026-01-01T00:00:00Z")
    assert ssh_sessions.present(world.environment) == []
    ssh_sessions.forget_lost()
    assert not SSHSession.objects.exists()
    assert world.events("ssh.close")[-1].details["reason"] == "the ssh process was lost"
