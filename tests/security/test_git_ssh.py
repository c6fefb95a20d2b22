"""Attacks on the SSH door and on pushes: S1-S5, S7-S10 of the hazards."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from deployments.models import Activity, Push
from deployments.ssh import limits
from environments import repositories
from portal.models import Project, SSHKey, User
from portal.paths import Home
from tests import factories
from tests.deployments.git_server import Client, new_client, register
from tests.deployments.ssh.conftest import client, client_of, home, host, owner, port, project

__all__ = ["client", "client_of", "home", "host", "owner", "port", "project"]

FIXED = "Only git clone, fetch and push of a project's repository are possible here.\n"
NOT_FOUND = "There is no such project, or you have no access to it.\n"
ClientOf = Callable[..., Client]


@pytest.mark.parametrize(
    "command",
    [
        "id", "git-upload-pack {0}; id", "git-upload-pack '{0}'; touch /tmp/slipway-canary", "scp -t /tmp",
        "git-upload-pack --upload-pack=id '{0}'", "git-upload-archive '{0}'", "/usr/lib/openssh/sftp-server",
        "git-upload-pack '../{0}.git'", "git-upload-pack '/etc'", "git-upload-pack '~root/{0}'",
        "git-upload-pack '{0}\n'",
        "git-receive-pack '{0}' '--x'", "env", "sh -c id", "git-upload-pack '{0}''x'",
    ],
)  # fmt: skip
def test_any_other_command_gets_the_same_answer(client: Client, project: Project, command: str) -> None:
    done = client.ssh("git", command.format(project.pk))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", FIXED)
    assert not Path("/tmp/slipway-canary").exists()


def test_shell_pty_sftp_and_subsystems_are_refused(client: Client, project: Project) -> None:
    shell = client.ssh("git")
    assert (shell.returncode, shell.stdout) == (1, "")
    assert "There is no shell here" in shell.stderr
    terminal = client.ssh("-tt", f"{project.pk}@127.0.0.1")
    assert terminal.returncode != 0
    for name in ("sftp", "netconf", "x" * 5000):
        done = client.ssh("-s", "git@127.0.0.1", name)
        assert (done.returncode, done.stderr) in [(1, FIXED), (255, "")] or done.returncode == 255


@pytest.mark.parametrize("name", ["root", "slipway", "git.id", "../git", "x" * 900])
def test_other_user_names_do_not_get_in(client: Client, name: str) -> None:
    done = client.ssh(name, "id")
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_nothing_is_forwarded(client: Client, project: Project) -> None:
    key = asyncssh.read_private_key(str(client.key))

    async def attack() -> list[str]:
        opened = []
        async with asyncssh.connect(
            "127.0.0.1", client.port, username="git", client_keys=[key], known_hosts=None
        ) as link:
            for target in (("127.0.0.1", client.port), ("127.0.0.1", 6379), ("169.254.169.254", 80)):
                try:
                    await link.open_connection(*target)
                    opened.append(str(target))
                except asyncssh.ChannelOpenError:
                    pass
            try:
                await link.open_unix_connection("/run/supervisor.sock")
                opened.append("unix")
            except asyncssh.ChannelOpenError:
                pass
            for listen in (
                link.forward_remote_port("", 0, "localhost", 22),
                link.forward_remote_path("/tmp/x", "/tmp/y"),
            ):
                try:
                    await listen
                    opened.append("remote")
                except asyncssh.ChannelListenError:
                    pass
        return opened

    assert asyncio.run(attack()) == []


def test_another_projects_repository_is_like_none(client_of: ClientOf, project: Project) -> None:
    stranger = client_of(factories.MembershipFactory().user, "stranger")
    for service in ("upload", "receive"):
        answers = {
            (done.returncode, done.stdout, done.stderr)
            for done in (stranger.ssh("git", f"git-{service}-pack '{name}'") for name in (project.pk, "z" * 13))
        }
        assert answers == {(1, "", NOT_FOUND)}


def test_a_projects_user_name_opens_only_that_project(client: Client, project: Project) -> None:
    assert client.ssh("b" * 13, f"git-upload-pack '{project.pk}'").stderr == NOT_FOUND
    assert client.ssh(project.pk, f"git-upload-pack '{project.pk}'", timeout=5).returncode in (0, 128)


def test_weak_keys_do_not_get_in_even_when_they_are_in_the_table(client: Client, owner: User, tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 2048)
    line = weak.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    key = asyncssh.import_private_key(
        weak.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    SSHKey.objects.create(
        user=owner, title="weak", kind="ssh-rsa", bits=2048, public_key=line, fingerprint=key.get_fingerprint("sha256")
    )
    assert not signs_in(client.port, key)


def signs_in(port: int, key: asyncssh.SSHKey, algorithms: list[str] | None = None) -> bool:
    async def try_it() -> bool:
        options = {"signature_algs": algorithms} if algorithms else {}
        try:
            async with asyncssh.connect(
                "127.0.0.1", port, username="git", client_keys=[key], known_hosts=None, **options
            ):
                return True
        except asyncssh.PermissionDenied:
            return False

    return asyncio.run(try_it())


def test_an_rsa_key_signs_with_sha_2_only(port: int, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    strong = rsa.generate_private_key(65537, 3072)
    line = strong.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    register(owner, line)
    key = asyncssh.import_private_key(
        strong.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    assert signs_in(port, key)
    key.sig_algorithms = (b"ssh-rsa",)  # type: ignore[misc]
    # A client that insists on SHA-1, whatever the server announced.
    monkeypatch.setattr(
        asyncssh.connection.SSHClientConnection,
        "_choose_signature_alg",
        lambda self, pair: pair.set_sig_algorithm(b"ssh-rsa") or True,
    )
    assert not signs_in(port, key, ["ssh-rsa"])


def test_ecdsa_keys_get_in(port: int, owner: User) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    key = asyncssh.import_private_key(pem)
    register(owner, key.export_public_key().decode())
    assert signs_in(port, key)


def test_passwords_and_other_ways_are_not_offered(client: Client) -> None:
    client.options = ["PreferredAuthentications=none,password,keyboard-interactive,hostbased"]
    assert "Permission denied (publickey)" in client.ssh("git").stderr


@pytest.mark.parametrize(
    "option",
    [
        "Ciphers=aes128-cbc",
        "Ciphers=aes128-ctr",
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "HostKeyAlgorithms=ssh-rsa",
    ],
)
def test_old_algorithms_are_not_spoken(client: Client, option: str) -> None:
    client.options = [option, "LogLevel=INFO"]
    done = client.ssh("git")
    assert done.returncode == 255
    assert "no matching" in done.stderr


def test_half_open_connections_of_one_address_leave_room_for_others(client: Client, project: Project) -> None:
    crowd = []
    for _ in range(200):
        each = socket.socket()
        each.bind(("127.0.0.2", 0))
        each.connect(("127.0.0.1", client.port))
        crowd.append(each)
    started = time.monotonic()
    assert client.ssh("git").returncode == 1
    assert time.monotonic() - started < 2
    time.sleep(0.2)
    closed = 0
    for each in crowd:
        each.setblocking(False)
        try:
            while data := each.recv(4096):
                assert data
            closed += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            closed += 1
        each.close()
    assert closed >= 200 - limits.MAX_WAITING_PER_ADDRESS


def test_bad_sign_ins_close_the_door_for_their_address_only(
    client: Client, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FAILURES", 3)
    bad = client_of(None, "bad")
    bad.address = "127.0.0.3"
    answers = [bad.ssh("git").stderr for _ in range(5)]
    assert "Permission denied" in answers[0]
    assert "Permission denied" not in answers[-1]
    started = time.monotonic()
    assert client.ssh("git").returncode == 1
    assert time.monotonic() - started < 2


# Objects


def push_objects(client: Client, project: Project, build: Callable[[Path], str]) -> "subprocess.CompletedProcess[str]":
    """Push a commit whose tree `build` makes by hand, with a client that checks nothing."""
    work = client.clone(project)
    tree = build(work)
    commit = client.git("commit-tree", tree, "-p", "HEAD", "-m", "Attack", at=work).stdout.strip()
    return client.git("push", "origin", f"{commit}:refs/heads/attack", at=work, check=False)


def raw_tree(work: Path, *entries: tuple[bytes, bytes, str]) -> str:
    raw = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)
    argv = ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    return subprocess.run(argv, cwd=work, input=raw, capture_output=True, check=True).stdout.decode().strip()


def blob(work: Path, data: bytes) -> str:
    argv = ["git", "hash-object", "-w", "--stdin"]
    return subprocess.run(argv, cwd=work, input=data, capture_output=True, check=True).stdout.decode().strip()


def dot_git(work: Path) -> str:
    inner = raw_tree(work, (b"100644", b"config", blob(work, b"[core]\n\tfsmonitor = id\n")))
    return raw_tree(work, (b"40000", b".GIT", inner))


def git_link(work: Path) -> str:
    return raw_tree(work, (b"120000", b".git", blob(work, b"/etc")))


def dots(work: Path) -> str:
    return raw_tree(work, (b"40000", b"..", raw_tree(work, (b"100644", b"x", blob(work, b"x")))))


def slashes(work: Path) -> str:
    return raw_tree(work, (b"100644", b"a/b", blob(work, b"x")))


def twice(work: Path) -> str:
    sha = blob(work, b"x")
    return raw_tree(work, (b"100644", b"a", sha), (b"100644", b"a", sha))


def submodule(text: str) -> Callable[[Path], str]:
    def build(work: Path) -> str:
        return raw_tree(work, (b"100644", b".gitmodules", blob(work, text.encode())))

    return build


def modules_link(work: Path) -> str:
    return raw_tree(work, (b"120000", b".gitmodules", blob(work, b"/etc/passwd")))


@pytest.mark.parametrize(
    "build",
    [
        dot_git, git_link, dots, slashes, twice, modules_link,
        submodule('[submodule "../../x"]\n\tpath = a\n\turl = https://example.com/x\n'),
        submodule('[submodule "x"]\n\tpath = a\n\turl = -u./payload\n'),
        submodule('[submodule "x"]\n\tpath = -a\n\turl = https://example.com/x\n'),
        submodule('[submodule "x"]\n\tpath = a\n\turl = https://example.com/x\n\tupdate = !id\n'),
        submodule('[submodule "x"]\n\tpath = "a\r"\n\turl = https://example.com/x\n'),
    ],
)  # fmt: skip
def test_malformed_objects_are_refused_and_nothing_moves(
    client: Client, project: Project, home: Home, build: Callable[[Path], str]
) -> None:
    path = home.repository(project.pk)
    before = dict(repositories.refs(path, "refs/"))
    files = sorted(each.relative_to(path) for each in (path / "objects").rglob("*") if each.is_file())
    done = push_objects(client, project, build)
    assert done.returncode != 0
    assert dict(repositories.refs(path, "refs/")) == before
    assert sorted(each.relative_to(path) for each in (path / "objects").rglob("*") if each.is_file()) == files
    assert not Activity.objects.exists()
    assert not Push.objects.exists()
    assert str(path) not in done.stderr


def test_a_push_over_the_size_limit_is_refused(client: Client, project: Project, home: Home, settings: object) -> None:
    settings.PUSH_MAX_BYTES = 1024 * 1024  # type: ignore[attr-defined]
    work = client.clone(project)
    (work / "large").write_bytes(os.urandom(3 * 1024 * 1024))
    client.commit(work, {})
    done = client.git("push", "origin", "master", at=work, check=False)
    assert "exceeds maximum allowed size" in done.stderr
    assert not list(home.repository(project.pk).glob("objects/*incoming*"))


def test_a_push_that_unpacks_beyond_the_memory_limit_is_refused(
    client: Client, project: Project, home: Home, settings: Any
) -> None:
    work = client.clone(project)
    before = dict(repositories.refs(home.repository(project.pk), "refs/"))
    (work / "bomb").write_bytes(bytes(31 * 1024 * 1024))  # 30 KB on its way
    client.commit(work, {})
    settings.PUSH_MEMORY = 36 * 1024 * 1024
    done = client.git("push", "origin", "master", at=work, check=False)
    assert "Out of memory" in done.stderr
    assert dict(repositories.refs(home.repository(project.pk), "refs/")) == before
    assert not list(home.repository(project.pk).glob("objects/*incoming*"))


def test_a_push_of_a_thousand_branches_is_refused(client: Client, project: Project, home: Home) -> None:
    work = client.clone(project)
    before = dict(repositories.refs(home.repository(project.pk), "refs/"))
    refspecs = "".join(f"create refs/heads/b{number} HEAD\n" for number in range(1000))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=work, input=refspecs.encode(), check=True)
    done = client.git("push", "-q", "origin", "refs/heads/*:refs/heads/*", at=work, check=False)
    assert "at most 500" in done.stderr
    assert dict(repositories.refs(home.repository(project.pk), "refs/")) == before


def test_internal_refs_are_neither_shown_nor_fetched(client: Client, project: Project, home: Home) -> None:
    path = home.repository(project.pk)
    secret = (
        subprocess.run(
            ["git", "--git-dir", str(path), "hash-object", "-w", "--stdin"], input=b"hidden", capture_output=True
        )
        .stdout.decode()
        .strip()
    )
    repositories.update_refs(path, [f"create refs/slipway/x {secret}", f"create refs/other/x {secret}"])
    listed = client.git("ls-remote", client.url(project)).stdout
    assert "slipway" not in listed
    assert "other" not in listed
    work = client.clone(project)
    for protocol in ("0", "2"):
        # By its hash, protocol 2 gives any object to whoever knows it and may read the repository; 0 does not.
        for wanted in ("refs/slipway/x", "refs/other/x", *([secret] if protocol == "0" else [])):
            done = client.git("-c", f"protocol.version={protocol}", "fetch", "origin", wanted, at=work, check=False)
            known = subprocess.run(["git", "cat-file", "-e", secret], cwd=work, capture_output=True)
            assert known.returncode != 0, (done.stderr, protocol, wanted)


@pytest.mark.parametrize("name", [";id", "$(id)", "`id`", "-oProxyCommand=id", "--exec=id", "a\u202eb", "é"])
def test_hostile_branch_names_are_refused_whole(client: Client, project: Project, name: str) -> None:
    work = client.clone(project)
    done = client.git("push", "origin", f"HEAD:refs/heads/{name}", at=work, check=False)
    assert done.returncode != 0
    assert not Activity.objects.exists()


def test_hostile_push_options_are_only_text(client: Client, project: Project) -> None:
    client.options = ["SetEnv=PLATFORMSH_PUSH_NO_WAIT=1"]
    work = client.clone(project)
    options = [f"-o{text}" for text in ("$(touch /tmp/slipway-canary)", "environment.title=`id`", "--x", "a\u202eb")]
    done = client.git("push", *options, "origin", "HEAD:fine", at=work)
    assert "\u202e" not in done.stderr
    assert not Path("/tmp/slipway-canary").exists()


def test_hooks_of_a_pushed_repository_never_run(client: Client, project: Project, home: Home, tmp_path: Path) -> None:
    client.options = ["SetEnv=PLATFORMSH_PUSH_NO_WAIT=1"]
    hooks = home.repository(project.pk) / "hooks"
    hooks.mkdir()
    for name in ("pre-receive", "update", "post-update", "post-receive", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path / 'canary'}\n")
        (hooks / name).chmod(0o755)
    work = client.clone(project)
    client.git("push", "origin", "HEAD:fine", at=work)
    assert not (tmp_path / "canary").exists()


def test_the_hooks_socket_answers_only_to_a_push_that_runs(port: int, home: Home, tmp_path: Path) -> None:
    assert home.hook_socket.stat().st_mode & 0o777 == 0o600
    for data in (
        b"",
        b"zzzzzzzz",
        b"ffffffff",
        b"00000003a\0b",
        b"00000009pre-receive",
        b"%08x" % 34 + b"pre-receive\0guess\0\0\0\0" + b"0\0" + b"x" * 10,
    ):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(15)
            link.connect(str(home.hook_socket))
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            assert link.recv(1000) in (b"", b"X1\n")


def test_a_client_without_a_key_file_of_ours_learns_nothing(tmp_path: Path, port: int) -> None:
    stranger = new_client(tmp_path / "x", port, None)
    done = stranger.ssh("git", "git-upload-pack 'aaaaaaaaaaaaa'")
    assert done.stdout == ""
    assert "Permission denied" in done.stderr
