"""Keeps the network of one environment. Stands alone: run as `python3 -IS holder.py DESCRIPTION`, or `... --check`.

It makes a user and a network namespace, and a child that stays in them and hands them out at a Unix socket, its door;
it then becomes slirp4netns, which carries what leaves the environment. They live and die together: a holder that comes
after one that was killed first ends what still runs in the lost network, so that no program goes on in a wrong one.

DESCRIPTION is JSON: {"door": path, "mark": name of the network device, "allow": [network], "listens": [[address,
port]]}. Who connects to the door gets one message, a name that no other network has, with descriptors: the user and the
network namespace, a fresh TCP socket of each family made inside, and the listening sockets in their order.
"""

import _socket
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import struct
import sys
import time

_SLIRP = ("/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns")
_TUN = "/dev/net/tun"
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_PR_SET_PDEATHSIG = 1
_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _IFF_UP = 0x890B, 0x8914, 0x8916, 0x891C, 0x1
_TUNSETIFF, _TUNSETPERSIST, _TAP_WITHOUT_INFO = 0x400454CA, 0x400454CB, 0x1002
_RTF_UP, _RTF_GATEWAY, _RTF_HOST, _RTF_REJECT = 0x1, 0x2, 0x4, 0x200
_GATEWAY = "10.0.2.2"  # slirp4netns' own
# What is no part of the Internet: this host's neighbours, clouds' metadata services, and what routes nowhere.
CLOSED = (
    *("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    *("192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
)
_MEMORY, _FILES = 512 * 1024**2, 8192
_PATIENCE = 10.0  # seconds that programs in a lost network get to end
_LOOK = 60  # seconds between looks at the host's own addresses
_libc = ctypes.CDLL(None, use_errno=True)


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    os.closerange(3, 4096)
    end_lost(given["mark"])
    _limit()
    up, up_there = os.pipe()
    configured_there, configured = os.pipe()
    alive, alive_there = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        for descriptor in (up, configured, alive):
            os.close(descriptor)
        _stay(parent, up_there, configured_there, **given)
    for descriptor in (up_there, configured_there, alive_there):
        os.close(descriptor)
    if os.read(up, 1) != b"1":
        os.waitpid(child, 0)
        raise SystemExit("slipway: the network could not be made; the line above says why")
    os.close(up)
    for descriptor in (configured, alive):
        os.set_inheritable(descriptor, True)
    options = ["--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp"]
    pipes = [f"--ready-fd={configured}", f"--exit-fd={alive}"]
    os.execve(_slirp(), ["slirp4netns", *options, *pipes, str(child), given["mark"]], {})  # noqa: S606


def check() -> None:
    """Raises SystemExit with the reason when networks of one's own cannot be had here."""
    program = _slirp()
    if not os.access(program, os.X_OK):
        raise SystemExit("slirp4netns is not installed")
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise SystemExit(f"{_TUN} is missing or not open to this user")
    try:
        enter_new("sl-check")
    except OSError as error:
        raise SystemExit(f"network namespaces cannot be made here ({error.strerror})") from None
    words = ["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--", "/bin/true"]
    os.execve("/usr/bin/bwrap", ["bwrap", *words], {})  # noqa: S606


def end_lost(mark: str) -> None:
    """End what runs in a network whose holder is gone: its device, named for this environment alone, is still there."""
    deadline, number = time.monotonic() + _PATIENCE, signal.SIGTERM
    while found := _inside(mark):
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        time.sleep(0.1)


def _inside(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(name)}/net/dev") as file:
            if f"{mark}:" in file.read():
                found.append(int(name))
    return found


def _stay(
    parent: int,
    up: int,
    configured: int,
    *,
    door: str,
    mark: str,
    allow: list[str],
    listens: list[tuple[str, int]],
) -> None:
    closed = Closed(parent, allow)
    try:
        enter_new(mark)
        closed.close()
        listening = [_listen(address, port) for address, port in listens]
    except OSError as error:
        raise SystemExit(f"slipway: the network cannot be made: {error}") from None
    _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)
    os.write(up, b"1")
    if os.read(configured, 1) != b"1":
        raise SystemExit(1)
    closed.open_allowed(mark)
    _serve(door, listening, closed)


