"""Starts one sandboxed program from a JSON description. Stands alone: run as `python3 -IS launch.py SPEC`.

It puts itself into a control group and under limits, opens what must be opened safely, and becomes bubblewrap. Secrets
travel in the description (0600) and in the environment, never in arguments; bubblewrap's own arguments travel in a
descriptor, so that no path of the host shows in the sandbox's process list.
"""

import _socket
import contextlib
import json
import os
import resource
import signal
import struct
import sys
import time
from typing import Any

# Programs are asked to end by a signal to their process group. The sandbox's own processes stand in that group too and
# must outlive the program, or it would be killed in the middle of ending well. `env --default-signal` undoes it inside.
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_RESOLVER = "nameserver 10.0.2.3\n"  # slirp4netns'
_NETWORK_PATIENCE = 60.0  # seconds
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    os.closerange(3, 4096)
    for stale in spec.get("unlink", ()):
        with contextlib.suppress(OSError):
            os.unlink(stale)
    _count_start(path)
    _wait_for(spec.get("after"))
    confined = _enter_group(spec)
    _set_limits(spec, confined)
    arguments = [*spec["bwrap"]]
    for root, relative, destination, writable in spec.get("beneath", ()):
        arguments += ["--bind-fd" if writable else "--ro-bind-fd", str(_open_beneath(root, relative)), destination]
    joins = _must_join(spec.get("network"))
    given = {**spec.get("files", {}), **({"/etc/resolv.conf": _RESOLVER} if joins else {})}
    for destination, text in given.items():
        arguments += ["--perms", "0555", "--ro-bind-data", str(_in_memory(text.encode())), destination]
    if spec.get("seccomp"):
        arguments += ["--seccomp", str(_in_memory(bytes.fromhex(spec["seccomp"])))]
    arguments += ["--remount-ro", "/"]
    # Set inside: bubblewrap itself, still outside the sandbox, must not obey an LD_PRELOAD that an app gave.
    for name, value in spec["env"].items():
        arguments += ["--setenv", name, value]
    inner = ["/usr/bin/env", "--default-signal", "--"]
    if not confined:
        inner += ["/usr/bin/prlimit", "--nproc={0}:{0}".format(spec["processes"]), "--"]
    if any("\0" in word for word in arguments):
        raise SystemExit("slipway: a NUL in an argument would begin another one")
    packed = _in_memory(b"".join(word.encode() + b"\0" for word in arguments))
    if joins:
        _join(spec["network"][0])
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    os.execve("/usr/bin/bwrap", ["bwrap", "--args", str(packed), "--", *inner, *spec["argv"]], {})  # noqa: S606


def _count_start(path: str) -> None:
    """A byte for each start of a program that is kept running: supervisord does not say how often it began anew."""
    stem = path.rpartition("/")[2].removesuffix(".json")
    if os.environ.get("SUPERVISOR_PROCESS_NAME", "").endswith((f"-{stem}", f"-{stem}-0")):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            file = os.open(path.removesuffix(".json") + ".starts", flags, 0o600)
            os.write(file, b".")
            os.close(file)


def _wait_for(path: str | None) -> None:
    """Until the release is the one that serves; a signal ends the wait as it would end the program."""
    while path and not os.path.exists(path):
        time.sleep(0.1)


def _must_join(network: list[str] | None) -> bool:
    """Whether the environment has a network of its own: unless the launcher says that this host has none to give."""
    if not network:
        return False
    try:
        with open(network[1]) as file:
            return file.readline().strip() != "shared"
    except FileNotFoundError:
        return True


def _join(door: str) -> None:
    """Enter the environment's namespaces, and end rather than run in any other: see holder.py."""
    import ctypes  # only here, for it takes milliseconds

    libc = ctypes.CDLL(None, use_errno=True)
    deadline = time.monotonic() + _NETWORK_PATIENCE
    while not (spaces := _ask(door)):
        if time.monotonic() > deadline:
            raise SystemExit("slipway: the network of the environment is not there")
        time.sleep(0.05)
    for space, kind in zip(spaces, (_NEW_USER, _NEW_NET), strict=True):
        if libc.setns(space, kind) != 0:
            raise SystemExit(f"slipway: the network cannot be joined: {os.strerror(ctypes.get_errno())}")
    # Its holder may have been killed meanwhile. The next one ends what it finds inside, but only once it starts.
    again = _ask(door)
    if not again or os.fstat(again[1]).st_ino != os.fstat(spaces[1]).st_ino:
        raise SystemExit("slipway: the network of the environment is being made anew")
    for space in (*spaces, *again):
        os.close(space)


def _ask(door: str) -> list[int]:
    """Descriptors of the user and the network namespace; empty when nobody answers."""
    with contextlib.closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)) as link:
        link.settimeout(5)
        try:
            link.connect(door)
            _, answers, _, _ = link.recvmsg(64, _socket.CMSG_SPACE(16 * 4), _socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return []
    handed = [number for _, _, data in answers for (number,) in struct.iter_unpack("i", data)]
    for descriptor in handed[2:]:
        os.close(descriptor)
    return handed[:2]


def _enter_group(spec: dict[str, Any]) -> bool:
    """Join a control group of our own with the limits. False where none was delegated to us."""
    label, groups = spec.get("label"), _delegated_now() or spec.get("groups")
    if not (label and groups):
        return False
    version, memory, pids = groups
    names = ("memory.max", "memory.swap.max") if version == "2" else ("memory.limit_in_bytes", None)
    try:
        for folder in dict.fromkeys((os.path.join(memory, label), os.path.join(pids, label))):
            os.makedirs(folder, exist_ok=True)
        if spec.get("memory"):
            _write(os.path.join(memory, label, names[0]), spec["memory"])
            if names[1]:
                with contextlib.suppress(OSError):
                    _write(os.path.join(memory, label, names[1]), 0)
        _write(os.path.join(pids, label, "pids.max"), spec["processes"])
        for folder in dict.fromkeys((os.path.join(memory, label), os.path.join(pids, label))):
            _write(os.path.join(folder, "cgroup.procs"), 0)
    except OSError:
        return False
    return True


def _delegated_now() -> list[str] | None:
    """What the launcher says at this start: a description may be older, and another start's groups are gone."""
    found = [os.environ.get(f"SLIPWAY_CGROUP_{name}", "") for name in ("VERSION", "MEMORY", "PIDS")]
    return found if all(found) else None


def _write(path: str, value: int) -> None:
    with open(path, "w") as file:
        file.write(str(value))


def _set_limits(spec: dict[str, Any], confined: bool) -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # when the host itself runs out of memory, this goes before the portal
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 65536)
    if spec.get("file_size"):
        _limit(resource.RLIMIT_FSIZE, spec["file_size"])
    if spec.get("memory") and not confined:
        _limit(resource.RLIMIT_DATA, spec["memory"])  # for each process; the best there is without a control group


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _open_beneath(root: str, relative: str) -> int:
    """A descriptor of a directory below `root`, following no symlink: what is in a mount is the app's to change."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            raise SystemExit(f"slipway: the mount {relative!r} leads out of its volume")
        try:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            raise SystemExit(f"slipway: the mount {relative!r} cannot be used: {part!r}: {error.strerror}") from None
        os.close(descriptor)
        descriptor = below
    os.set_inheritable(descriptor, True)
    return descriptor


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("slipway", 0)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return descriptor


if __name__ == "__main__":
    main(sys.argv[1])
