"""The real Caddy, with certificates of its own authority, of a real ACME server, and of a portal that has some."""

import contextlib
import datetime
import http.client
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from launcher import edge
from launcher.home import Layout

from .test_edge import PAGES, Server, ask, free_port, serve

TOKEN = "t0ken-of-the-edge"
DOMAIN = "example.test"
SITE, OWN, UPLOADED = f"main-abc.{DOMAIN}", "www.shop.test", "shop.test"


class Portal(http.server.BaseHTTPRequestHandler):
    """Says for which names there may be certificates, and has one itself."""

    protocol_version = "HTTP/1.1"
    allowed = {DOMAIN, SITE, OWN}
    uploaded: dict[str, bytes] = {}
    asked: list[str] = []

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append(self.path)
        status, body = 200, f"portal {self.headers['X-Forwarded-Proto']}".encode()
        if parts.path.startswith("/-/edge/") and query.get("token") != TOKEN:
            status, body = 404, b""
        elif parts.path == "/-/edge/allowed":
            status, body = (200 if query["domain"] in self.allowed else 404), b""
        elif parts.path == "/-/edge/certificate":
            body = self.uploaded.get(query["server_name"], b"")
            status = 200 if body else 204
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *arguments: object) -> None:
        pass


def certificate(*names: str, days: float = 30) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


@contextlib.contextmanager
def running(place: Layout, command: list[str], port: int, **environ: str) -> Iterator[None]:
    given = {"PATH": os.environ["PATH"], "HOME": str(place.cache), "XDG_DATA_HOME": str(place.cache), **environ}
    log = place.run / f"{command[0]}-{port}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=place.edge, env=given, stdout=output, stderr=output)
    try:
        for _ in range(200):
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def caddy(place: Layout, **tls: Any) -> Iterator[tuple[int, int]]:
    """(http port, https port) of an edge."""
    pages = place.run / "pages"
    policy = edge.write_pages(PAGES, pages)
    plain, secure = tls.pop("ports", None) or (free_port(), free_port())
    given = edge.Tls(**({"port": secure, "public_port": secure, "kind": "internal", "token": TOKEN} | tls))
    config = place.run / f"Caddyfile-{plain}"
    text = edge.caddyfile(
        place,
        port=plain,
        domain=DOMAIN,
        scheme="https",
        pages=pages,
        policy=policy,
        proxies=["203.0.113.0/24"],
        tls=given,
    )
    config.write_text(text)
    with running(place, ["caddy", "run", "--config", str(config)], plain):
        yield plain, secure


@pytest.fixture(scope="module")
def place() -> Iterator[Layout]:
    folder = Path(tempfile.mkdtemp(prefix="edge-", dir="/tmp"))  # short: sockets
    layout = Layout(folder, folder)
    layout.make()
    web = socketserver_for(layout.web_socket)
    site = serve(layout.run / "live.sock")
    for host in (SITE, OWN, UPLOADED):
        (layout.edge / host).symlink_to(layout.run / "live.sock")
    yield layout
    for server in (web, site):
        server.shutdown()
        server.server_close()
    shutil.rmtree(folder)


