"""Reading the public SSH keys that people paste. Pure."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from portal.errors import Invalid

MAX_LENGTH = 16 * 1024
MIN_RSA_BITS = 3072
KINDS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File|^Private-Lines:", re.MULTILINE)
_REMEDY = "Paste the one line of your .pub file, for example ~/.ssh/id_ed25519.pub."


@dataclass(frozen=True)
class PublicKey:
    kind: str  # "ssh-ed25519"
    bits: int
    line: str  # "<kind> <base64>"
    comment: str
    fingerprint: str  # "SHA256:..." as ssh-keygen -l prints it


def parse(text: str) -> PublicKey:
    """Read one OpenSSH public key line. Raises Invalid (field "key") that says what it is instead and what to do."""
    line = _single_line(text)
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind == "ssh-dss":
        raise Invalid("DSA keys are too weak. Make an Ed25519 key: ssh-keygen -t ed25519.", field="key")
    if kind.endswith("-cert-v01@openssh.com"):
        raise Invalid(f"This is a certificate, not a public key. {_REMEDY}", field="key")
    if kind not in KINDS:
        raise Invalid(
            f"This does not begin with a key type such as ssh-ed25519, so it is not a public SSH key. {_REMEDY}",
            field="key",
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode("ascii"))
    except (ValueError, binascii.Error, UnsupportedAlgorithm, UnicodeEncodeError) as error:
        raise Invalid(f"The key is cut off or damaged. {_REMEDY}", field="key") from error
    bits = key.key_size if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) else 256
    if isinstance(key, RSAPublicKey) and bits < MIN_RSA_BITS:
        raise Invalid(
            f"This RSA key has {bits} bits; at least {MIN_RSA_BITS} are needed. "
            "Better, make an Ed25519 key: ssh-keygen -t ed25519.",
            field="key",
        )
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(kind, bits, f"{kind} {encoded}", comment.strip()[:120], f"SHA256:{digest}")


def is_private(text: str) -> bool:
    return _PRIVATE.search(text) is not None


def _single_line(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise Invalid(f"This is longer than any public key. {_REMEDY}", field="key")
    if is_private(text):
        raise Invalid(
            "This is a private key. Never give it to anyone, not even to Slipway; nothing of it was stored. "
            f"{_REMEDY} If others may have seen it, make a new one.",
            field="key",
        )
    lines = [line.strip() for line in text.replace("\x00", "").splitlines() if line.strip()]
    if not lines:
        raise Invalid(f"There is no key yet. {_REMEDY}", field="key")
    if lines[0].startswith("---- BEGIN SSH2 PUBLIC KEY"):
        raise Invalid(
            "This is the SSH2 format. Convert it with: ssh-keygen -i -f key.pub, and paste what that prints.",
            field="key",
        )
    if len(lines) > 1:
        raise Invalid("There is more than one line. Add one key at a time, each on one line.", field="key")
    return lines[0]
