"""What the environment tells the app. Nothing else reads PLATFORM_* variables."""

import base64
import json
import os
import socket
from hashlib import sha256
from typing import Any


def database() -> dict[str, Any]:
    """Connection arguments for psycopg, from the relationship "database"."""
    encoded = os.environ.get("PLATFORM_RELATIONSHIPS", "")
    try:
        entry = json.loads(base64.b64decode(encoded))["database"][0]
    except (ValueError, KeyError, IndexError) as error:
        raise RuntimeError('PLATFORM_RELATIONSHIPS does not name the relationship "database".') from error
    return {
        "host": entry["host"],
        "port": entry["port"],
        "user": entry["username"],
        "password": entry["password"],
        "dbname": entry["path"],
        "connect_timeout": 5,
    }


def secret() -> str:
    """Stable per project; signs the session cookie."""
    return os.environ.get("PLATFORM_PROJECT_ENTROPY") or sha256(socket.gethostname().encode()).hexdigest()


def ribbon() -> str | None:
    """Type and branch of the environment; None on Production."""
    kind = os.environ.get("PLATFORM_ENVIRONMENT_TYPE", "development")
    return None if kind == "production" else f"{kind} · {os.environ.get('PLATFORM_BRANCH', 'local')}"
