"""What the person said by environment variables, now or at an earlier start."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher import edge, network, ports
from launcher.errors import Refused

# Kept in the home, so that a later start without them does not silently use another port or database.
KEPT = [
    "SLIPWAY_PORT",
    "SLIPWAY_SSH_PORT",
    "SLIPWAY_BASE_DOMAIN",
    "SLIPWAY_SCHEME",
    "SLIPWAY_PUBLIC_PORT",
    "SLIPWAY_PUBLIC_SSH_PORT",
    "SLIPWAY_TRUSTED_PROXIES",
    "SLIPWAY_NETWORK",
    "SLIPWAY_NETWORK_ALLOW",
    "SLIPWAY_HTTPS_PORT",
    "SLIPWAY_TLS",
    "SLIPWAY_ACME_DIRECTORY",
    "SLIPWAY_ACME_EMAIL",
    "SLIPWAY_CA_FILE",
    "SLIPWAY_PUBLIC_ADDRESSES",
    "SLIPWAY_SMTP_URL",
    "DATABASE_URL",
    "REDIS_URL",
]
# How builds reach package registries, and how anything gets out, is the machine's business.
_PASSED = re.compile(
    r"(SLIPWAY_[A-Z0-9_]+|DATABASE_URL|REDIS_URL|TZ|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|PIP_[A-Z_]+"
    r"|(npm_config|NPM_CONFIG)_\w+|COMPOSER_[A-Z_]+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|NODE_EXTRA_CA_CERTS)\Z"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Settings:
    port: int
    ssh_port: int
    network: str
    domain: str
    proxies: Sequence[str]
    https_port: int | None
    """None: the edge does not speak TLS; a proxy in front may."""
    passed: Mapping[str, str]
    """Environment variables for the portal's processes, as given; SLIPWAY_HOME is not among them."""

    @property
    def own_redis(self) -> bool:
        return not self.passed.get("REDIS_URL")

    @property
    def scheme(self) -> str:
        return self.passed.get("SLIPWAY_SCHEME") or ("https" if self.https_port else "http")

    @property
    def public_port(self) -> int:
        """Which visitors see."""
        return int(self.passed.get("SLIPWAY_PUBLIC_PORT") or self.https_port or self.port)

    @property
    def url(self) -> str:
        port = str(self.public_port)
        return f"{self.scheme}://{self.domain}" + ("" if port == _DEFAULT_PORTS[self.scheme] else f":{port}")

    def tls(self, token: str) -> edge.Tls | None:
        if self.https_port is None:
            return None
        return edge.Tls(
            port=self.https_port,
            public_port=self.public_port,
            kind=self.passed.get("SLIPWAY_TLS") or "acme",
            token=token,
            directory=self.passed.get("SLIPWAY_ACME_DIRECTORY", ""),
            email=self.passed.get("SLIPWAY_ACME_EMAIL", ""),
            authorities=self.passed.get("SLIPWAY_CA_FILE", ""),
        )

    def kept(self) -> dict[str, str]:
        given = {name: self.passed[name] for name in KEPT if self.passed.get(name)}
        return {**given, "SLIPWAY_PORT": str(self.port), "SLIPWAY_SSH_PORT": str(self.ssh_port)}

    def environ(self, home: str, scratch: str) -> dict[str, str]:
        """The whole environment of a portal process: nothing of the caller's but what is passed on purpose."""
        return {
            **self.passed,
            "SLIPWAY_HOME": home,
            "SLIPWAY_PORT": str(self.port),
            "SLIPWAY_SSH_PORT": str(self.ssh_port),
            "SLIPWAY_BASE_DOMAIN": self.domain,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PATH": _SEARCH,
            "LANG": "C.UTF-8",
            "HOME": scratch,
            "PYTHONPYCACHEPREFIX": f"{scratch}/pycache",
            "PYTHONUNBUFFERED": "1",
            # Both for less memory: columns for carets in tracebacks, and one heap per thread.
            "PYTHONNODEBUGRANGES": "1",
            "MALLOC_ARENA_MAX": "2",
        }


def read(environ: Mapping[str, str], kept: Mapping[str, str]) -> Settings:
    """An empty variable means its default, whatever an earlier start was told."""
    passed = {name: value for name, value in environ.items() if _PASSED.match(name) and name != "SLIPWAY_HOME"}
    if passed.get("SLIPWAY_SCHEME") not in (None, "", *_DEFAULT_PORTS):
        raise Refused(f"SLIPWAY_SCHEME is {passed['SLIPWAY_SCHEME']!r}; it must be http or https")
    merged = {**{name: value for name, value in kept.items() if name in KEPT}, **passed}
    if not re.match(r"(smtps?://.|\Z)", merged.get("SLIPWAY_SMTP_URL") or ""):
        raise Refused("SLIPWAY_SMTP_URL must look like smtp://user:password@host:587 or smtps://host")
    network.check_allowed(merged.get("SLIPWAY_NETWORK_ALLOW") or "")
    https_port = merged.get("SLIPWAY_HTTPS_PORT") or None
    _check_tls(merged)
    return Settings(
        network=network.asked(merged),
        port=ports.parse(merged.get("SLIPWAY_PORT") or "8000", "SLIPWAY_PORT"),
        ssh_port=ports.parse(merged.get("SLIPWAY_SSH_PORT") or "2222", "SLIPWAY_SSH_PORT"),
        domain=edge.check_domain(merged.get("SLIPWAY_BASE_DOMAIN") or "localhost"),
        proxies=edge.parse_proxies(merged.get("SLIPWAY_TRUSTED_PROXIES") or ""),
        https_port=ports.parse(https_port, "SLIPWAY_HTTPS_PORT") if https_port else None,
        passed={name: value for name, value in merged.items() if value},
    )


def _check_tls(given: Mapping[str, str]) -> None:
    if given.get("SLIPWAY_TLS") not in (None, "", "acme", "internal"):
        raise Refused(f"SLIPWAY_TLS is {given['SLIPWAY_TLS']!r}; it must be acme or internal")
    if given.get("SLIPWAY_HTTPS_PORT") and given.get("SLIPWAY_SCHEME") == "http":
        raise Refused("SLIPWAY_HTTPS_PORT is set and SLIPWAY_SCHEME is http; leave one of them out")
    directory = given.get("SLIPWAY_ACME_DIRECTORY") or ""
    if directory and not re.match(r"https://[^\s`]+\Z", directory):
        raise Refused(f"SLIPWAY_ACME_DIRECTORY is {directory!r}; it must be a URL that begins with https://")
    email = given.get("SLIPWAY_ACME_EMAIL") or ""
    if email and not re.match(r"[^\s@`]+@[^\s@`]+\Z", email):
        raise Refused(f"SLIPWAY_ACME_EMAIL is {email!r}; it must be an e-mail address")
    authorities = given.get("SLIPWAY_CA_FILE") or ""
    if authorities and not os.path.isfile(authorities):
        raise Refused(f"SLIPWAY_CA_FILE is {authorities!r}, which is no file; it must be a PEM file of certificates")
