"""From a Sandbox to the description that launch.py carries out: what a program may see, and how much it may take."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from environments.runtimes.base import RuntimeFailure, Sandbox
from environments.runtimes.local import seccomp

LAUNCH = Path(__file__).with_name("launch.py")
USER = 10000
_GROUP_PATIENCE = 1.0  # seconds
_FORGOTTEN = 60.0  # seconds after which a build has entered its group for sure
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_SBIN, _SBIN_BELOW = "/usr/sbin", "/run/slipway/sbin"
_TMP_SIZE = 512 * 1024**2
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs read of /etc. Nothing that says something about the host's people, services or secrets.
_ETC = (
    *("alternatives", "ca-certificates", "fonts", "gai.conf", "gtk-3.0", "ImageMagick-6", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "localtime", "magic", "mime.types", "npmrc", "perl", "php", "pip.conf", "protocols"),
    *("resolv.conf", "services", "ssl", "timezone"),
)
_ACCOUNTS = """root:x:0:0:root:/nonexistent:/usr/sbin/nologin
web:x:{user}:{user}:web:/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nweb:x:{user}:\nnogroup:x:65534:\n"
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nprotocols: files\nservices: files\n"


@dataclass(frozen=True)
class Extras:
    """What only this runtime can ask of a sandbox, beyond what the engines of `backing` need."""

    beneath: Sequence[tuple[Path, str, str, bool]] = ()  # volume, folder below it, where, writable
    files: Mapping[str, str] = ()  # type: ignore[assignment]
    symlinks: Sequence[tuple[str, str]] = ()  # target, where
    unlink: Sequence[Path] = ()  # sockets of an earlier life
    after: Path | None = None  # wait until it exists
    sendmail: str = ""  # what lies at /usr/sbin/sendmail, by its path in the sandbox
    network: tuple[Path, Path] | None = None  # the door of the one to join, and the file that says whether to

    def with_files(self, files: Mapping[str, str]) -> "Extras":
        return replace(self, files={**dict(self.files or {}), **files})


def refuse_root() -> None:
    """Run by root, bubblewrap would leave the program root's capabilities."""
    if os.geteuid() == 0:
        raise RuntimeFailure(
            "runtime-root", "Sandboxes are never started by root. Run Slipway as its own user.", by_user=False
        )


def describe(sandbox: Sandbox, extras: Extras = Extras()) -> dict[str, Any]:
    """The JSON that launch.py reads."""
    refuse_root()
    return {
        "argv": list(sandbox.argv),
        "env": {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", "HOME": "/tmp", **sandbox.env},  # noqa: S108 - the sandbox's own
        "bwrap": _arguments(sandbox, extras),
        "beneath": [[str(root), relative, where, writable] for root, relative, where, writable in extras.beneath],
        "files": {**_etc_files(sandbox.hosts), **dict(extras.files or {})},
        "seccomp": seccomp.program().hex(),
        "memory": sandbox.memory,
        "processes": sandbox.processes,
        "file_size": sandbox.file_size,
        "label": sandbox.label,
        "groups": _delegated(),
        "unlink": [str(path) for path in extras.unlink],
        "after": str(extras.after) if extras.after else None,
        "network": [str(path) for path in extras.network] if extras.network else None,
    }


def write_alone(path: Path, sandbox: Sandbox, *, label: str) -> None:
    """The same for a program that shares no network with anything: nobody but us, by its socket, can speak to it."""
    alone = describe(replace(sandbox, label=label))
    alone["bwrap"] = ["--unshare-net", *alone["bwrap"]]
    write_private(path, alone)


def write(path: Path, sandbox: Sandbox, extras: Extras = Extras()) -> None:
    """Write the description where only we can read it: it holds the program's passwords."""
    write_private(path, describe(sandbox, extras))


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(content, file)
    temporary.replace(path)


def joins_none(path: Path) -> bool:
    """Whether the description that stands there was written without a network to join."""
    try:
        return not json.loads(path.read_bytes()).get("network")
    except (OSError, ValueError):
        return False


def command(path: Path) -> list[str]:
    """The argument list that starts what `write` wrote."""
    return [interpreter(), "-IS", str(LAUNCH), str(path)]


@lru_cache(maxsize=1)
def interpreter() -> str:
    """The system's Python: it exists inside sandboxes too, and everybody may read it."""
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if found is None:
        raise RuntimeFailure("runtime-no-python", "Python is not installed in /usr/bin on this host.", by_user=False)
    return found


def _arguments(sandbox: Sandbox, extras: Extras) -> list[str]:
    bound = {where for _, where in (*sandbox.read_only, *sandbox.writable)}
    arguments = [
        *("--unshare-user", "--uid", str(USER), "--gid", str(USER), "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--disable-userns", "--hostname", "app", "--die-with-parent", "--cap-drop", "ALL"),
        *("--ro-bind", "/usr", "/usr", *_system_folders()),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(16 * 1024**2), "--tmpfs", "/run"),
    ]
    for name in _ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    if "/tmp" not in bound:  # noqa: S108 - the sandbox's own
        arguments += ["--perms", "1777", "--size", str(_TMP_SIZE), "--tmpfs", "/tmp"]  # noqa: S108
    folder_of_links = bool(extras.sendmail) and not os.path.islink(_SBIN)
    if folder_of_links:
        arguments += ["--ro-bind", _SBIN, _SBIN_BELOW, "--tmpfs", _SBIN]
    arguments += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    # Shorter paths first, or a parent would be mounted over its child.
    binds = [("--ro-bind", *bind) for bind in sandbox.read_only] + [("--bind", *bind) for bind in sandbox.writable]
    for option, source, where in sorted(binds, key=lambda bind: (bind[2].count("/"), bind[2])):
        arguments += [option, str(source), where]
    for target, where in (*extras.symlinks, *_sbin(extras.sendmail)):
        arguments += ["--symlink", target, where]
    if folder_of_links:
        arguments += ["--remount-ro", _SBIN]
    return [*arguments, "--chdir", sandbox.cwd]