def _serve(path: str, listening: list[_socket.socket], closed: "Closed") -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    spaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("user", "net")]
    door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    os.umask(0o177)
    door.bind(path)
    door.listen(256)
    door.settimeout(_LOOK)
    name = os.urandom(8).hex().encode()
    while True:
        try:
            descriptor, _ = door._accept()  # type: ignore[attr-defined]
        except TimeoutError:
            closed.close()
            continue
        client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor)
        made = [_socket.socket(family, _socket.SOCK_STREAM) for family in (_socket.AF_INET, _socket.AF_INET6)]
        handed = [*spaces, *(one.fileno() for one in (*made, *listening))]
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(handed)}i", *handed))
        with contextlib.suppress(OSError):
            client.sendmsg([name], [rights])
        for one in (*made, client):
            one.close()


class Closed:
    """What is not to be reached. The sandboxes cannot change it: they have no rights over this network."""

    def __init__(self, outside: int, allow: list[str]) -> None:
        self._addresses = f"/proc/{outside}/net/fib_trie"  # of a process that stays in the host's network
        self._allow = allow
        self._done = set(allow)

    def close(self) -> None:
        """The host's own addresses become addresses of this network: what listens on them outside is mostly guarded
        against others, not against the host itself. The portal answers at its public port here, see `listens`."""
        for network in CLOSED:
            if network not in self._done:
                _route(network, _RTF_REJECT)
                self._done.add(network)
        for address in self._own():
            if address not in self._done and f"{address}/32" not in self._allow:
                self._done.add(address)
                _take(address, len(self._done))

    def open_allowed(self, device: str) -> None:
        for network in self._allow:
            _route(network, _RTF_GATEWAY, device)

    def _own(self) -> list[str]:
        found, last = set(), ""
        with contextlib.suppress(OSError), open(self._addresses) as file:
            for line in file:
                words = line.split()
                if words[:1] in (["|--"], ["+--"]):
                    last = words[1]
                elif words[:3] == ["/32", "host", "LOCAL"] and not last.startswith("127."):
                    found.add(last)
        return sorted(found)


def enter_new(mark: str) -> None:
    """Make both namespaces, with the loopback up and a device of this name in them. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_USER | _NEW_NET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with contextlib.closing(_socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)) as any_socket:
        fcntl.ioctl(any_socket.fileno(), _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    tun = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", mark.encode(), _TAP_WITHOUT_INFO))
    fcntl.ioctl(tun, _TUNSETPERSIST, 1)
    os.close(tun)


def _route(network: str, flags: int, device: str = "") -> None:
    """See `struct rtentry` in route(7)'s header."""
    address, _, bits = network.partition("/")
    mask = struct.pack("!I", (0xFFFFFFFF << (32 - int(bits))) & 0xFFFFFFFF)
    gateway = _internet(_socket.inet_aton(_GATEWAY if flags & _RTF_GATEWAY else "0.0.0.0"))  # noqa: S104
    flags |= _RTF_UP | (_RTF_HOST if bits == "32" else 0)
    name = ctypes.create_string_buffer(device.encode())
    entry = struct.pack(
        "@L16s16s16sHhLPhPLLH6x",
        *(0, _internet(_socket.inet_aton(address)), gateway, _internet(mask)),
        *(flags, 0, 0, 0, 0, ctypes.addressof(name) if device else 0, 0, 0, 0),
    )
    with contextlib.closing(_socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)) as any_socket:
        fcntl.ioctl(any_socket.fileno(), _SIOCADDRT, entry)


def _take(address: str, number: int) -> None:
    """Give the address, it alone, to the loopback device."""
    name = f"lo:{number}".encode()
    with contextlib.closing(_socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)) as any_socket:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
            given = struct.pack("16s16s8x", name, _internet(_socket.inet_aton(value)))
            fcntl.ioctl(any_socket.fileno(), request, given)


def _internet(address: bytes) -> bytes:
    return struct.pack("=H2x4s8x", _socket.AF_INET, address)


def _listen(address: str, port: int) -> _socket.socket:
    found = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    found.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    found.bind((address, port))
    found.listen(128)
    return found


def _limit() -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("300")
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, _MEMORY), (resource.RLIMIT_NOFILE, _FILES)):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))


def _slirp() -> str:
    return next((path for path in _SLIRP if os.access(path, os.X_OK)), _SLIRP[0])


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        check()
    main(sys.argv[1])
