"""HTTP access, search engines and https, as the real nginx of real releases answers them."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.routing import resolve
from environments.runtimes.base import ASKED, UNLISTED, ReleaseSpec

from .apps import FILES, PHP, PHP_FILES, PYTHON
from .make import HOST, Maker, Portal, get, manifest
from .test_nginx import seen, up

LOGIN = "Basic c2hvcDpwYXNzd29yZA=="
PAGE = {"Accept": "text/html,application/xhtml+xml"}


def mark(maker: Maker, name: str) -> Path:
    return maker.home.marks(maker.key) / name


@pytest.mark.parametrize("public", [True, False])
def test_a_login_lets_in_and_stays_with_us(local: Any, maker: Maker, portal: Portal, public: bool) -> None:
    portal.ask, portal.logins = "login", {LOGIN}
    front = up(local, maker.release(PYTHON, FILES, public=public))
    if public:
        mark(maker, ASKED).touch()
    program = get(front, "/page")
    assert program.status == 401
    assert program.headers["www-authenticate"].startswith('Basic realm="')
    browser = get(front, "/page", headers=PAGE)
    assert browser.status == 302
    assert "/-/visit/start?" in browser.headers["location"]
    wrong = get(front, "/page", headers={**PAGE, "Authorization": "Basic d3Jvbmc6d3Jvbmc="})
    assert (wrong.status, "www-authenticate" in wrong.headers) == (401, True)
    inside = get(front, "/page", headers={"Authorization": LOGIN})
    assert inside.status == 200
    assert "authorization" not in seen(inside)["headers"]
    again = get(front, "/page", headers={"Authorization": LOGIN})  # answered by what nginx kept
    assert "authorization" not in seen(again)["headers"]
    portal.allowed.add("192.0.2.7")
    address = get(front, "/page", headers={"Authorization": "Bearer of the app", "X-Forwarded-For": "192.0.2.7"})
    assert seen(address)["headers"]["authorization"] == "Bearer of the app"


def test_php_does_not_see_the_login_either(local: Any, maker: Maker, portal: Portal) -> None:
    portal.logins = {LOGIN}
    front = up(local, maker.release(PHP, PHP_FILES, public=False))
    server = seen(get(front, "/", headers={"Authorization": LOGIN}))["server"]
    assert not {"HTTP_AUTHORIZATION", "PHP_AUTH_USER", "PHP_AUTH_PW"} & set(server)
    portal.allowed.add("192.0.2.7")
    other = "Basic YXBwOmFwcA=="
    headers = {"Authorization": other, "X-Forwarded-For": "192.0.2.7"}
    assert seen(get(front, "/", headers=headers))["server"]["HTTP_AUTHORIZATION"] == other


def test_who_guesses_too_often_is_told_to_wait(local: Any, maker: Maker, portal: Portal) -> None:
    portal.ask = "wait"
    front = up(local, maker.release(PYTHON, FILES, public=False))
    answer = get(front, headers={"Authorization": LOGIN})
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")


def test_what_is_kept_of_one_visitor_is_not_for_another(local: Any, maker: Maker, portal: Portal) -> None:
    portal.allowed.add("192.0.2.7")
    front = up(local, maker.release(PYTHON, FILES, public=False))
    assert get(front, headers={"X-Forwarded-For": "192.0.2.7"}).status == 200
    assert get(front, headers={"X-Forwarded-For": "192.0.2.8"}).status == 302
    assert get(front, headers={"X-Forwarded-For": "192.0.2.8", "Cookie": "slipway_visit=192.0.2.7"}).status == 200
    forged = get(
        front, headers={"X-Forwarded-For": "192.0.2.8", "X-Real-IP": "192.0.2.7", "Forwarded": "for=192.0.2.7"}
    )
    assert forged.status == 302
    assert portal.asked[-1]["x-forwarded-for"] == "192.0.2.8"


def test_production_changes_at_once_without_a_deployment(local: Any, maker: Maker, portal: Portal) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    assert get(front).status == 200
    assert "x-robots-tag" not in get(front).headers
    assert not portal.asked
    mark(maker, ASKED).touch()
    mark(maker, UNLISTED).touch()
    refused = get(front)
    assert (refused.status, refused.headers["x-robots-tag"]) == (302, "noindex, nofollow")
    mark(maker, ASKED).unlink()
    assert get(front).headers["x-robots-tag"] == "noindex, nofollow"
    mark(maker, UNLISTED).unlink()
    assert "x-robots-tag" not in get(front).headers
    # What passed the question is asked again after two seconds, when the portal has another mind.
    mark(maker, ASKED).touch()
    portal.allowed.add("192.0.2.7")
    assert get(front, headers={"X-Forwarded-For": "192.0.2.7"}).status == 200
    portal.allowed.clear()
    time.sleep(3.1)
    assert get(front, headers={"X-Forwarded-For": "192.0.2.7"}).status == 302


def test_an_app_cannot_reach_the_marks(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    up(local, release)
    mark(maker, ASKED).touch()
    said: list[bytes] = []
    look = "ls -la /run /run/app /run/app/.. ; find / -xdev -name asked -o -xdev -name marks 2>/dev/null; true"
    local.run(release, "app", look, Watch(output=said.append, total=30))
    assert b"asked" not in b"".join(said)
    assert b"marks" not in b"".join(said)


ROUTES = """
"https://{default}/":
    type: upstream
    upstream: app:http
    tls: {strict_transport_security: {enabled: true, include_subdomains: true}}
    redirects: {paths: {"/old": {to: "/new"}}}
"http://{default}/plain": {type: upstream, upstream: "app:http"}
"https://{default}/plain": {type: upstream, upstream: "app:http"}
"https://www.{default}/": {type: redirect, to: "https://{default}/"}
"""


def secure(maker: Maker, **changes: Any) -> ReleaseSpec:
    release = maker.release(PYTHON, FILES, routes=ROUTES)
    found = resolve(manifest(PYTHON, ROUTES), default_host=HOST, scheme="https", port=8443)
    return dataclasses.replace(release, routes=found, portal_url="https://localhost:8443", **changes)


def test_http_leads_to_https_and_https_says_so_to_browsers(local: Any, maker: Maker) -> None:
    front = up(local, secure(maker))
    plain, tls = {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "https"}
    away = get(front, "/a/b?c=1&d=%2F", headers=plain)
    assert (away.status, away.headers["location"]) == (301, f"https://{HOST}:8443/a/b?c=1&d=%2F")
    assert "strict-transport-security" not in away.headers
    assert get(front, "/plain/x", headers=plain).status == 200
    assert get(front, "/plainer", headers=plain).status == 301
    inside = get(front, "/a", headers=tls)
    assert inside.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert seen(inside)["headers"]["x-client-ssl"] == "on"
    assert get(front, "/old/x?y=1", headers=tls).headers["location"] == "/new/x?y=1"
    for headers in (plain, tls):
        www = get(front, "/x?y", host=f"www.{HOST}", headers=headers)
        assert (www.status, www.headers["location"]) == (301, f"https://{HOST}:8443/x?y")
    evil = get(front, "/%0d%0aSet-Cookie:%20a=b", headers=plain)
    assert "set-cookie" not in evil.headers


def test_a_release_answers_to_its_other_names(local: Any, maker: Maker) -> None:
    release = dataclasses.replace(maker.release(PYTHON, FILES), aliases={HOST: ["shop.example"]})
    front = up(local, release)
    assert get(front, host="shop.example").status == 200
    assert get(front, host="other.example").status == 404
