"""Certificates that people give are looked at before they are kept."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from environments.certificates import matches, read
from portal.errors import Invalid

DOMAINS = ["shop.example", "www.shop.example"]


class Authority:
    def __init__(self, name: str = "Test authority", above: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = (above or self).sign(self.name, self.key.public_key())
        self.pem = pem(self.certificate)

    def sign(self, subject: x509.Name, key: Any, *names: str, begins: float = -1, ends: float = 30) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        return builder.sign(self.key, hashes.SHA256())

    def site(self, *names: str, key: Any = None, **times: float) -> tuple[str, str]:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site")])
        return pem(self.sign(subject, key.public_key(), *names, **times)), private(key)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private(key: Any, password: bytes | None = None) -> str:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    made: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    return made.decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def refusal(chain: str, key: str) -> tuple[str | None, str]:
    with pytest.raises(Invalid) as caught:
        read(chain, key, DOMAINS)
    assert "PRIVATE KEY-----\n" not in caught.value.message
    return caught.value.field, caught.value.message


def test_a_chain_is_read_in_its_order(authority: Authority) -> None:
    between = Authority("Between", above=authority)
    chain, key = between.site("shop.example", "*.shop.example")
    found = read(chain + between.pem + authority.pem, key, DOMAINS)
    assert found.names == ("shop.example", "*.shop.example")
    assert found.chain.count("BEGIN CERTIFICATE") == 3
    assert found.issuer == "CN=Between"
    field, message = refusal(chain + authority.pem + between.pem, key)
    assert (field, "Certificate 1 is not signed by certificate 2" in message) == ("chain", True)
    assert refusal(between.pem + chain, key)[0] == "chain"


def test_the_key_must_be_the_certificates(authority: Authority) -> None:
    chain, key = authority.site("shop.example")
    _, other = authority.site("shop.example")
    assert refusal(chain, other)[0] == "key"
    assert refusal(chain, "")[0] == "key"
    assert refusal(chain, chain)[0] == "key"
    assert refusal(chain + key, key)[0] == "chain"
    locked = ec.generate_private_key(ec.SECP256R1())
    assert "password" in refusal(chain, private(locked, b"secret"))[1]


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "\0"])
def test_what_is_no_certificate_is_refused(authority: Authority, text: str) -> None:
    _, key = authority.site("shop.example")
    assert refusal(text, key)[0] == "chain"


def test_it_must_hold_now_and_for_a_domain_of_the_project(authority: Authority) -> None:
    assert "ended on" in refusal(*authority.site("shop.example", begins=-9, ends=-1))[1]
    assert "begins only" in refusal(*authority.site("shop.example", begins=1, ends=9))[1]
    assert "evil.example" in refusal(*authority.site("evil.example"))[1]
    assert "no host name" in refusal(*authority.site())[1]
    assert read(*authority.site("evil.example"), None).names == ("evil.example",)


def test_keys_that_browsers_do_not_take_are_refused(authority: Authority) -> None:
    for key in (rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()):
        assert refusal(*authority.site("shop.example", key=key))[0] == "key"
    assert read(*authority.site("shop.example", key=rsa.generate_private_key(65537, 2048)), DOMAINS).names


def test_very_long_and_very_many_are_refused(authority: Authority) -> None:
    chain, key = authority.site("shop.example")
    assert refusal(chain * 11, key)[0] == "chain"
    assert refusal("x" * 200_000, key)[0] == "chain"
    assert refusal(chain, "x" * 200_000)[0] == "key"


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "www.shop.example", False),
        ("*.shop.example", "www.shop.example", True),
        ("*.shop.example", "a.www.shop.example", False),
        ("*.shop.example", "shop.example", False),
    ],
)
def test_a_star_is_one_label(name: str, host: str, fits: bool) -> None:
    assert matches(name, host) is fits