def _sbin(sendmail: str) -> list[tuple[str, str]]:
    """A folder of the host cannot get another file: so it becomes one of links, to the host's own files and to ours."""
    if not sendmail or os.path.islink(_SBIN):
        return []
    links = []
    for entry in os.scandir(_SBIN):
        if entry.name != "sendmail":
            target = os.readlink(entry.path) if entry.is_symlink() else f"{_SBIN_BELOW}/{entry.name}"
            links.append((target, entry.path))
    return [*sorted(links), (sendmail, f"{_SBIN}/sendmail")]


@lru_cache(maxsize=1)
def _system_folders() -> tuple[str, ...]:
    """/bin, /lib and the like: links into /usr on a merged system, folders of their own elsewhere."""
    arguments: list[str] = []
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    return tuple(arguments)


def _etc_files(hosts: Mapping[str, str]) -> dict[str, str]:
    lines = ["127.0.0.1 localhost app", "::1 localhost ip6-localhost"]
    lines += [f"{address} {name}" for name, address in sorted(hosts.items()) if _one_word(name, address)]
    return {
        "/etc/passwd": _ACCOUNTS.format(user=USER),
        "/etc/group": _GROUP.format(user=USER),
        "/etc/nsswitch.conf": _NSSWITCH,
        "/etc/hosts": "\n".join(lines) + "\n",
    }


def _one_word(*words: str) -> bool:
    return all(word and not any(character.isspace() or character == "#" for character in word) for word in words)


def _delegated() -> tuple[str, ...] | None:
    """(version, folder for memory, folder for processes) of the control groups that the launcher gave to us."""
    found = tuple(os.environ.get(f"SLIPWAY_CGROUP_{name}", "") for name in ("VERSION", "MEMORY", "PIDS"))
    return found if all(found) else None


def groups() -> Iterable[Path]:
    return [Path(path) for path in dict.fromkeys((_delegated() or ())[1:])]


def ran_out_of_memory(label: str) -> bool:
    """Whether the kernel killed something in the group of this label for lack of memory."""
    delegated = _delegated()
    if not delegated or not label:
        return False
    for name in ("memory.events", "memory.oom_control"):
        try:
            lines = (Path(delegated[1]) / label / name).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(" ")
            if key == "oom_kill" and int(value):
                return True
    return False


def remove_groups(prefix: str) -> None:
    """Remove the control groups whose label is `prefix` or begins with it and a dash, once what was in them is gone."""
    deadline = time.monotonic() + _GROUP_PATIENCE
    for top in groups():
        for folder in [top / prefix, *top.glob(f"{prefix}-*")]:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break  # something in it still ends; the next removal takes it
                    time.sleep(0.01)
                else:
                    break


def remove_forgotten_groups() -> None:
    """Remove the empty groups of builds whose worker was killed. A new one is empty too, until its build enters it."""
    for top in groups():
        for folder in top.glob("b-*"):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > _FORGOTTEN:
                    folder.rmdir()
