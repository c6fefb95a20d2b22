"""The launcher as people call it: arguments, exit codes and one clear line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli, commands, keys, venvs
from launcher.errors import Refused
from launcher.home import Layout

ROOT = Path(__file__).parents[2]


def slipway(home: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(ROOT / "slipway"), *arguments],
        env={**os.environ, "SLIPWAY_HOME": str(home), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["up", "extra"], ["logs", "-n", "x"], ["stop", "--now"]]
)
def test_wrong_usage_has_exit_code_two(tmp_path: Path, arguments: list[str]) -> None:
    result = slipway(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: slipway")


def test_help_names_every_command_and_variable(tmp_path: Path) -> None:
    shown = slipway(tmp_path, "--help").stdout
    verbs = {"demo", "up", "stop", "status", "logs", "manage", "test"}
    variables = {
        "SLIPWAY_HOME",
        "SLIPWAY_PORT",
        "SLIPWAY_SSH_PORT",
        "SLIPWAY_BASE_DOMAIN",
        "DATABASE_URL",
        "REDIS_URL",
    }
    assert verbs | variables <= set(shown.split())


@pytest.mark.parametrize("command", ["stop", "status", "logs", "manage"])
def test_home_without_an_instance_is_one_clear_line(tmp_path: Path, command: str) -> None:
    result = slipway(tmp_path, command)
    assert result.returncode == 1
    assert result.stderr == f"slipway: nothing has been started in {tmp_path} yet; begin with ./slipway up\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["manage", "test"])
def test_arguments_are_passed_on_untouched(command: str) -> None:
    given = cli.parser().parse_args([command, "-k", "x y", "--help", "--", "-n"])
    assert given.arguments == ["-k", "x y", "--help", "--", "-n"]


def test_detach() -> None:
    assert cli.parser().parse_args(["up", "--detach"]).detach
    assert not cli.parser().parse_args(["demo"]).detach


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Refused("because"), "slipway: because\n"),
        (
            OSError(28, "No space left on device", "/x"),
            "slipway: no space left on the disk of /x; free some and",
        ),
        (PermissionError(13, "Permission denied", "/x"), "slipway: /x may not be used by this user;"),
        (OSError(30, "Read-only file system", "/x"), "slipway: /x is on a read-only file system;"),
        (OSError(5, "Input/output error", "/x"), "slipway: /x: Input/output error\n"),
    ],
)
def test_failures_are_one_line_and_exit_code_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    def fail(*arguments: object) -> int:
        raise error

    monkeypatch.setattr(commands, "status", fail)
    monkeypatch.setattr(cli.signal, "signal", lambda *arguments: None)
    assert cli.main(["status"], tmp_path) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


def test_interruption_has_its_own_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "status", interrupt)
    monkeypatch.setattr(cli.signal, "signal", lambda *arguments: None)
    assert cli.main(["status"], tmp_path) == 130


def test_launcher_needs_the_standard_library_only() -> None:
    check = "import sys; sys.path.insert(0, sys.argv[1]); import launcher.cli, launcher.guard"
    subprocess.run([sys.executable, "-S", "-I", "-c", check, str(ROOT)], check=True)


def test_secrets_are_made_once(layout: Layout) -> None:
    keys.ensure(layout)
    before = {path.name: path.read_bytes() for path in layout.secrets.iterdir()}
    assert {"django.key", "fields.keys", "ssh_host_ed25519", "ssh_host_ed25519.pub"} <= before.keys()
    for name in ("django.key", "fields.keys", "ssh_host_ed25519"):
        assert (layout.secrets / name).stat().st_mode & 0o777 == 0o600
    keys.ensure(layout)
    assert {path.name: path.read_bytes() for path in layout.secrets.iterdir()} == before


def test_lost_key_of_encrypted_fields_is_not_replaced(layout: Layout) -> None:
    keys.ensure(layout)
    layout.database.write_text("")
    (layout.secrets / "fields.keys").unlink()
    with pytest.raises(Refused, match="put it back from a backup"):
        keys.ensure(layout)


def test_environment_is_built_once_per_content_of_its_requirements(tmp_path: Path) -> None:
    folder, requirements = tmp_path / "venv", tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    python = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    first = venvs.ensure(folder, requirements, python, os.environ)
    made = first.lstat().st_ino
    assert venvs.ensure(folder, requirements, python, os.environ).lstat().st_ino == made
    (first.parents[1] / "complete").unlink()  # as if it had been cut off in the middle
    assert venvs.find(folder, requirements, python) is None
    (first.parents[1] / "complete").touch()
    assert venvs.find(folder, requirements, python) == first
    requirements.write_text("# changed\n")
    assert venvs.find(folder, requirements, python) is None


def test_locked_requirements_name_no_registry() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--find-links" not in text
        assert text.count("==") < text.count("--hash=sha256:")
