"""HTTP access: who may visit an environment without being a member. Pure: rules and decisions, no database.

An environment asks for a login, or looks at the visitor's address, or both: either one lets in. Of the address rules
the first that holds the address counts. Addresses that no rule holds are let in only where everybody may come otherwise
(Production) and nothing but denials was listed: a list of some who may does not admit the rest.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from portal.errors import Invalid

MAX_RULES = 200
MAX_LOGINS = 50
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f](?:[^:\x00-\x1f\x7f]{0,62}[^\s:\x00-\x1f\x7f])?\Z")
_SHORTEST = 8
_LONGEST = 200

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ask = Literal["", "login", "wait"]


@dataclass(frozen=True)
class Rule:
    allow: bool
    network: Network

    def __str__(self) -> str:
        return f"{'allow' if self.allow else 'deny'} {_shown(self.network)}"


@dataclass(frozen=True)
class Policy:
    """What is set, by the environment itself or by the nearest of its parents that sets anything."""

    rules: Sequence[Rule] = ()
    logins: Mapping[str, str] = field(default_factory=dict)  # name -> hash of the password


@dataclass(frozen=True)
class Verdict:
    welcome: bool
    by_login: bool = False  # the Authorization header was for us, so the app does not get it
    ask: Ask = ""  # what one who is refused can do besides signing in to the portal


def decide(
    policy: Policy | None, *, public: bool, address: str, member: bool = False, login: bool = False, wait: bool = False
) -> Verdict:
    """The one decision about a visitor. `policy` None: HTTP access is off.

    `member`: came with a portal session that may see the environment; `login`: with the name and password of a login;
    `wait`: with a password that was not even looked at, after too many wrong ones.
    """
    if member or (policy is None and public):
        return Verdict(True)
    if policy is None:
        return Verdict(False)
    if grants(policy, address, public=public):
        return Verdict(True)
    if login:
        return Verdict(True, by_login=True)
    return Verdict(False, ask="wait" if wait else "login" if policy.logins else "")


def grants(policy: Policy, address: str, *, public: bool) -> bool:
    """Whether the address alone is enough."""
    try:
        visitor = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(visitor, ipaddress.IPv6Address) and visitor.ipv4_mapped:
        visitor = visitor.ipv4_mapped
    for rule in policy.rules:
        if visitor.version == rule.network.version and visitor in rule.network:
            return rule.allow
    return public and _only_denies(policy)


def nobody(policy: Policy, *, public: bool) -> bool:
    """Whether it lets in no one at all but members, although it was meant to let in some."""
    if policy.logins:
        return False
    if public and _only_denies(policy):
        return any(_all_of(version, policy.rules) for version in (4, 6))
    if not policy.rules:
        return public
    return not any(rule.allow and not _covered(rule, policy.rules[:place]) for place, rule in enumerate(policy.rules))


def _only_denies(policy: Policy) -> bool:
    return bool(policy.rules) and not policy.logins and not any(rule.allow for rule in policy.rules)


def _all_of(version: int, rules: Iterable[Rule]) -> bool:
    """Whether the rules together hold every address of a family."""
    return any(network.prefixlen == 0 for network in _joined(version, (rule.network for rule in rules)))


def _covered(rule: Rule, earlier: Iterable[Rule]) -> bool:
    """Whether denials before it leave nothing of it."""
    denied = _joined(rule.network.version, (each.network for each in earlier if not each.allow))
    return any(rule.network.subnet_of(network) for network in denied)  # type: ignore[arg-type]


def _joined(version: int, networks: Iterable[Network]) -> list[Network]:
    return list(ipaddress.collapse_addresses(each for each in networks if each.version == version))  # type: ignore[type-var]


def read_rules(text: str) -> tuple[Rule, ...]:
    """One rule a line: `allow 192.0.2.0/24`. Raises Invalid (field rules) with every line that is wrong."""
    rules: list[Rule] = []
    wrong: list[str] = []
    first: dict[Network, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rule = _rule(line.split())
        except ValueError as error:
            wrong.append(f"Line {number}: {error}")
            continue
        if rule.network in first:
            wrong.append(f"Line {number}: {_shown(rule.network)} stands in line {first[rule.network]} already.")
        first.setdefault(rule.network, number)
        rules.append(rule)
    if len(rules) > MAX_RULES:
        wrong.append(f"These are {len(rules)} rules; at most {MAX_RULES} can be kept. Join ranges that touch.")
    if wrong:
        more = [f"... and {len(wrong) - 10} more."] if len(wrong) > 10 else []
        raise Invalid(" ".join(wrong[:10] + more), field="rules")
    return tuple(rules)


def written_rules(rules: Iterable[Rule]) -> str:
    return "\n".join(map(str, rules))


def rule(allow: bool, network: str) -> Rule:
    """One that was checked when it was stored."""
    return Rule(allow, ipaddress.ip_network(network))


def check_login(name: str, password: str) -> None:
    """Raises Invalid (field name or password)."""
    if not _NAME.match(name):
        message = "A name has up to 64 characters, no colon, and no space at its ends."
        raise Invalid(message, field="name")
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise Invalid(f"A password has {_SHORTEST} to {_LONGEST} characters.", field="password")


def _rule(words: Sequence[str]) -> Rule:
    said = " ".join(words)[:80]
    if len(words) != 2 or words[0].lower() not in ("allow", "deny"):
        raise ValueError(f'"{said}" is not a rule. Write allow or deny and an address, such as allow 192.0.2.0/24.')
    text = words[1]
    if text.lower() == "all":
        raise ValueError("all addresses are two rules: one for 0.0.0.0/0 and one for ::/0.")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_not_a_network(text)) from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError(f"{text[:60]} is an IPv4 address in IPv6 dress. Write it as IPv4, such as 192.0.2.0/24.")
    if network.with_prefixlen != text and ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text[:60]} is an address inside a range. The range is {network}.")
    return Rule(words[0].lower() == "allow", network)


def _not_a_network(text: str) -> str:
    address, slash, length = text.partition("/")
    try:
        family = ipaddress.ip_address(address)
    except ValueError:
        return f'"{text[:60]}" is not an IP address or range. Write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32.'
    if slash:
        return f"/{length[:20]} does not fit an IPv{family.version} address: it takes /0 to /{family.max_prefixlen}."
    return f'"{text[:60]}" is not an IP address or range.'


def _shown(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
