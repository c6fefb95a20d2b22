"""Requests through the real nginx of real releases."""

import json
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.runtimes.base import ReleaseSpec, RuntimeFailure

from .apps import FILES, PHP, PHP_FILES, PYTHON, SERVER
from .make import HOST, Answer, Maker, Portal, get

QUIET = Watch(output=lambda _: None)


def up(local: Any, release: ReleaseSpec) -> Path:
    local.place(release)
    local.start(release)
    probe = local.probe(release, timeout=20, watch=QUIET)
    assert probe.ok, probe.reason
    return Path(local.front(release))


def seen(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_everything_reaches_an_app_without_locations(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    said = seen(get(front, "/a%20b/c?x=1&y=%2F", method="POST", body="data", headers={"X-Forwarded-For": "192.0.2.7"}))
    assert (said["path"], said["method"], said["body"]) == ("/a%20b/c?x=1&y=%2F", "POST", "data")
    headers = said["headers"]
    assert headers["x-client-ip"] == headers["x-forwarded-for"] == "192.0.2.7"
    assert headers["x-original-route"] == "https://{default}/"
    assert headers["host"] == HOST


def test_a_pattern_that_only_pcre_refuses_is_named_before_anything_starts(local: Any, maker: Maker) -> None:
    app = r"""
name: app
type: 'python:3.11'
web: {locations: {"/": {passthru: true, rules: {'\.ok$': {allow: true}, '^/\p{Nonsense}"x': {allow: false}}}}}
"""
    release = maker.release(app, FILES)
    for _ in range(2):
        with pytest.raises(RuntimeFailure) as caught:
            local.place(release)
        assert caught.value.by_user
        assert ".platform.app.yaml: web.locations./.rules: the pattern " in caught.value.message
        assert r"^/\p{Nonsense}" in caught.value.message
    routes = r"""
"https://{default}/":
    type: upstream
    upstream: app:http
    redirects: {paths: {'^/\p{Nonsense}': {to: "/x", regexp: true}}}
"""
    with pytest.raises(RuntimeFailure, match=re.escape("https://{default}/.redirects.paths: the pattern")):
        local.place(maker.release(PYTHON, FILES, routes=routes))


def test_patterns_can_be_looked_at_again_while_the_release_runs(local: Any, maker: Maker) -> None:
    rules = """web:
    commands: {start: "exec python server.py"}
    locations: {"/": {passthru: true, rules: {'\\.x$': {allow: true}}}}
"""
    release = maker.release(PYTHON.replace('web: {commands: {start: "exec python server.py"}}', rules), FILES)
    front = up(local, release)
    local.place(release)
    assert get(front).status == 200


def test_an_unknown_host_is_not_served(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    assert get(front, host="other.localhost").status == 404


def test_forged_headers_of_ours_do_not_reach_the_app(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    headers = seen(
        get(front, headers={"X-Slipway-Environment": "1", "Proxy": "http://evil", "X-Client-IP": "1.1.1.1"})
    )["headers"]
    assert "x-slipway-environment" not in headers
    assert "proxy" not in headers
    assert headers["x-client-ip"] != "1.1.1.1"


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("a=1; slipway_visit=x; b=2", "a=1; b=2"),
        ("slipway_visit=x; b=2", "b=2"),
        ("a=1; slipway_visit=x", "a=1"),
        ("slipway_visit=x", None),
        ("slipway_visit=x; a=1; slipway_visit=y; b=2; slipway_visit=z", "a=1; b=2"),
        ("; ".join(["slipway_visit=x"] * 6), None),
        ("my_slipway_visit=x", "my_slipway_visit=x"),
    ],
)
def test_the_visitors_cookie_is_kept_from_the_app(local: Any, maker: Maker, sent: str, passed: str | None) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    assert seen(get(front, headers={"Cookie": sent}))["headers"].get("cookie") == passed


def test_websockets_and_event_streams_pass_through_as_they_come(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(front))
        raw.sendall(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
        data = b""
        while part := raw.recv(4096):
            data += part
    assert b"101 Switching Protocols" in data
    assert data.endswith(b"hello")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(front))
        raw.sendall(f"GET /stream HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        began, times, data = time.monotonic(), [], b""
        while part := raw.recv(4096):
            data += part
            times.append(time.monotonic() - began)
    assert data.count(b"data: ") == 3
    assert times[0] < 0.4 < times[-1] - times[0]


def test_locations_of_a_php_app(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PHP, PHP_FILES))
    page = seen(get(front, "/some/page?a=b"))
    assert page["page"] == "index"
    assert page["server"]["REQUEST_URI"] == "/some/page?a=b"
    assert page["server"]["SCRIPT_FILENAME"] == "/app/public/index.php"
    assert page["server"]["SCRIPT_NAME"] == "/index.php"
    assert page["server"]["DOCUMENT_ROOT"] == "/app/public"
    assert page["server"]["HTTP_HOST"] == HOST
    assert page["get"] == {"a": "b"}
    assert page["limit"] == "77M"
    assert seen(get(front, "/"))["page"] == "index"
    assert seen(get(front, "/index.php/extra/path"))["server"]["PATH_INFO"] == "/extra/path"


def test_files_have_headers_and_pages_do_not(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PHP, PHP_FILES))
    file = get(front, "/logo.css")
    assert (file.status, file.body) == (200, b"a{}")
    assert file.headers["x-shop"] == "yes"
    assert file.headers["cache-control"] == "max-age=300"
    assert file.headers["content-type"].startswith("text/css")
    page = get(front, "/page")
    assert "x-shop" not in page.headers
    assert "cache-control" not in page.headers


def test_rules_forbid_and_rewrite(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PHP, PHP_FILES))
    assert get(front, "/keys.secret").status == 403
    assert get(front, "/static/js/app.js").text == "app()"
    assert get(front, "/static/js/app.js").headers["cache-control"] == "max-age=604800"
    assert get(front, "/static/version123/js/app.js").text == "app()"
    assert seen(get(front, "/static/missing.js"))["page"] == "front"
    assert get(front, "/sitemap-a.xml").text == "<map/>"
    assert seen(get(front, "/sitemap-none.xml"))["page"] == "index"


