import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import packages
from launcher.errors import Refused
from launcher.packages import Package


@pytest.fixture(autouse=True)
def _complete_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "venv_package", list)


def test_what_is_here_is_not_missing() -> None:
    assert packages.missing([Package("x", "sh"), Package("y", "/bin/sh"), Package("dpkg")]) == []


def test_what_is_not_here_is_missing() -> None:
    absent = [
        Package("x", "no-such-program"),
        Package("y", "/no/such/file"),
        Package("no-such-package-at-all"),
    ]
    assert packages.missing(absent) == absent


def test_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    with pytest.raises(Refused) as refusal:
        packages.ensure([Package("caddy", "no-such-program")])
    assert str(refusal.value) == "missing on this machine: caddy; run as root: apt-get install caddy"


def test_other_systems_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "is_debian", lambda: False)
    with pytest.raises(Refused, match="missing on this machine: caddy; this is not Debian"):
        packages.ensure([Package("caddy", "no-such-program")])


def test_missing_language_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    packages.ensure([Package("nodejs", "no-such-program", needed=False)])
    assert "Going on without nodejs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("release", "debian"),
    [
        ("ID=debian\n", True),
        ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", True),
        ('ID="fedora"\n', False),
        ("", False),
    ],
)
def test_debian_is_recognised(tmp_path: Path, release: str, debian: bool) -> None:
    (tmp_path / "os-release").write_text(release)
    assert packages.is_debian(tmp_path / "os-release") is debian


def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A stand-in for apt-get alone, to see what it would meet; the real one is met by every fresh machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(packages, "is_debian", lambda: True)
    monkeypatch.setattr(packages.os, "geteuid", lambda: 0)
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    return policy


def test_services_are_held_back_while_packages_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    policy = fake_apt(tmp_path, monkeypatch, f'cat "{tmp_path}/policy-rc.d" >> "{seen}"; echo "$@" >> "{seen}"')
    packages.ensure([Package("caddy", "no-such-program")])
    assert "exit 101" in seen.read_text()
    assert "install --yes --no-install-recommends caddy" in seen.read_text()
    assert not policy.exists()


def test_policy_of_the_machine_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = fake_apt(tmp_path, monkeypatch, "true")
    policy.write_text("#!/bin/sh\nexit 0\n")
    packages.ensure([Package("caddy", "no-such-program")])
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("E: Unable to locate package caddy", "Unable to locate package caddy"),
        ("dpkg: No space left on device", "no space left"),
    ],
)
def test_failed_installation_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, reason: str
) -> None:
    policy = fake_apt(tmp_path, monkeypatch, f'case "$*" in *install*) echo "{output}"; exit 100;; esac')
    with pytest.raises(Refused, match=reason):
        packages.ensure([Package("caddy", "no-such-program")])
    assert not policy.exists()


_HOLDER = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds a lock of apt until it reads a line."""
    lock = tmp_path / "lock"
    monkeypatch.setattr(packages, "LOCKS", [tmp_path / "none", lock])
    command = [sys.executable, "-c", _HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_one_at_work_is_named_and_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: subprocess.Popen[str],
) -> None:
    fake_apt(tmp_path, monkeypatch, f'echo "$@" >> "{tmp_path}/seen"')

    def wait(seconds: float) -> None:
        assert not (tmp_path / "seen").exists()
        other.communicate("\n", timeout=10)

    monkeypatch.setattr(packages.time, "sleep", wait)
    packages.ensure([Package("caddy", "no-such-program")])
    assert "install --yes --no-install-recommends caddy" in (tmp_path / "seen").read_text()
    said = [line for line in capsys.readouterr().out.splitlines() if "are being changed" in line]
    assert len(said) == 1
    assert f"by process {other.pid} (python" in said[0]
    assert "waiting for it, 5 minutes at most" in said[0]


def test_another_one_that_does_not_end_is_waited_for_no_longer_than_patience_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[str]
) -> None:
    monkeypatch.setattr(packages, "_PATIENCE", 0.0)
    policy = fake_apt(tmp_path, monkeypatch, f'echo "E: Could not get lock {tmp_path}/lock."; exit 100')
    with pytest.raises(Refused, match="the package lists cannot be read: Could not get lock"):
        packages.ensure([Package("caddy", "no-such-program")])
    assert other.poll() is None
    assert not policy.exists()


def test_a_lock_that_is_taken_between_our_look_and_that_of_apt_is_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "LOCKS", [])
    monkeypatch.setattr(packages.time, "sleep", lambda seconds: None)
    fake_apt(
        tmp_path,
        monkeypatch,
        f'test -e "{tmp_path}/tried" || {{ touch "{tmp_path}/tried"; echo "E: Could not get lock x"; exit 100; }}\n'
        f'echo "$@" >> "{tmp_path}/seen"',
    )
    packages.ensure([Package("caddy", "no-such-program")])
    assert "install" in (tmp_path / "seen").read_text()
