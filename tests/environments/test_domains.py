"""Names of domains, questions to DNS, and what the edge is told about certificates."""

import socket
import struct
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from environments import dns, domains
from environments.models import Certificate, Domain, Host
from environments.views import edge
from portal.crypto import encrypt
from portal.errors import Invalid
from tests.factories import ProjectFactory, tree
from tests.launcher.test_edge_tls import certificate


class Server(threading.Thread):
    """A name server that knows a few records."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.records: dict[tuple[str, int], list[bytes]] = {}
        self.forged = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def know(self, name: str, kind: str, *data: bytes) -> None:
        self.records[name, {"A": 1, "TXT": 16, "AAAA": 28}[kind]] = list(data)

    def run(self) -> None:
        while True:
            try:
                asked, who = self.socket.recvfrom(512)
            except OSError:
                return
            labels, place = [], 12
            while asked[place]:
                labels.append(asked[place + 1 : place + 1 + asked[place]].decode())
                place += 1 + asked[place]
            (kind,) = struct.unpack(">H", asked[place + 1 : place + 3])
            question = asked[12 : place + 5]
            found = self.records.get((".".join(labels), kind), [])
            number = b"\0\0" if self.forged else asked[:2]
            answer = number + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + question
            for data in found:
                answer += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
            self.socket.sendto(answer, who)


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    made = Server()
    made.start()
    settings.DNS_SERVERS = made.place
    yield made
    made.socket.close()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Shop.Example.com", "shop.example.com"),
        (" example.com. ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a-b.example.co.uk", "a-b.example.co.uk"),
    ],
)
def test_a_domain_is_kept_in_one_form(given: str, kept: str) -> None:
    assert domains.read(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        *("", "localhost", "com", "192.0.2.1", "1.2.3.4", "[::1]", "http://example.com", "example.com/x", "a b.com"),
        *("..", "../../etc", "example..com", "-a.com", "a-.com", "a_b.com", "*.example.com", "example.com:80"),
        *("x" * 64 + ".com", "a." * 60 + "com", "exa\nmple.com", "example.com\0", "{env.HOME}.com", "a\u202e.com"),
    ],
)
def test_what_is_no_domain_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as caught:
        domains.read(given)
    assert caught.value.field == "domain"


def test_names_of_slipways_own_are_refused(settings: Any) -> None:
    settings.BASE_DOMAIN = "slipway.example.com"
    for own in ("slipway.example.com", "main-abc1234-abcdefghijklm.slipway.example.com"):
        with pytest.raises(Invalid, match="belongs to Slipway"):
            domains.read(own)
    assert domains.read("shop.slipway.example.com")


def test_dns_says_whether_a_domain_leads_here(server: Server, settings: Any) -> None:
    settings.PUBLIC_ADDRESSES = ["192.0.2.1", "2001:db8::1"]
    server.know("here.example", "A", bytes([192, 0, 2, 1]))
    server.know("here.example", "AAAA", socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
    server.know("there.example", "A", bytes([198, 51, 100, 1]))
    server.know("both.example", "A", bytes([192, 0, 2, 1]), bytes([198, 51, 100, 1]))
    assert domains.leads("here.example").here is True
    assert domains.leads("there.example").here is False
    assert domains.leads("there.example").found == ("198.51.100.1",)
    assert domains.leads("both.example").here is False
    assert domains.leads("nothing.example") == domains.Leads(False, (), ("192.0.2.1", "2001:db8::1"))
    settings.PUBLIC_ADDRESSES = []
    server.know(settings.BASE_DOMAIN, "A", bytes([198, 51, 100, 1]))
    assert domains.leads("there.example").here is True


def test_an_answer_to_another_question_is_none(server: Server) -> None:
    server.know("here.example", "A", bytes([192, 0, 2, 1]))
    server.forged = True
    with pytest.raises(dns.NoAnswer):
        dns.ask("here.example", "A")


@pytest.mark.parametrize("data", [b"", b"\xff" * 12, b"\0" * 300, bytes(range(256))])
def test_rubbish_is_no_answer(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError, struct.error)):
        dns._read(data, b"\1\2", dns._question("a.example", "A"), 1)


def test_a_text_proves_who_holds_a_domain(server: Server) -> None:
    record, text = domains.proof("projectid0000", "shop.example")
    assert record == "_slipway.shop.example"
    assert not domains.is_proven("projectid0000", "shop.example")
    server.know(record, "TXT", b"\x03v=1", bytes([len(text)]) + text.encode())
    assert domains.is_proven("projectid0000", "shop.example")
    assert not domains.is_proven("otherproject0", "shop.example")


@pytest.mark.django_db
def test_the_edge_learns_for_which_names_there_may_be_certificates(settings: Any) -> None:
    family = tree(ProjectFactory())
    Host.objects.create(environment=family["production"], name="shop.example")
    asked = Client(headers={"Host": "127.0.0.1:8000"})

    def allowed(name: str, token: str | None = None) -> int:
        token = edge._token().decode() if token is None else token
        return asked.get("/-/edge/allowed", {"domain": name, "token": token}).status_code

    assert allowed("shop.example") == allowed("SHOP.example") == allowed(settings.BASE_DOMAIN) == 200
    for name in ("www.shop.example", "evil.example", "", "../x", "shop.example\n", "a" * 300):
        assert allowed(name) == 404
    assert allowed("shop.example", token="") == allowed("shop.example", token="guess") == 404


@pytest.mark.django_db
def test_the_edge_gets_the_certificate_of_the_project_that_has_the_domain() -> None:
    own, other = ProjectFactory(), ProjectFactory()
    Domain.objects.create(project=own, name="shop.example", is_default=True)
    asked = Client()

    def keep(project: object, *names: str, days: float = 30, mark: str) -> str:
        chain, key = (part.decode() for part in certificate(*names, days=days))

        Certificate.objects.create(
            project=project,
            names=list(names),
            chain=chain,
            key=encrypt(key),
            issuer="x",
            fingerprint=mark,
            expires_at=timezone.now() + timedelta(days=days),
        )
        return chain + key

    def shown(name: str) -> str:
        answer = asked.get("/-/edge/certificate", {"server_name": name, "token": edge._token().decode()})
        assert answer.status_code in (200, 204)
        return answer.content.decode()

    keep(other, "shop.example", "*.shop.example", days=300, mark="a")
    assert shown("shop.example") == ""  # whoever gives one for another's domain gives it to nobody
    keep(own, "shop.example", days=-1, mark="b")
    assert shown("shop.example") == ""
    mine = keep(own, "shop.example", "*.shop.example", mark="c")
    assert shown("shop.example") == shown("www.shop.example") == shown("Shop.Example") == mine
    assert shown("a.b.shop.example") == shown("evil.example") == ""
    for token in ("", "guess"):
        refused = asked.get("/-/edge/certificate", {"server_name": "shop.example", "token": token})
        assert (refused.status_code, b"PRIVATE" in refused.content) == (404, False)
    assert "PRIVATE" not in str(list(Certificate.objects.values()))
    family = tree(own)
    wildcard = keep(None, f"*.{settings.BASE_DOMAIN}", mark="d")
    assert shown(family["master"].host) == ""
    Host.objects.create(environment=family["master"], name=family["master"].host)
    assert shown(family["master"].host) == wildcard
