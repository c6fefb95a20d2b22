"""The instance's own secrets, made once, at the first start."""

import base64
import os
import secrets
import subprocess
from pathlib import Path

from launcher.errors import Refused
from launcher.home import Layout


def ensure(layout: Layout) -> None:
    """Create what is missing. What data was encrypted with is never replaced."""
    if not (layout.secrets / "fields.keys").exists() and layout.database.exists():
        raise Refused(
            f"{layout.secrets / 'fields.keys'} is missing, and without it the stored secrets cannot be read; "
            "put it back from a backup"
        )
    _write(layout.secrets / "django.key", secrets.token_urlsafe(64))
    _write(layout.secrets / "fields.keys", base64.urlsafe_b64encode(os.urandom(32)).decode())
    _write(layout.edge_token, secrets.token_urlsafe(32))
    if not layout.ssh_host_key.exists():
        _make_host_key(layout.ssh_host_key)


def _write(path: Path, content: str) -> None:
    if path.exists():
        return
    fresh = path.with_suffix(path.suffix + ".new")  # renamed when complete, so a crash leaves no empty secret
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(content + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(path)


def _make_host_key(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway", "-f", str(fresh)]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0:
        raise Refused(f"the SSH host key cannot be made: {result.stderr.strip()}")
    fresh.with_suffix(".new.pub").rename(path.with_suffix(".pub"))
    fresh.rename(path)
