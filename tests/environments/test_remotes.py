import socket
from pathlib import Path
from typing import Any

import pytest

from environments import remotes
from portal.errors import Invalid

GOOD = [
    ("https://github.com/acme/shop.git", "https", "github.com", 443),
    ("  https://git.example.com:8443/a/b  ", "https", "git.example.com", 8443),
    ("ssh://git@example.com/acme/shop.git", "ssh", "example.com", 22),
    ("ssh://git@example.com:2222/acme/shop.git", "ssh", "example.com", 2222),
    ("git@github.com:acme/shop.git", "ssh", "github.com", 22),
    ("github.com:acme/shop.git", "ssh", "github.com", 22),
    ("https://8.8.8.8/a.git", "https", "8.8.8.8", 443),
]
HELPERS = [
    "ext::sh -c id",
    "ext::id",
    "EXT::id",
    "fd::17",
    "FD::17/x",
    "::x",
    "a::b",
    "https::x",
    "transport::https://x/y",
]
LOCAL = ["/etc/passwd", "./x", "../x", "~/x", "file:///etc", "FILE:///etc", "x", "C:\\x", "//host/path"]
OPTIONS = [
    "--upload-pack=id", "-oProxyCommand=id", "ssh://-oProxyCommand=id/x", "ssh://-oProxyCommand=id@h/x", "git@-oX=y:p",
    "-u@host:path", "git@host:-path", "ssh://host -x/p", "https://host/a b", "https://host/a\nb", "https://host/\0",
    "https://host/\u202ex", "https://hö.st/x", "git@host:",
]  # fmt: skip
CREDENTIALS = [
    "https://ada:secret-word@example.com/x.git", "https://secret-word@example.com/x.git",
    "ssh://git:secret-word@example.com/x.git", "https://example.com/x.git?token=secret-word", "https://:@example.com/x",
    "https://example.com/x.git#secret-word",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.1", "0x7f000001", "0x7f.1", "2130706433", "0177.0.0.1", "017700000001", "0", "0.0.0.0",
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[::1]",
    "[::]", "[::ffff:169.254.169.254]", "[::ffff:7f00:1]", "[fe80::1]", "[fd00::1]", "[ff02::1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]", "[fec0::1]", "[::127.0.0.1]",
]  # fmt: skip
OTHER = [
    "", "http://example.com/x.git", "git://example.com/x.git", "ftp://example.com/x", "https://", "https:///x",
    "https://example.com", "https://example.com/", "https://example.com:99999/x", "https://example.com:0/x",
    "https://exa..mple.com/x", "https://[::1/x", "https://[zz]/x", "javascript://x/y", "https://e.com/" + "x" * 1000,
]  # fmt: skip


@pytest.mark.parametrize(("url", "scheme", "host", "port"), GOOD)
def test_urls_of_git_hosts_are_taken(url: str, scheme: str, host: str, port: int) -> None:
    assert remotes.check(url) == remotes.Remote(url.strip(), scheme, host, port)


@pytest.mark.parametrize("url", [*HELPERS, *LOCAL, *OPTIONS, *OTHER])
def test_everything_else_is_refused_with_what_would_be_right(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        remotes.check(url)
    assert caught.value.field == "url"
    assert caught.value.message[0].isupper() or caught.value.message[0].islower()
    assert "https://" in caught.value.message or caught.value.message.endswith(".")


@pytest.mark.parametrize("url", CREDENTIALS)
def test_a_secret_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        remotes.check(url)
    assert "secret-word" not in caught.value.message


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("form", ["https://{}/x.git", "ssh://git@{}/x.git"])
def test_private_addresses_are_refused_however_they_are_written(host: str, form: str) -> None:
    with pytest.raises(Invalid):
        remotes.plan(form.format(host))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
def test_a_name_of_a_private_address_is_refused(host: str) -> None:
    with pytest.raises(Invalid, match=r"private or local|not known"):
        remotes.plan(f"https://{host}/x.git")


def test_a_name_with_a_public_and_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(Invalid, match="private or local"):
        remotes.plan("https://example.com/x.git")


def test_what_was_checked_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = resolve_to(monkeypatch, "2001:4860:4860::8888", "8.8.8.8")
    https = remotes.plan("https://example.com/x.git")
    assert "http.curloptResolve=example.com:443:8.8.8.8" in https.git_options()
    assert "http.followRedirects=false" in https.git_options()
    assert https.git_options()[:4] == ["-c", "protocol.allow=never", "-c", "protocol.https.allow=always"]
    ssh = remotes.plan("git@example.com:x.git").ssh_config(tmp_path / "key", tmp_path / "known")
    assert "HostName 8.8.8.8\n" in ssh
    assert "HostKeyAlias example.com\n" in ssh
    assert "StrictHostKeyChecking accept-new\n" in ssh
    assert asked == ["example.com", "example.com"]


def test_a_company_can_allow_its_own_network() -> None:
    plan = remotes.plan("http://127.0.0.1:8080/x.git", allow_private=True)
    assert (plan.remote.scheme, str(plan.address)) == ("http", "127.0.0.1")
    for url in (*HELPERS, *LOCAL, *OPTIONS, *CREDENTIALS):
        with pytest.raises(Invalid):
            remotes.check(url, allow_private=True)


def test_an_unknown_host_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(Invalid, match=r"nowhere\.example is not known"):
        remotes.plan("https://nowhere.example/x.git")


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked
