"""nginx of a release: its configuration file, from routes and `web.locations`."""

from environments.runtimes.local.nginx.config import (
    COOKIE,
    DRAIN,
    FASTCGI,
    FRONT,
    MARKS,
    PORTAL,
    SOCKETS,
    Upstream,
    write,
)
from environments.runtimes.local.nginx.locations import Site
from environments.runtimes.local.nginx.patterns import places, refused

__all__ = [
    "COOKIE",
    "DRAIN",
    "FASTCGI",
    "FRONT",
    "MARKS",
    "PORTAL",
    "SOCKETS",
    "Site",
    "Upstream",
    "places",
    "refused",
    "write",
]