def test_folders_are_answered_by_their_index_under_their_slash(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PHP, PHP_FILES))
    assert seen(get(front, "/admin/"))["page"] == "admin"
    moved = get(front, "/admin?x=1")
    assert (moved.status, moved.headers["location"]) == (301, "/admin/?x=1")


def test_sources_and_secrets_are_never_sent(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PHP, PHP_FILES))
    assert b"source" not in get(front, "/static/run.php").body
    assert b"hidden" not in get(front, "/.env").body
    for path in ("/../server", "/static/../../etc/passwd", "/static/..%2f..%2f..%2fetc/passwd", "/upload/../x"):
        assert get(front, path).status in (200, 400, 404)
        assert b"root:" not in get(front, path).body


def test_mounts_are_served_and_links_in_them_lead_nowhere(local: Any, maker: Maker) -> None:
    release = maker.release(PHP, PHP_FILES)
    front = up(local, release)
    assert (
        local.run(release, "app", "echo picture > files/a.txt; ln -s /etc/passwd files/b.txt; ln -s / files/c", QUIET)
        == 0
    )
    assert get(front, "/upload/a.txt").text == "picture\n"
    assert b"/root" not in get(front, "/upload/b.txt").body
    assert get(front, "/upload/c/etc/hostname").status == 404
    assert get(front, "/upload/missing").status == 404


def test_allow_false_keeps_files_but_passes_the_rest(local: Any, maker: Maker) -> None:
    app = PYTHON.replace(
        'web: {commands: {start: "exec python server.py"}}',
        """
web:
  commands: {start: "exec python server.py"}
  locations:
    "/":
      root: public
      allow: false
      passthru: true
      rules: {'\\.css$': {allow: true, headers: {X-A: "b$c"}}}
    "/spa": {root: public, passthru: "/index.html"}
    "/closed": {root: null}
    "/bare": {root: public, index: [index.html]}
""",
    )
    files = {**FILES, "public/a.css": "css", "public/secret.txt": "s", "public/index.html": "page"}
    front = up(local, maker.release(app, files))
    assert get(front, "/secret.txt").status == 403
    assert get(front, "/a.css").headers["x-a"] == "b$c"
    assert seen(get(front, "/other"))["path"] == "/other"
    assert get(front, "/spa/deep/link").text == "page"
    assert get(front, "/spa").text == "page"
    assert get(front, "/closed/x").status == 404
    assert get(front, "/bare/").text == "page"
    assert (get(front, "/bare").status, get(front, "/bare").headers["location"]) == (301, "/bare/")
    assert seen(get(front, "/barefoot"))["path"] == "/barefoot"
    assert get(front, "/bare/none").status == 404


