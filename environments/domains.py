"""Names of domains, and whether their DNS leads here. Pure but for the questions to DNS."""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.conf import settings

from environments import dns, names
from environments.routing import MAX_HOST
from portal.errors import Invalid

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?\Z")  # the last label is no number


def read(text: str) -> str:
    """The name as it is kept: lower case, in ASCII. Raises Invalid (field domain)."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise Invalid(f'"{text[:60]}" is not a domain name.', field="domain") from None
    if not _DOMAIN.match(name):
        hint = " Leave http:// and what comes behind the name away." if "/" in name else ""
        raise Invalid(f'"{text[:60]}" is not a domain name such as www.example.com.{hint}', field="domain")
    if len(name) > MAX_HOST:
        raise Invalid(f"A domain has at most {MAX_HOST} characters here.", field="domain")
    if name == settings.BASE_DOMAIN or names.is_reserved(name, settings.BASE_DOMAIN):
        raise Invalid(f"{name} belongs to Slipway itself.", field="domain")
    return name


def above(name: str) -> list[str]:
    """The names that it lies below, itself first, top-level domains left out."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def covers(domains: Collection[str], host: str) -> bool:
    """Whether the host is one of the domains or lies below one."""
    return any(name in domains for name in above(host))


def proof(project_id: str, name: str) -> tuple[str, str]:
    """(name, text) of the TXT record by which whoever holds a domain lets a project have it."""
    made = hmac.new(settings.SECRET_KEY.encode(), f"domain/{project_id}/{name}".encode(), hashlib.sha256)
    return f"_slipway.{name}", f"slipway={made.hexdigest()[:32]}"


def is_proven(project_id: str, name: str) -> bool:
    record, text = proof(project_id, name)
    try:
        return text in dns.ask(record, "TXT")
    except dns.NoAnswer:
        return False


@dataclass(frozen=True)
class Leads:
    """Where DNS leads visitors of a domain. `here` None: it cannot be told."""

    here: bool | None
    found: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()


def leads(name: str) -> Leads:
    """Asks DNS: not in a request that anything else waits for."""
    wanted = settings.PUBLIC_ADDRESSES or _addresses(settings.BASE_DOMAIN)
    found = _addresses(name)
    if found is None or wanted is None:
        return Leads(None)
    here = bool(found) and set(found) <= set(wanted) if wanted else None
    return Leads(here, tuple(sorted(found)), tuple(sorted(wanted)))


def _addresses(name: str) -> Iterable[str] | None:
    try:
        return [*dns.ask(name, "A"), *dns.ask(name, "AAAA")]
    except dns.NoAnswer:
        return None
