"""The real Caddy with the real configuration, in front of servers on Unix sockets."""

import http.client
import http.server
import os
import re
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher import edge
from launcher.errors import Refused
from launcher.home import Layout

PAGES = Path(__file__).parents[2] / "launcher" / "pages"
LONGEST = f"www.shop.example.co.uk.{'a' * 63}.b.x.example.test".rjust(107, "y")


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        text = f"{self.server.server_address}\n{self.path}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *arguments: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(path: Path) -> Server:
    server = Server(str(path), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def place() -> Iterator[Layout]:
    folder = Path(tempfile.mkdtemp(prefix="edge-", dir="/tmp"))  # short: sockets
    layout = Layout(folder, folder)
    layout.make()
    yield layout
    shutil.rmtree(folder)


@contextmanager
def caddy(place: Layout, **settings: Any) -> Iterator[int]:
    found = free_port()
    pages = place.run / "pages"
    policy = edge.write_pages(PAGES, pages)
    config = place.run / f"Caddyfile-{found}"
    given = {"port": found, "domain": "example.test", "scheme": "http", "pages": pages, "policy": policy}
    config.write_text(edge.caddyfile(place, **(given | settings)))
    environ = {"PATH": os.environ["PATH"], "HOME": str(place.cache), "XDG_DATA_HOME": str(place.cache)}
    process = subprocess.Popen(
        ["caddy", "run", "--config", str(config)], cwd=place.edge, env=environ, stderr=subprocess.DEVNULL
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", found)) == 0:
                break
        time.sleep(0.05)
    yield found
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def port(place: Layout) -> Iterator[int]:
    servers = [serve(place.web_socket), serve(place.run / "live.sock")]
    (place.edge / "main-abc.example.test").symlink_to(place.run / "live.sock")
    (place.edge / "www.main-abc.example.test").symlink_to(place.run / "live.sock")
    (place.edge / LONGEST).symlink_to(place.run / "live.sock")
    dead = place.run / "dead.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead))
    (place.edge / "dead-abc.example.test").symlink_to(dead)
    with caddy(place) as found:
        yield found
    for server in servers:
        server.shutdown()


def ask(
    port: int, host: str, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


@pytest.mark.parametrize("host", ["example.test", "EXAMPLE.test:80", "localhost", "127.0.0.1", "[::1]"])
def test_portal_answers_on_its_own_names(port: int, host: str) -> None:
    status, text, _ = ask(port, host, "/x?y=1")
    assert status == 200
    assert "web.sock" in text
    assert "/x?y=1" in text


@pytest.mark.parametrize(
    "host", ["main-abc.example.test", "main-abc.example.test:8000", "www.main-abc.example.test", LONGEST]
)
def test_environment_answers_through_its_symlink(port: int, host: str) -> None:
    status, text, _ = ask(port, host)
    assert status == 200
    assert "live.sock" in text


def test_nobody_outside_speaks_for_slipway(port: int) -> None:
    headers = {
        "X-Slipway-Environment": "1",
        "X-SLIPWAY-User": "root",
        "X-Other": "stays",
        "X-Forwarded-For": "6.6.6.6",
    }
    _, text, _ = ask(port, "main-abc.example.test", headers=headers)
    assert "slipway-" not in text.lower().split("\n", 2)[2]
    assert "X-Other: stays" in text
    assert "6.6.6.6" not in text
    assert "X-Forwarded-Proto: http\n" in text


@pytest.mark.usefixtures("port")
def test_a_trusted_proxy_says_who_the_visitor_is(place: Layout) -> None:
    with caddy(place, proxies=edge.parse_proxies("127.0.0.1, ::1"), scheme="https") as behind:
        for host in ("example.test", "main-abc.example.test"):
            for sent, told in (
                ("203.0.113.9", "203.0.113.9"),
                ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
                ("6.6.6.6,x ,  2001:db8::1", "2001:db8::1"),
            ):
                _, text, _ = ask(behind, host, headers={"X-Forwarded-For": sent})
                assert f"X-Forwarded-For: {told}\n" in text
            assert "X-Forwarded-Proto: https\n" in text
        _, text, _ = ask(behind, "example.test")
        assert "X-Forwarded-For: 127.0.0.1\n" in text
    with caddy(place, proxies=edge.parse_proxies("192.0.2.0/24")) as beside:
        _, text, _ = ask(beside, "example.test", headers={"X-Forwarded-For": "203.0.113.9"})
        assert "X-Forwarded-For: 127.0.0.1\n" in text


@pytest.mark.parametrize("text", ["proxy.example.com", "10.0.0.0/33", "10.0.0.1; respond ok", "1.2.3.4}"])
def test_what_is_no_address_is_no_trusted_proxy(text: str) -> None:
    with pytest.raises(Refused, match="SLIPWAY_TRUSTED_PROXIES"):
        edge.parse_proxies(text)


@pytest.mark.parametrize(
    "host", ["nothing.example.test", "evil.test", "main-abc.example.test.evil.test", "a_b.example.test"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_host_gets_a_clear_page(port: int, host: str, method: str) -> None:
    status, text, headers = ask(port, host, "/some/path", method)
    assert status == 404
    assert "No site at this address" in text
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "..",
            "../run/live.sock",
            "../../etc/passwd",
            "a/../main-abc.example.test",
            ".example.test",
            "%2e%2e",
        ),
        *("{env.HOME}", "..%2frun.example.test", "a..example.test", "main-abc.example.test/..", ""),
        "x\\..\\y.example.test",
    ],
)
def test_host_cannot_leave_the_folder_of_symlinks(port: int, host: str) -> None:
    status, text, _ = ask(port, host)
    assert status in (400, 404)
    assert "sock" not in text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dead_application_gets_a_clear_page(port: int, method: str) -> None:
    status, text, headers = ask(port, "dead-abc.example.test", method=method)
    assert status == 503
    assert "This site is not answering" in text
    assert headers["Retry-After"] == "5"


def test_switched_symlink_answers_at_once_on_a_kept_connection(port: int, place: Layout) -> None:
    server = serve(place.run / "next.sock")
    link = place.edge / "switch-abc.example.test"
    link.symlink_to(place.run / "live.sock")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/", headers={"Host": "switch-abc.example.test"})
    assert "live.sock" in connection.getresponse().read().decode()
    fresh = place.edge / ".fresh"
    fresh.symlink_to(place.run / "next.sock")
    fresh.rename(link)
    connection.request("GET", "/", headers={"Host": "switch-abc.example.test"})
    assert "next.sock" in connection.getresponse().read().decode()
    server.shutdown()


def test_pages_need_nothing_from_outside_and_allow_only_their_own_style(tmp_path: Path) -> None:
    policy = edge.write_pages(PAGES, tmp_path / "pages")
    assert "unsafe" not in policy
    assert {page.name for page in (tmp_path / "pages").iterdir()} == {
        "portal.html",
        "unavailable.html",
        "unknown.html",
    }
    for page in (tmp_path / "pages").iterdir():
        text = page.read_text()
        assert not re.search(r"(src|href)=|<script|url\(|@import", text)
        assert "light-dark(" in text


@pytest.mark.parametrize("domain", ["localhost", "slipway.example.com", "a-b.c"])
def test_domains(domain: str) -> None:
    assert edge.check_domain(domain) == domain


@pytest.mark.parametrize(
    "domain", ["", "Example.com", "a..b", "-a.b", "a b", "a/b", "x{y}", "a.b\n", "ü.de", "a" * 64]
)
def test_wrong_domains_are_refused(domain: str) -> None:
    with pytest.raises(Refused, match="SLIPWAY_BASE_DOMAIN"):
        edge.check_domain(domain)