def socketserver_for(path: Path) -> socketserver.BaseServer:
    server = Server(str(path), Portal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def internal(place: Layout) -> Iterator[tuple[int, int]]:
    Portal.uploaded[UPLOADED] = b"".join(certificate(UPLOADED, f"*.{UPLOADED}"))
    with caddy(place) as ports:
        yield ports


def peer(port: int, name: str, authority: Path | None = None) -> x509.Certificate:
    """The certificate that a visitor gets, checked when the authority is given."""
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def names_of(shown: x509.Certificate) -> list[str]:
    return shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def get(port: int, name: str, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, str]:
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        connection.sock = context.wrap_socket(plain, server_hostname=name)
        connection.request("GET", path, headers={"Host": name, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_names_that_the_portal_allows_get_a_certificate_when_they_are_asked_for(
    place: Layout, internal: tuple[int, int]
) -> None:
    for name in (DOMAIN, SITE, OWN):
        assert names_of(peer(internal[1], name)) == [name]
    status, text = get(internal[1], OWN, "/x?y=1")
    assert status == 200
    assert "live.sock" in text
    assert "X-Forwarded-Proto: https\n" in text
    assert any(place.certificates.rglob(f"{OWN}.crt"))


@pytest.mark.parametrize("name", ["evil.test", f"evil.{DOMAIN}", "x.www.shop.test", "xn--a.test", "a..b"])
def test_other_names_get_none(internal: tuple[int, int], name: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, UnicodeError)):
        peer(internal[1], name)


def test_an_uploaded_certificate_is_shown_and_can_be_changed_without_a_restart(internal: tuple[int, int]) -> None:
    first = peer(internal[1], UPLOADED)
    assert names_of(first) == [UPLOADED, f"*.{UPLOADED}"]
    Portal.uploaded[UPLOADED] = b"".join(certificate(UPLOADED))
    assert names_of(peer(internal[1], UPLOADED)) == [UPLOADED]


def test_the_portal_is_for_https_alone_and_sites_decide_themselves(internal: tuple[int, int]) -> None:
    plain, secure = internal
    status, _, headers = ask(plain, DOMAIN, "/x?y=1")
    assert (status, headers["Location"]) == (308, f"https://{DOMAIN}:{secure}/x?y=1")
    status, text, _ = ask(plain, SITE)
    assert (status, "X-Forwarded-Proto: http\n" in text) == (200, True)
    assert get(secure, DOMAIN) == (200, "portal https")


def test_a_stranger_gets_no_key_out_of_the_portal(internal: tuple[int, int]) -> None:
    plain, secure = internal
    for host in (DOMAIN, "127.0.0.1"):
        for query in ("", "&token=", "&token=guess", f"&token={TOKEN[:-1]}"):
            status, text, _ = ask(plain, host, f"/-/edge/certificate?server_name={UPLOADED}{query}")
            assert (status, text.strip()) == (404, "")
    assert get(secure, UPLOADED, f"/-/edge/certificate?server_name={UPLOADED}&token={TOKEN}")[1].count("PRIVATE") == 0


@pytest.mark.parametrize(
    "host", ["..", "a/b.test", "shop.test/..", "SHOP.test", "shop.test.", "shop..test", "{env.HOME}.test"]
)
def test_a_domain_names_nothing_but_its_own_link(internal: tuple[int, int], host: str) -> None:
    status, text, _ = ask(internal[0], host)
    assert status in (400, 404)
    assert "sock" not in text


def test_a_spoofed_visitor_is_not_believed(internal: tuple[int, int]) -> None:
    _, text = get(internal[1], OWN, headers={"X-Forwarded-For": "192.0.2.7", "X-Slipway-Environment": "1"})
    assert "192.0.2.7" not in text
    assert "X-Slipway" not in text
    assert "X-Forwarded-For: 127.0.0.1\n" in text


def test_old_versions_of_tls_are_not_spoken(internal: tuple[int, int]) -> None:
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", internal[1])) as plain, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(plain, server_hostname=OWN)


def test_certificates_come_from_an_acme_server_whose_authority_is_named(place: Layout) -> None:
    listen, management, dns, plain, secure = (free_port() for _ in range(5))
    chain, key = certificate("localhost")
    (place.run / "acme.pem").write_bytes(chain)
    (place.run / "acme.key").write_bytes(key)
    said = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(place.run / "acme.pem"),
        "privateKey": str(place.run / "acme.key"),
        "httpPort": plain,
        "tlsPort": secure,
    }
    (place.run / "pebble.json").write_text(json.dumps({"pebble": said}))
    names = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}"]
    off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}"]
    server = ["pebble", "-config", str(place.run / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    with (
        running(place, [*names, *off], dns),
        running(place, server, listen, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"),
        caddy(
            place,
            ports=(plain, secure),
            kind="acme",
            directory=f"https://localhost:{listen}/dir",
            email="ops@example.test",
            authorities=str(place.run / "acme.pem"),
        ),
    ):
        context = ssl.create_default_context(cafile=str(place.run / "acme.pem"))
        url = f"https://localhost:{management}/roots/0"
        root = urllib.request.urlopen(url, context=context, timeout=10).read()
        (place.run / "root.pem").write_bytes(root)
        shown = peer(secure, OWN, place.run / "root.pem")
        assert names_of(shown) == [OWN]
        assert "Pebble" in shown.issuer.rfc4514_string()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            peer(secure, "evil.test")
