"""Rules and decisions of HTTP access, without a database."""

import pytest

from environments.http_access import Policy, check_login, decide, grants, nobody, read_rules, written_rules
from portal.errors import Invalid

LOGINS = {"shop": "a hash"}


def policy(text: str = "", logins: dict[str, str] | None = None) -> Policy:
    return Policy(rules=read_rules(text), logins=logins or {})


@pytest.mark.parametrize("public", [True, False])
def test_off_means_everybody_on_production_and_members_elsewhere(public: bool) -> None:
    assert decide(None, public=public, address="192.0.2.1").welcome is public
    assert decide(None, public=public, address="192.0.2.1", member=True).welcome


@pytest.mark.parametrize("public", [True, False])
def test_either_grants(public: bool) -> None:
    both = policy("allow 192.0.2.0/24\ndeny 0.0.0.0/0\ndeny ::/0", LOGINS)
    assert decide(both, public=public, address="192.0.2.9").welcome
    assert decide(both, public=public, address="198.51.100.1", login=True) == decide(
        both, public=public, address="2001:db8::1", login=True
    )
    assert decide(both, public=public, address="198.51.100.1", login=True).by_login
    refused = decide(both, public=public, address="198.51.100.1")
    assert (refused.welcome, refused.ask) == (False, "login")
    assert decide(both, public=public, address="198.51.100.1", wait=True).ask == "wait"
    assert decide(policy("deny 0.0.0.0/0"), public=public, address="198.51.100.1").ask == ""


def test_the_first_rule_that_holds_the_address_counts() -> None:
    ordered = policy("deny 192.0.2.66\nallow 192.0.2.0/24\nallow 2001:db8::/32")
    assert not grants(ordered, "192.0.2.66", public=True)
    assert grants(ordered, "192.0.2.65", public=True)
    assert grants(ordered, "2001:DB8::7", public=True)
    assert not grants(ordered, "2001:db9::7", public=True)


def test_addresses_that_no_rule_holds_pass_only_a_list_of_denials_on_production() -> None:
    denials = policy("deny 192.0.2.0/24")
    assert grants(denials, "198.51.100.1", public=True)
    assert not grants(denials, "198.51.100.1", public=False)
    assert not grants(policy("deny 192.0.2.0/24", LOGINS), "198.51.100.1", public=True)
    assert not grants(policy("allow 192.0.2.0/24"), "198.51.100.1", public=True)


@pytest.mark.parametrize("address", ["", "unix:", "192.0.2", "192.0.2.1, 10.0.0.1", "x" * 500, "192.0.2.1%eth0"])
def test_what_is_no_address_is_granted_nothing(address: str) -> None:
    assert not grants(policy("allow 0.0.0.0/0\nallow ::/0"), address, public=True)


def test_ipv4_in_ipv6_dress_is_the_ipv4_address() -> None:
    assert grants(policy("allow 192.0.2.0/24"), "::ffff:192.0.2.7", public=False)
    assert not grants(policy("deny 192.0.2.0/24\nallow ::/0\nallow 0.0.0.0/0"), "::ffff:192.0.2.7", public=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allow all", "0.0.0.0/0"),
        ("permit 192.0.2.1", "allow or deny"),
        ("allow", "allow or deny"),
        ("allow 192.0.2.1 192.0.2.2", "allow or deny"),
        ("allow 192.0.2.300", "not an IP address"),
        ("allow example.com", "not an IP address"),
        ("allow 192.0.2.0/64", "/0 to /32"),
        ("allow 2001:db8::/129", "/0 to /128"),
        ("allow 192.0.2.1-2001:db8::1", "not an IP address"),
        ("allow ::ffff:192.0.2.0/120", "Write it as IPv4"),
        ("allow 192.0.2.7/24", "192.0.2.0/24"),
        ("allow 192.0.2.0/24;deny", "/0 to /32"),
        ("allow 1; rm -rf /", "allow or deny"),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_rules(f"deny 203.0.113.1\n\n{text}")
    assert caught.value.field == "rules"
    assert caught.value.message.startswith("Line 3: ")
    assert said in caught.value.message


def test_the_same_range_twice_is_named_with_both_lines() -> None:
    with pytest.raises(Invalid, match=r"Line 2: 192\.0\.2\.0/24 stands in line 1 already"):
        read_rules("allow 192.0.2.0/24\ndeny 192.0.2.0/24")


def test_very_many_rules_are_refused_and_a_wrong_list_is_told_in_short() -> None:
    with pytest.raises(Invalid, match="at most 200"):
        read_rules("\n".join(f"allow 10.0.{n}.0/24" for n in range(201)))
    with pytest.raises(Invalid) as caught:
        read_rules("\n".join(["nonsense " * 100] * 5000))
    assert len(caught.value.message) < 3000


def test_rules_are_written_as_they_are_read() -> None:
    text = "allow 192.0.2.7\ndeny 192.0.2.0/24\nallow 2001:db8::/32\nallow 2001:db8::1"
    assert written_rules(read_rules(text)) == text


@pytest.mark.parametrize(
    ("text", "public", "locked"),
    [
        ("deny 0.0.0.0/0", True, True),
        ("deny 0.0.0.0/1\ndeny 128.0.0.0/1", True, True),
        ("deny 192.0.2.0/24", True, False),
        ("deny 0.0.0.0/0\nallow 192.0.2.1", True, True),
        ("deny 0.0.0.0/0\nallow 2001:db8::1", True, False),
        ("allow 192.0.2.1\ndeny 0.0.0.0/0", True, False),
        ("", True, True),
        ("", False, False),
        ("deny 192.0.2.0/24", False, True),
    ],
)
def test_a_set_that_lets_in_nobody_is_known(text: str, public: bool, locked: bool) -> None:
    assert nobody(policy(text), public=public) is locked
    assert not nobody(policy(text, LOGINS), public=public)


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", "long enough", "name"),
        ("a:b", "long enough", "name"),
        (" a", "long enough", "name"),
        ("a\nb", "long enough", "name"),
        ("x" * 65, "long enough", "name"),
        ("shop", "short", "password"),
        ("shop", "x" * 201, "password"),
    ],
)
def test_logins_that_no_browser_could_send_are_refused(name: str, password: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_login(name, password)
    assert caught.value.field == field
    check_login("Ünter nehmen", "pässwörd : x")