def test_request_bodies_have_their_limit(local: Any, maker: Maker) -> None:
    app = PYTHON.replace("}}", "}, locations: {/: {passthru: true, request_buffering: {max_request_size: 1k}}}}")
    front = up(local, maker.release(app, FILES))
    assert get(front, "/", method="POST", body="x" * 500).status == 200
    assert get(front, "/", method="POST", body="x" * 5000).status == 413


def test_the_apps_own_answers_are_left_alone(local: Any, maker: Maker, portal: Portal) -> None:
    portal.allowed.add("good")
    front = up(local, maker.release(PYTHON, FILES, public=False))
    answer = get(front, "/401", headers={"Cookie": "slipway_visit=good"})
    assert answer.status == 401
    assert seen(answer)["path"] == "/401"


ROUTES = """
"https://{default}/": {type: upstream, upstream: "app:http", redirects: {expires: 1h, paths: {
  "/old": {to: "https://{default}/new"},
  "/exact": {to: "https://example.com/x", prefix: false, code: 301},
  "/gone": {to: "/all", append_suffix: false, code: 308, expires: 1d},
  "^/item/(\\\\d+)$": {to: "https://{default}/shop/$1?from=$uri", regexp: true}}}}
"https://www.{default}/": {type: redirect, to: "https://{default}/"}
"https://{default}/docs/": {type: redirect, to: "https://docs.example.com/v2/"}
"""


def test_whole_and_partial_redirects(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES, routes=ROUTES))

    def to(path: str, host: str = HOST) -> tuple[int, str]:
        answer = get(front, path, host=host)
        return answer.status, answer.headers.get("location", "")

    assert to("/a%20b?c=d", f"www.{HOST}") == (301, f"http://{HOST}/a%20b?c=d")
    assert to("/docs/page?x=1") == (301, "https://docs.example.com/v2/page?x=1")
    assert to("/docs") == (301, "https://docs.example.com/v2/") or to("/docs") == (301, "https://docs.example.com/v2")
    assert to("/old/deep?x=1") == (302, f"http://{HOST}/new/deep?x=1")
    assert get(front, "/old").headers["cache-control"] == "max-age=3600"
    assert to("/exact") == (301, "https://example.com/x")
    assert seen(get(front, "/exact/more"))["path"] == "/exact/more"
    assert to("/gone/x") == (308, "/all")
    assert get(front, "/gone").headers["cache-control"] == "max-age=86400"
    assert to("/item/42?q=1") == (302, f"http://{HOST}/shop/42?from=/item/42")
    assert seen(get(front, "/older"))["path"] == "/older"
    evil = get(front, "/old/%0d%0aSet-Cookie:%20a=b")
    assert "set-cookie" not in evil.headers


def test_strangers_are_sent_to_the_portal_and_members_come_in(local: Any, maker: Maker, portal: Portal) -> None:
    portal.allowed.add("good")
    front = up(local, maker.release(PYTHON, FILES, public=False))
    stranger = get(front, "/page?a=1&b=2", headers={"X-Slipway-Environment": "999", "Cookie": "slipway_visit=bad"})
    assert stranger.status == 302
    start = f"http://localhost:8000/-/visit/start?environment={maker.key}&host={HOST}&to=/page?a=1&b=2"
    assert stranger.headers["location"] == start
    assert stranger.headers["x-robots-tag"] == "noindex, nofollow"
    assert portal.asked[-1]["x-slipway-environment"] == str(maker.key)
    assert portal.asked[-1]["cookie"] == "slipway_visit=bad"
    member = get(front, "/page", headers={"Cookie": "slipway_visit=good; own=1"})
    assert member.status == 200
    assert member.headers["x-robots-tag"] == "noindex, nofollow"
    assert seen(member)["headers"]["cookie"] == "own=1"


