"""Git URLs that people give: which are accepted, and how one is fetched without reaching what it must not reach.

A host name is resolved once; what was checked is what is connected to (a pin for HTTPS, HostName for SSH), so that a
second answer of the name server cannot lead elsewhere.
"""

import ipaddress
import os
import re
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from portal.errors import Invalid

MAX_URL = 1000
_RIGHT = "Use https://host/path.git, or git@host:path.git with the deploy key."
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9.])?\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\[\]]+):(?P<path>[^:].*)\Z")
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_NUMERIC = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)\Z")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"https": 443, "http": 80, "ssh": 22}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Remote:
    """A URL that may be fetched, as text for Git, and in parts."""

    url: str
    scheme: str  # "https", "ssh" ("http" only where private remotes are allowed)
    host: str  # without brackets, lower case
    port: int


@dataclass(frozen=True)
class Plan:
    """How to fetch a remote: connect to this address and nothing else. No address: an HTTP proxy resolves the name."""

    remote: Remote
    address: Address | None

    def git_options(self) -> list[str]:
        """`-c` options for Git."""
        options = ["protocol.allow=never", f"protocol.{self.remote.scheme}.allow=always"]
        options += ["http.followRedirects=false", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60"]
        if self.address is not None and self.remote.scheme != "ssh":
            options.append(f"http.curloptResolve={self.remote.host}:{self.remote.port}:{_bracketed(self.address)}")
        return [part for option in options for part in ("-c", option)]

    def ssh_config(self, key: Path | None, known_hosts: Path) -> str:
        """An ssh_config(5) file; every value in it is ours or has been checked."""
        settings = {
            "HostName": str(self.address),
            "HostKeyAlias": self.remote.host,
            "BatchMode": "yes",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": _quoted(known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "IdentityFile": _quoted(key) if key else "none",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
            "ProxyCommand": "none",
            "ForwardAgent": "no",
            "ControlPath": "none",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
        }
        return "Host *\n" + "".join(f"  {name} {value}\n" for name, value in settings.items())

    def environment(self, ssh_config: Path | None) -> dict[str, str]:
        """Variables for Git. GIT_SSH_COMMAND is read by a shell: it holds one quoted path of ours and nothing else."""
        base = {"GIT_ALLOW_PROTOCOL": self.remote.scheme, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false"}
        if ssh_config is not None:
            base |= {"GIT_SSH_COMMAND": shlex.join(["ssh", "-F", str(ssh_config)]), "GIT_SSH_VARIANT": "ssh"}
        return base


def check(text: str, *, allow_private: bool = False) -> Remote:
    """The remote that the text names. Raises Invalid, which says what is wrong and what would be right.

    The message never repeats the URL: it may hold a password.
    """
    url = text.strip()
    if not url:
        raise _refuse("Give the URL of a Git repository.")
    if len(url) > MAX_URL:
        raise _refuse(f"The URL is longer than {MAX_URL} characters.")
    if not url.isascii() or any(not "!" <= character <= "~" for character in url) or "\\" in url:
        raise _refuse("The URL holds a space, a control character, a backslash or a letter outside ASCII.")
    if url.startswith("-"):
        raise _refuse("A URL cannot begin with a dash.")
    if _HELPER.match(url):
        raise _refuse("URLs with :: would run a program on this host and are not allowed.")
    remote = _with_scheme(url, allow_private) if "://" in url else _scp_like(url)
    literal = _literal(remote.host)
    if literal is not None and not allow_private:
        _check_address(literal, remote.host)
    return remote


def plan(text: str, *, allow_private: bool = False) -> Plan:
    """Check the URL and resolve its host, once. Raises Invalid."""
    remote = check(text, allow_private=allow_private)
    try:
        found = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        if _proxied(remote):
            return Plan(remote, None)
        raise _refuse(f"The host {remote.host} is not known to the name server. Check its spelling.") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not allow_private:
        for address in addresses:
            _check_address(address, remote.host)
    return Plan(remote, min(addresses, key=lambda address: address.version))


def is_public(address: Address) -> bool:
    """Whether the address lies in the public internet, also when it is an IPv4 address in IPv6 clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _with_scheme(url: str, allow_private: bool) -> Remote:
    scheme = url.partition("://")[0].lower()
    if scheme == "http" and not allow_private:
        raise _refuse("http:// is not encrypted.", "Use https:// instead.")
    if scheme not in _PORTS:
        raise _refuse(f"{scheme[:20]}:// is not allowed." if re.match(r"[a-z0-9+.-]+\Z", scheme) else "This is no URL.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _refuse("The host or the port of the URL is not valid.") from None
    _check_credentials(parts, scheme)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise _refuse('The URL of a repository has no "?" and no "#" in it.')
    if not parts.path.strip("/"):
        raise _refuse("The path of the repository is missing.")
    if port == 0:
        raise _refuse("The port of the URL is not valid.")
    return Remote(url, scheme, _check_host(host), port or _PORTS[scheme])


def _check_credentials(parts: SplitResult, scheme: str) -> None:
    if "@" not in parts.netloc:
        return
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    if scheme == "ssh" and not colon:
        if not _USER.match(user):
            raise _refuse("The user name in the URL is not valid.")
        return
    raise _refuse(
        "The URL has a user name, password or token in it, which would end up in logs.",
        "For a private repository use git@host:path.git and add the deploy key at its host.",
    )


def _scp_like(url: str) -> Remote:
    found = _SCP.match(url)
    if url.startswith(("/", ".", "~")) or found is None:
        raise _refuse("Paths on this host are not allowed.")
    if found["user"] is not None and not _USER.match(found["user"]):
        raise _refuse("The user name in the URL is not valid.")
    if found["path"].startswith("-"):
        raise _refuse("The path of a repository cannot begin with a dash.")
    return Remote(url, "ssh", _check_host(found["host"].strip("[]").lower()), 22)


def _check_host(host: str) -> str:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _refuse("The host of the URL is not valid.") from None
    if not _HOST.match(host) or ".." in host:
        raise _refuse("The host of the URL is missing or not valid.")
    last = host.rstrip(".").rpartition(".")[2]
    if _NUMERIC.match(last) and _literal(host) is None:
        raise _refuse("The host is a number written in an unusual way.", "Write a host name.")
    return host


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_address(address: Address, host: str) -> None:
    if not is_public(address):
        raise _refuse(f"The host {host} is a private or local address.", "Use a public host.")


def _proxied(remote: Remote) -> bool:
    name = f"{remote.scheme}_proxy"
    return remote.scheme != "ssh" and bool(os.environ.get(name.upper()) or os.environ.get(name))


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'


def _refuse(what: str, remedy: str = _RIGHT) -> Invalid:
    return Invalid(f"{what} {remedy}", field="url")
