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


def test_missing_language_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_services_are_held_back_while_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    policy = fake_apt(
        tmp_path, monkeypatch, f'cat "{tmp_path}/policy-rc.d" >> "{seen}"; echo "$@" >> "{seen}"'
    )
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
