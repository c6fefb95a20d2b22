import base64
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from portal import keys
from portal.errors import Invalid


def openssh(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


ED25519 = openssh(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def sk_key() -> str:
    def field(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    public = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kind = b"sk-ssh-ed25519@openssh.com"
    return f"{kind.decode()} {base64.b64encode(field(kind) + field(public) + field(b'ssh:')).decode()} yubikey"


def test_fingerprint_is_what_ssh_keygen_prints() -> None:
    key = keys.parse(f"{ED25519} mara@laptop\n")
    assert key.kind == "ssh-ed25519"
    assert key.comment == "mara@laptop"
    assert key.line == ED25519
    printed = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=ED25519.encode(), capture_output=True, check=True)
    assert key.fingerprint == printed.stdout.decode().split()[1]


@pytest.mark.parametrize(
    "line",
    [
        openssh(ec.generate_private_key(ec.SECP256R1())),
        openssh(ec.generate_private_key(ec.SECP384R1())),
        openssh(ec.generate_private_key(ec.SECP521R1())),
        openssh(rsa.generate_private_key(65537, 3072)),
        sk_key(),
    ],
)
def test_accepted_kinds(line: str) -> None:
    assert keys.parse(line).kind == line.split()[0]


PRIVATE = (
    ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no key yet"),
        ("   \n\n", "no key yet"),
        (PRIVATE, "private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "private key"),
        (openssh(rsa.generate_private_key(65537, 2048)), "2048 bits"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP", "DSA"),
        (ED25519[:40], "cut off or damaged"),
        ("ssh-ed25519 $(id)", "cut off or damaged"),
        ('command="id" ' + ED25519, "does not begin with a key type"),
        (f"{ED25519}\n{ED25519}", "more than one line"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END", "SSH2 format"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        ("x" * 1024 * 1024, "longer than any public key"),
        ("ssh-rsa " + ED25519.split()[1], "cut off or damaged"),
    ],
)
def test_refused_with_a_plain_reason(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        keys.parse(text)
    assert refused.value.field == "key"
    assert "AAAA" not in refused.value.message


def test_a_stray_nul_from_a_clipboard_is_dropped() -> None:
    assert keys.parse(ED25519.replace("AAAA", "AAA\x00A")).line == ED25519
