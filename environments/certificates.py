"""Certificates that people give: read, and found fit or not. Pure."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from portal.errors import Invalid

MAX_PEM = 100_000  # characters
_MOST = 10  # certificates in a chain
_LEAST_RSA = 2048


@dataclass(frozen=True)
class Read:
    names: tuple[str, ...]
    chain: str  # PEM, each certificate signed by the next
    key: str  # PEM
    issuer: str
    fingerprint: str
    expires_at: datetime


def read(chain: str, key: str, domains: Collection[str] | None) -> Read:
    """Raises Invalid (field chain or key) for what could not be served for one of the domains; None: for any."""
    certificates = _chain(chain)
    own = certificates[0]
    private = _key(key)
    if _public(private) != _public_bytes(own.public_key()):
        raise Invalid("The key is not the key of the certificate: give those that belong together.", field="key")
    now = datetime.now(UTC)
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if ends <= now:
        raise Invalid(f"The certificate ended on {ends:%-d %B %Y}. Get a new one.", field="chain")
    if begins > now:
        raise Invalid(f"The certificate begins only on {begins:%-d %B %Y}.", field="chain")
    names = _names(own)
    if domains is not None and not any(matches(name, domain) for name in names for domain in domains):
        shown = ", ".join(names[:5]) or "no host name"
        raise Invalid(f"The certificate is for {shown}, which is none of this project's domains.", field="chain")
    return Read(
        names=names,
        chain="".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates),
        key=private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        issuer=own.issuer.rfc4514_string()[:300],
        fingerprint=own.fingerprint(hashes.SHA256()).hex(),
        expires_at=ends,
    )


def matches(name: str, host: str) -> bool:
    """Whether a certificate's name stands for the host: `*.` is one label."""
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def obtained_until(folder: Path, host: str) -> datetime | None:
    """Until when the certificate lasts that the edge obtained for a host by itself, as it keeps them; None: there is
    none. The host is one that was checked, so it names nothing but a file."""
    ends = []
    for path in folder.glob(f"certificates/*/{host}/{host}.crt"):
        try:
            ends.append(x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc)
        except (OSError, ValueError):
            continue
    return max(ends, default=None)


def _chain(text: str) -> Sequence[x509.Certificate]:
    if len(text) > MAX_PEM:
        raise Invalid(
            f"This is longer than {MAX_PEM // 1000} KB. Give the certificate and its chain alone.", field="chain"
        )
    if "PRIVATE KEY" in text:
        raise Invalid("There is a private key among the certificates. It belongs into its own field.", field="chain")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for certificate in found:
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        message = "This is not a certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----."
        raise Invalid(message, field="chain") from None
    if len(found) > _MOST:
        raise Invalid(f"These are {len(found)} certificates; a chain has a few.", field="chain")
    for place, (lower, upper) in enumerate(itertools.pairwise(found), 1):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            message = f"Certificate {place} is not signed by certificate {place + 1}. The site's own comes first."
            raise Invalid(message, field="chain") from None
    return found


def _key(text: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if len(text) > MAX_PEM:
        raise Invalid("This is too long for a key.", field="key")
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError:
        message = "The key has a password. Give it without: openssl pkey -in key.pem -out plain.pem"
        raise Invalid(message, field="key") from None
    except (ValueError, UnsupportedAlgorithm):
        message = "This is not a private key in PEM form: it begins with -----BEGIN PRIVATE KEY-----."
        raise Invalid(message, field="key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1"):
        return key
    raise Invalid("Browsers take RSA keys of 2048 bits and more, and P-256 and P-384.", field="key")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(dict.fromkeys(name.lower() for name in found.get_values_for_type(x509.DNSName)))


def _public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return _public_bytes(key.public_key())


def _public_bytes(key: object) -> bytes:
    made: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made
