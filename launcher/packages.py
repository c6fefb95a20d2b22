"""System packages: what is missing, and how it gets here on Debian."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher import progress
from launcher.errors import Refused

POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = """#!/bin/sh
# Written by ./slipway while it installs packages, removed afterwards: no service starts by being installed.
exit 101
"""
# Daemons as Debian starts them at boot. Slipway starts its own copies of these programs and needs none of the units.
_UNITS = {
    "redis-server": "redis-server.service",
    "caddy": "caddy.service",
    "nginx-light": "nginx.service",
    "mariadb-server": "mariadb.service",
    "postgresql": "postgresql.service",
    "rabbitmq-server": "rabbitmq-server.service",
    "memcached": "memcached.service",
    "php8.2-fpm": "php8.2-fpm.service",
    "openssh-server": "ssh.service",
}
# A POSIX lock on one of these is what apt and dpkg keep each other out by.
LOCKS = [
    Path("/var/lib/dpkg/lock-frontend"),
    Path("/var/lib/dpkg/lock"),
    Path("/var/lib/apt/lists/lock"),
    Path("/var/cache/apt/archives/lock"),
]
_LOCKED = re.compile(r"E: (?:Could not get lock|Unable to (?:acquire|lock)) ")
_PATIENCE = 300.0  # seconds that another one is waited for
_SEARCH = os.pathsep.join(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


@dataclass(frozen=True)
class Package:
    name: str
    program: str = ""
    """What shows that it is here, on PATH or as a whole path; without it dpkg is asked."""
    needed: bool = True
    """Without it no instance starts; others are missed only by the apps that ask for them."""


RUN = [
    Package("git", "git"),
    Package("redis-server", "redis-server"),
    Package("caddy", "caddy"),
    Package("bubblewrap", "bwrap"),
    Package("nginx-light", "nginx"),
    Package("slirp4netns", "slirp4netns", needed=False),
    Package("util-linux", "setpriv"),
    Package("zstd", "zstd"),
    Package("openssh-client", "ssh-keygen"),
    Package("bash", "bash"),
    Package("openssh-sftp-server", "/usr/lib/openssh/sftp-server", needed=False),
    Package("rsync", "rsync", needed=False),
    Package("less", "less", needed=False),
    Package("nano", "nano", needed=False),
    Package("vim-tiny", "vi", needed=False),
    Package("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    Package("mariadb-server", "mariadbd", needed=False),
    Package("postgresql", "/usr/lib/postgresql", needed=False),
    Package("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server", needed=False),
    Package("memcached", "memcached", needed=False),
    Package("php8.2-fpm", "php-fpm8.2", needed=False),
    Package("php8.2-cli", "php8.2", needed=False),
    *[
        Package(f"php8.2-{extension}", needed=False)
        for extension in [
            "mysql",
            "redis",
            "mbstring",
            "xml",
            "curl",
            "gd",
            "intl",
            "zip",
            "opcache",
            "pgsql",
        ]
    ],
    Package("composer", "composer", needed=False),
    Package("unzip", "unzip", needed=False),
    Package("nodejs", "node", needed=False),
    Package("npm", "npm", needed=False),
]
TEST = [
    Package("chromium", "chromium"),
    Package("fonts-inter"),
    Package("fonts-jetbrains-mono"),
    Package("openssh-server", "/usr/sbin/sshd"),
    Package("curl", "curl"),
    Package("pebble", "pebble"),
]


def missing(packages: Sequence[Package]) -> list[Package]:
    unknown = [package.name for package in packages if not package.program]
    known = _installed(unknown)
    return [package for package in packages if not (_found(package.program) or package.name in known)]


def system_python() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def venv_package() -> list[Package]:
    """Debian ships Python without what `python3 -m venv` needs."""
    python = system_python()
    if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0:
        return []
    if not python.startswith("/usr/bin/"):
        raise Refused(f"{python} has no venv module; run ./slipway with a complete Python 3.11 or newer")
    return [Package("python3-venv", "/nonexistent")]


def ensure(packages: Sequence[Package]) -> None:
    """Install what is missing, or say in one line what it is and how to get it."""
    absent = [*missing(packages), *venv_package()]
    if not absent:
        return
    names = [package.name for package in absent]
    command = f"apt-get install {' '.join(names)}"
    if shutil.which("apt-get") is None or not is_debian():
        _do_without(absent, "this is not Debian, so install what provides them there")
    elif os.geteuid() != 0:
        _do_without(absent, f"run as root: {command}")
    else:
        _install(names)


def is_debian(release: Path = Path("/etc/os-release")) -> bool:
    try:
        return bool(re.search(r"^ID(_LIKE)?=.*\bdebian\b", release.read_text(), re.MULTILINE))
    except OSError:
        return False


def _do_without(absent: Sequence[Package], what_to_do: str) -> None:
    names = ", ".join(package.name for package in absent)
    if any(package.needed for package in absent):
        raise Refused(f"missing on this machine: {names}; {what_to_do}")
    progress.line(f"Going on without {names}: apps that need them will be refused ({what_to_do})")


def _found(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    return bool(program) and (shutil.which(program) or shutil.which(program, path=_SEARCH)) is not None


def _installed(names: Sequence[str]) -> set[str]:
    if not names or shutil.which("dpkg-query") is None:
        return set()
    ask = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in answer.splitlines() if line.endswith(" installed")}


def _install(names: Sequence[str]) -> None:
    progress.line(f"Installing system packages: {' '.join(names)}")
    before = _installed(list(_UNITS))
    held = _hold_services()
    try:
        _apt(["update"], "the package lists cannot be read")
        _apt(
            ["install", "--yes", "--no-install-recommends", *names],
            f"apt-get cannot install {' '.join(names)}",
        )
    finally:
        if held:
            POLICY.unlink(missing_ok=True)
    for package in sorted(_installed(list(_UNITS)) - before):
        _leave_off(_UNITS[package])


def _hold_services() -> bool:
    """Keep apt from starting services. False when the machine has a policy of its own, which then decides."""
    if POLICY.exists() and POLICY.read_text(errors="replace") != _POLICY_TEXT:
        return False
    POLICY.write_text(_POLICY_TEXT)
    POLICY.chmod(0o755)
    return True


def _leave_off(unit: str) -> None:
    """Only for what was not here before: whoever already ran it keeps it."""
    if shutil.which("systemctl"):
        subprocess.run(["systemctl", "disable", unit], capture_output=True, check=False)


def _wait_for_others(until: float) -> None:
    """For who holds a lock of apt or dpkg, up to that moment of the monotonic clock. Says once who does."""
    told: set[str] = set()
    while holder := next(filter(None, map(_holder, LOCKS)), ""):
        if holder not in told:
            told.add(holder)
            left = max(0.0, until - time.monotonic())
            progress.line(f"Packages are being changed by {holder}; waiting for it, {left / 60:.0f} minutes at most")
        if time.monotonic() >= until:
            return
        time.sleep(0.5)  # the kernel tells nobody of a lock's end but who stands in line for it, as apt does not


def _holder(lock: Path) -> str:
    """Who has it, "process 12 (apt-get)"; empty when nobody has, or when it cannot be told."""
    try:
        with lock.open("rb+") as file:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return ""
    if kind == fcntl.F_UNLCK:
        return ""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = "of another system"
    return f"process {pid} ({name})"


def _apt(arguments: Sequence[str], failure: str) -> None:
    """Somebody else may take a lock between our look and apt's own, so that is gone on with as well."""
    until = time.monotonic() + _PATIENCE
    while True:
        _wait_for_others(until)
        lines = _run_apt(arguments)
        if lines is None:
            return
        if not any(map(_LOCKED.match, lines)) or time.monotonic() >= until:
            break
        time.sleep(0.5)
    reason = next((text for text in lines if text.startswith("E: ")), lines[-1] if lines else "no output")
    if any("No space left on device" in text for text in lines):
        reason = "no space left on the disk of /var or /usr; free some and run the command again"
    raise Refused(f"{failure}: {reason.removeprefix('E: ')}")


def _run_apt(arguments: Sequence[str]) -> list[str] | None:
    """None when it went well, else what it said."""
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", *arguments]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile("w+", errors="replace") as record:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        assert process.stdout is not None
        _show_apt(process.stdout, record)
        if process.wait() == 0:
            return None
        record.seek(0)
        return [text.strip() for text in record.read().splitlines() if text.strip()]


def _show_apt(output: Iterable[str], record: IO[str]) -> None:
    done = 0
    total = 0
    for text in output:
        record.write(text)
        if found := re.match(r"\d+ upgraded, (\d+) newly installed", text):
            total = int(found[1])
        elif text.startswith("Setting up "):
            done += 1
            if done % 50 == 0 or done == total:
                progress.line(f"  {done} of {total} packages set up")
        elif text.startswith("Fetched "):
            progress.line(f"  {text.strip().lower()}")
