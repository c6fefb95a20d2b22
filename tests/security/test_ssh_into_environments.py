"""Attacks on the doors into environments: S1 and S2 of the hazards. What cuts open sessions (S6) is tested there."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from environments.models import Service
from portal.enums import EnvironmentRole
from tests.deployments.conftest import engine, fake_home
from tests.deployments.ssh.test_shell import World, host, run, world

__all__ = ["engine", "fake_home", "host", "world"]


async def forwarding(link: asyncssh.SSHClientConnection, targets: list[tuple[str, int]]) -> list[str]:
    """What of all this was let through."""
    opened = []
    for target in targets:
        try:
            await link.open_connection(*target)
            opened.append(str(target))
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_CONNECT_FAILED:
                opened.append(f"{target} was tried: {error.reason}")
    for path in ("/run/supervisor.sock", "/run/app/app.sock"):
        try:
            await link.open_unix_connection(path)
            opened.append(path)
        except asyncssh.ChannelOpenError:
            pass
    for listen in (link.forward_remote_port("", 0, "localhost", 22), link.forward_remote_path("/tmp/x", "/tmp/y")):
        try:
            await listen
            opened.append("remote")
        except asyncssh.ChannelListenError:
            pass
    return opened


def attack(world: World, client: Any, targets: list[tuple[str, int]]) -> list[str]:
    key = asyncssh.read_private_key(str(client.key))

    async def go() -> list[str]:
        async with asyncssh.connect(
            "127.0.0.1", world.port, username=world.name(), client_keys=[key], known_hosts=None
        ) as link:
            return await forwarding(link, targets)

    return asyncio.run(go())


def test_with_the_right_tunnels_lead_only_to_the_own_services(world: World) -> None:
    own = Service.objects.get(environment=world.environment, name="db")
    other = f"127.{255 - int(str(own.address).split('.')[1])}.0.9"
    targets = [
        ("127.0.0.1", 6379), ("localhost", world.port), ("169.254.169.254", 80), ("[::1]", 22), ("0x7f000001", 6379),
        ("2130706433", 6379), (str(own.address), 22), ("database.internal", 22), ("cache.internal", 3306),
        (other, own.port), ("example.org", 443), ("database.internal.example.org", own.port), ("", own.port),
        ("database.internal\0.example.org", own.port), ("x" * 5000, own.port),
    ]  # fmt: skip
    assert attack(world, world.owner, targets) == []


@pytest.mark.parametrize("role", [EnvironmentRole.VIEWER, EnvironmentRole.NONE])
def test_without_the_right_nothing_leads_anywhere(world: World, role: EnvironmentRole) -> None:
    own = Service.objects.get(environment=world.environment, name="db")
    client = world.client(world.member(role))
    assert attack(world, client, [("database.internal", own.port), (str(own.address), own.port)]) == []
    for command in ("id", "scp -t /tmp", "rsync --server . /tmp", "/usr/lib/openssh/sftp-server"):
        done = run(client, world.name(), command)
        assert (done.returncode, done.stdout) == (1, b"")
    for options, command in ((["-s"], ["sftp"]), (["-tt"], [])):
        argv = [*client.ssh_command(*options), f"{world.name()}@127.0.0.1", *command]
        done = subprocess.run(argv, input=b"", capture_output=True, timeout=30)
        assert done.returncode == 1
        assert b"you do not have access to it" in done.stdout + done.stderr


def test_agents_and_displays_are_not_taken_in(world: World) -> None:
    world.owner.options = ["ForwardAgent=yes", "ForwardX11=yes"]
    assert b"SSH_AUTH_SOCK" not in run(world.owner, world.name(), "echo fine").stdout
    assert run(world.owner, world.name(), "echo fine").stdout == b"fine\n"


@pytest.mark.parametrize(
    "name",
    ["{0}--", "{0}--app--", "{0}--app--queue--x", "{0}--../app", "{0}--app;id", "{0}--$(id)", "{0}--app\n", "{0}--App"],
)
def test_odd_names_of_programs_lead_nowhere(world: World, name: str) -> None:
    done = run(world.owner, name.format(world.name()), "echo in")
    assert done.returncode in (1, 255) or name in ("{0}--", "{0}--app--")
    assert b"Traceback" not in done.stderr


def test_git_is_not_served_by_an_environments_name_nor_the_other_way_round(world: World) -> None:
    project = world.engine.project.pk
    done = run(world.owner, world.name(), f"git-upload-pack '{project}'")
    assert b"refs/heads" not in done.stdout
    assert run(world.owner, "git", "echo in").stdout == b""
    assert not Path("/tmp/slipway-canary").exists()
