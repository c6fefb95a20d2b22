import pytest

from launcher import settings
from launcher.errors import Refused


def test_defaults() -> None:
    found = settings.read({}, {})
    assert (found.port, found.ssh_port, found.domain, found.url) == (
        8000,
        2222,
        "localhost",
        "http://localhost:8000",
    )
    assert found.own_redis


def test_an_earlier_start_is_remembered_until_something_else_is_said() -> None:
    kept = {"SLIPWAY_PORT": "8100", "DATABASE_URL": "postgres://one", "PATH": "/evil"}
    assert settings.read({}, kept).port == 8100
    assert settings.read({"SLIPWAY_PORT": "8200"}, kept).port == 8200
    assert settings.read({"SLIPWAY_PORT": ""}, kept).port == 8000
    assert "DATABASE_URL" not in settings.read({"DATABASE_URL": ""}, kept).passed
    assert settings.read({}, kept).environ("/h", "/s")["PATH"] != "/evil"


def test_what_is_kept_gives_the_same_settings_again() -> None:
    first = settings.read({"SLIPWAY_SSH_PORT": "2223", "REDIS_URL": "redis://r", "SLIPWAY_LEASE": "3"}, {})
    again = settings.read({}, first.kept())
    assert (again.port, again.ssh_port, again.passed["REDIS_URL"]) == (8000, 2223, "redis://r")
    assert "SLIPWAY_LEASE" not in again.passed


def test_processes_see_only_what_is_passed_on_purpose() -> None:
    private = {"AWS_SECRET": "x", "LD_PRELOAD": "x", "PYTHONPATH": "x", "HOME": "/root"}
    environ = settings.read({**private, "SLIPWAY_LEASE": "3", "https_proxy": "p"}, {}).environ("/h", "/h/cache")
    assert environ["SLIPWAY_HOME"] == "/h"
    assert environ["HOME"] == "/h/cache"
    assert (environ["SLIPWAY_LEASE"], environ["https_proxy"]) == ("3", "p")
    assert not {"AWS_SECRET", "LD_PRELOAD", "PYTHONPATH"} & environ.keys()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"SLIPWAY_BASE_DOMAIN": "a.example"}, "http://a.example:8000"),
        ({"SLIPWAY_PUBLIC_PORT": "80"}, "http://localhost"),
        ({"SLIPWAY_SCHEME": "https", "SLIPWAY_PUBLIC_PORT": "443"}, "https://localhost"),
        ({"SLIPWAY_SCHEME": "https", "SLIPWAY_PUBLIC_PORT": "80"}, "https://localhost:80"),
    ],
)
def test_public_address(given: dict[str, str], url: str) -> None:
    assert settings.read(given, {}).url == url


def test_trusted_proxies_are_remembered() -> None:
    first = settings.read({"SLIPWAY_TRUSTED_PROXIES": "10.0.0.1 2001:db8::/32"}, {})
    assert settings.read({}, first.kept()).proxies == ["10.0.0.1/32", "2001:db8::/32"]
    assert settings.read({}, {}).proxies == []


def test_unknown_scheme_is_refused() -> None:
    with pytest.raises(Refused, match="http or https"):
        settings.read({"SLIPWAY_SCHEME": "gopher"}, {})


def test_tls_is_https_at_its_own_port_and_is_remembered() -> None:
    first = settings.read({"SLIPWAY_HTTPS_PORT": "8443", "SLIPWAY_TLS": "internal"}, {})
    again = settings.read({}, first.kept())
    tls = again.tls("token")
    assert tls is not None
    assert (again.url, tls.port, tls.public_port, tls.kind) == (
        "https://localhost:8443",
        8443,
        8443,
        "internal",
    )
    assert settings.read({"SLIPWAY_HTTPS_PORT": "8443", "SLIPWAY_PUBLIC_PORT": "443"}, {}).url == "https://localhost"
    assert settings.read({}, {}).tls("token") is None


@pytest.mark.parametrize(
    "given",
    [
        {"SLIPWAY_HTTPS_PORT": "x"},
        {"SLIPWAY_HTTPS_PORT": "8443", "SLIPWAY_SCHEME": "http"},
        {"SLIPWAY_TLS": "self-signed"},
        {"SLIPWAY_ACME_DIRECTORY": "http://acme.example/dir"},
        {"SLIPWAY_ACME_DIRECTORY": "https://acme.example/` }"},
        {"SLIPWAY_ACME_EMAIL": "ops example.com"},
        {"SLIPWAY_CA_FILE": "/nowhere/ca.pem"},
    ],
)
def test_wrong_settings_of_tls_are_named(given: dict[str, str]) -> None:
    with pytest.raises(Refused, match=next(iter(given))):
        settings.read(given, {})
