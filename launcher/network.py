"""Whether environments get networks of their own on this machine: asked of the kernel at each start, and written down.

environments/runtimes/local/network.py reads the file, and says what it means."""

import contextlib
import ipaddress
import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import progress
from launcher.errors import Refused
from launcher.home import Layout
from launcher.user import RunUser

CHOICES = ("auto", "isolated", "shared")
TUN = Path("/dev/net/tun")
_PYTHON = "/usr/bin/python3"
_EVERYBODY = 0o666
_HOLDER = "environments/runtimes/local/holder.py"


@dataclass(frozen=True)
class State:
    mode: str
    reason: str

    @property
    def line(self) -> str:
        if self.mode == "isolated":
            return "Each environment has a network of its own"
        return (
            f"ENVIRONMENTS SHARE THIS HOST'S NETWORK: {self.reason}. They can reach each other's ports, which only "
            "passwords protect; docs/operating.md says what is needed"
        )


def asked(environ: Mapping[str, str]) -> str:
    found = environ.get("SLIPWAY_NETWORK") or "auto"
    if found not in CHOICES:
        raise Refused(f"SLIPWAY_NETWORK is {found!r}; it must be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    return found


def check_allowed(text: str) -> None:
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            ipaddress.IPv4Network(word)
        except ValueError as error:
            raise Refused(
                f"SLIPWAY_NETWORK_ALLOW: {word!r} is not an IPv4 network such as 10.20.0.0/16 ({error})"
            ) from None


def open_tun(user: RunUser, *, tun: Path = TUN) -> None:
    """Let the user open the device that carries what leaves a network of one's own: where udev runs, everybody may.

    Root alone can, and in some containers not even root: what then lacks is said by `settle`."""
    if not user.drop:
        return
    with contextlib.suppress(OSError):
        if not tun.exists():
            tun.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            os.mknod(tun, stat.S_IFCHR | _EVERYBODY, os.makedev(10, 200))
        if tun.is_char_device() and not (user.can("-r", tun) and user.can("-w", tun)):
            tun.chmod(_EVERYBODY)


def settle(layout: Layout, code: Path, choice: str) -> State:
    """Find out, say it and write it down; called as the user that runs Slipway. Refuses what was asked for in vain."""
    lacks = "SLIPWAY_NETWORK says so" if choice == "shared" else _lacks(code)
    if lacks and choice == "isolated":
        raise Refused(f"SLIPWAY_NETWORK is isolated, which is not possible: {lacks}")
    state = State("shared" if lacks else "isolated", lacks)
    temporary = layout.network.with_suffix(".new")
    temporary.write_text(f"{state.mode}\n{state.reason}\n")
    temporary.replace(layout.network)
    progress.line(state.line)
    return state


def read(layout: Layout) -> State | None:
    """What the last start found; None before there was one."""
    try:
        mode, _, reason = layout.network.read_text().partition("\n")
    except OSError:
        return None
    return State(mode, reason.strip())


def _lacks(code: Path) -> str:
    """Why it is not possible; "" when it is."""
    command = [_PYTHON, "-IS", str(code / _HOLDER), "--check"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"the check ended with exit code {done.returncode}"