def test_answers_about_visitors_are_kept_for_a_moment_and_no_longer(local: Any, maker: Maker, portal: Portal) -> None:
    portal.allowed.add("good")
    front = up(local, maker.release(PYTHON, FILES, public=False))
    for _ in range(5):
        assert get(front, headers={"Cookie": "slipway_visit=good"}).status == 200
    assert len(portal.asked) == 1
    portal.allowed.clear()
    time.sleep(3.1)
    assert get(front, headers={"Cookie": "slipway_visit=good"}).status == 302


def test_a_large_upload_passes_the_question_who_the_visitor_is(local: Any, maker: Maker, portal: Portal) -> None:
    portal.allowed.add("good")
    front = up(local, maker.release(PYTHON, FILES, public=False))
    answer = get(front, method="POST", body="x" * 3 * 1024**2, headers={"Cookie": "slipway_visit=good"})
    assert (answer.status, len(seen(answer)["body"])) == (200, 3 * 1024**2)


def test_nobody_comes_in_while_the_portal_is_away(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES, public=False))
    assert get(front, headers={"Cookie": "slipway_visit=any"}).status == 500


def test_the_hand_over_reaches_the_portal_with_our_own_words(local: Any, maker: Maker, portal: Portal) -> None:
    front = up(local, maker.release(PYTHON, FILES, public=False))
    answer = get(front, "/.slipway/visit?token=abc&to=/x", headers={"X-Slipway-Environment": "999", "Cookie": "own=1"})
    assert (answer.status, answer.headers["location"]) == (302, "/inside")
    assert answer.headers["set-cookie"].startswith("slipway_visit=let-in")
    assert portal.asked[-1]["path"] == "/-/visit/enter?token=abc&to=/x"
    assert portal.asked[-1]["x-slipway-environment"] == str(maker.key)
    assert portal.asked[-1]["host"] == "localhost"
    assert "cookie" not in portal.asked[-1]
    for path in ("/.slipway/check", "/.slipway/redirect/0", "/.slipway/other"):
        assert get(front, path).status in (302, 404)


def test_production_asks_nobody(local: Any, maker: Maker) -> None:
    front = up(local, maker.release(PYTHON, FILES))
    answer = get(front)
    assert answer.status == 200
    assert "x-robots-tag" not in answer.headers


TWO = """
- {name: site, type: "python:3.11", source: {root: site}, web: {commands: {start: "NAME=site exec python server.py"},
   locations: {"/": {passthru: true}, "/api/inner": {passthru: false}, "/assets": {root: "", passthru: false}}}}
- {name: api, type: "python:3.11", source: {root: api}, web: {commands: {start: "NAME=api exec python server.py"}}}
"""
TWO_ROUTES = """
"https://{default}/": {type: upstream, upstream: "site:http"}
"https://{default}/api/": {type: upstream, upstream: "api:http"}
"""


def test_path_routes_share_a_host_between_apps(local: Any, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from environments.manifest import DictSource, load

    from . import make

    def two(app: str, routes: str | None = None) -> Any:
        assert routes is not None
        files = {".platform/applications.yaml": app.encode(), ".platform/routes.yaml": routes.encode()}
        return load(DictSource(files))

    monkeypatch.setattr(make, "manifest", two)
    front = up(local, maker.release(TWO, {**FILES, "style.css": "css"}, routes=TWO_ROUTES))
    assert seen(get(front, "/x"))["env"]["NAME"] == "site"
    for path in ("/api", "/api/", "/api/x", "/api/inner/x"):
        assert seen(get(front, path))["env"]["NAME"] == "api"
        assert seen(get(front, path))["path"] == path
    assert seen(get(front, "/apis"))["env"]["NAME"] == "site"
    assert get(front, "/assets/style.css").text == "css"


def test_requests_in_flight_are_answered_before_a_release_ends(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    front = up(local, release)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(get(front, "/slow").status))
    thread.start()
    time.sleep(0.4)
    local.stop(maker.place, 1)
    thread.join()
    assert answers == [200]


def test_an_app_on_a_unix_socket_is_reached(local: Any, maker: Maker) -> None:
    server = SERVER.replace(
        'http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()',
        """
import socketserver
class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): pass
Handler.address_string = lambda self: "unix"
Unix(os.environ["SOCKET"], Handler).serve_forever()
""",
    )
    app = PYTHON.replace("web: {", "web: {upstream: {socket_family: unix}, ")
    front = up(local, maker.release(app, {"server.py": server}))
    assert seen(get(front, "/x"))["path"] == "/x"
