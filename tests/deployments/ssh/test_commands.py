import pytest

from deployments.ssh import commands
from deployments.ssh.commands import GitCommand, Service

PROJECT = "abcdefghijk12"


@pytest.mark.parametrize("path", ["{}", "{}.git", "/{}", "/{}.git", "/{}.git/"])
def test_gits_own_commands_are_understood(path: str) -> None:
    path = path.format(PROJECT)
    assert commands.parse(f"git-upload-pack '{path}'") == GitCommand(Service.UPLOAD, PROJECT)
    assert commands.parse(f"git-receive-pack '{path}'") == GitCommand(Service.RECEIVE, PROJECT)


@pytest.mark.parametrize(
    "command",
    [
        "", "id", "git-upload-pack", f"git-upload-pack {PROJECT}", f"git-upload-pack '{PROJECT}'; id",
        f"git-upload-pack '{PROJECT}'\n", f"git-upload-pack '{PROJECT}\n'", f"git-upload-pack '{PROJECT}' x",
        f"git-upload-pack --upload-pack=id '{PROJECT}'", f"git-upload-pack '--strict' '{PROJECT}'",
        f"git-upload-archive '{PROJECT}'", "git-upload-pack '../x.git'", f"git-upload-pack '/{PROJECT}/../x'",
        f"git-upload-pack '~{PROJECT}'", f"git-upload-pack '//{PROJECT}'", f"git-upload-pack '{PROJECT}.git.git'",
        "git-upload-pack 'short'", f"git-upload-pack '{PROJECT.upper()}'", f"git-upload-pack '{PROJECT}x'",
        f"git-upload-pack \"{PROJECT}\"", f"git-upload-pack $({PROJECT})", f"git-upload-pack '{PROJECT}\0'",
        f" git-upload-pack '{PROJECT}'", f"git-upload-pack  '{PROJECT}'", "scp -t /", "sftp", "git shell",
        f"git-upload-pack '{PROJECT[:-1]}\u0661'",
    ],
)  # fmt: skip
def test_everything_else_is_nothing(command: str) -> None:
    assert commands.parse(command) is None


@pytest.mark.parametrize("value", [b"version=2", b"version=1", b"version=2:agent=git/2"[:9]])
def test_protocol_versions_are_passed_on(value: bytes) -> None:
    assert commands.git_protocol(value) == value.decode()


@pytest.mark.parametrize("value", [None, b"", b"version=3", b"version=2\n", b"x" * 10000, b"version=2:\xff", b"LD=1"])
def test_other_protocol_values_are_dropped(value: bytes | None) -> None:
    assert commands.git_protocol(value) is None


def test_user_names() -> None:
    for name in ("git", PROJECT, f"{PROJECT}-master-abc1234", f"{PROJECT}-x-1--app", f"{PROJECT}-x-1--app--worker"):
        assert commands.is_known_user(name)
    for name in ("root", "", "git\n", f"{PROJECT}x", f"{PROJECT}-", "../x", f"{PROJECT}-x-1--a/b", "a" * 1000):
        assert not commands.is_known_user(name)
    assert commands.fits_user("git", PROJECT)
    assert commands.fits_user(PROJECT, PROJECT)
    assert not commands.fits_user("b" * 13, PROJECT)
    assert not commands.fits_user(f"{PROJECT}-x-1", PROJECT)
    assert commands.is_environment_user(f"{PROJECT}-x-1")
