"""Redis, also for services that ask for Valkey, which speaks the same protocol."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from environments import process
from environments.backing import base, files, grants
from environments.manifest.configurations import REDIS_POLICIES
from environments.manifest.problems import did_you_mean, shown
from environments.runtimes.base import RuntimeFailure, Sandbox, ServiceSpec
from portal.errors import Invalid

ADMIN = "slipway.admin"
_KEYS = ("maxmemory_policy", "rotate_passwords")
_MAX_MEMORY = 128 * 1024**2
_DUMP = "dump.rdb"  # its name for what SAVE writes
_SAVING = 120.0  # seconds
_ROOM = 128 * 1024**2  # beside the data: buffers, and what a rewrite of the append-only file copies

# Everything with its own data, looking at the server, nothing that changes or ends it or writes where it is told to.
_APPLICATION = (
    "+@all -@admin +client +config|get +lastsave +slowlog +latency +monitor -migrate -acl +acl|whoami -module -debug "
    "-client|pause -client|unpause -client|no-evict"
)


class Redis(base.Copied):
    name = "redis"
    types: Sequence[str] = ("redis", "redis-persistent", "valkey", "valkey-persistent")
    port = 6379
    countable = True

    def versions(self) -> Sequence[str]:
        return _versions()

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        grants.refuse_unknown(configuration, _KEYS)
        _settings("redis", configuration)
        ignored = "rotate_passwords is ignored: passwords stay as they are."
        return [ignored] if configuration.get("rotate_passwords") else []

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        return ["valkey", "redis"] if asked.startswith("valkey") else ["redis"]

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        known = known or {}
        return {name: known.get(name) or grants.password() for name in ("admin", "application")}

    def prepare(self, version: str) -> None:
        """Nothing: an empty folder is all it needs."""

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        home = files.private_folder(data.parent)
        files.private_folder(base.socket_directory(spec, sockets))
        files.private_folder(data)
        # Hashes only; the file is private all the same.
        rules = "".join(f"user {name} {' '.join(rule)}\n" for name, rule in _users(spec).items())
        files.write_private(home / "redis.conf", rules)

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        users, folder = data.parent / "redis.conf", base.socket_directory(spec, sockets)
        fixed = {
            "bind": spec.address,
            "port": str(spec.port),
            "unixsocket": str(folder / "redis.sock"),
            "unixsocketperm": "700",
            "dir": str(data),
            "daemonize": "no",
            "databases": "16",
            "always-show-logo": "no",
            "enable-debug-command": "no",
            "enable-module-command": "no",
            "enable-protected-configs": "no",
            "save": "",
            "stop-writes-on-bgsave-error": "no",
        }
        settings = fixed | _settings(spec.asked, spec.configuration)
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Sandbox(
            argv=base.exclusive(data, [_program(), str(users), *options]),
            env={"LANG": "C.UTF-8", "TZ": "UTC"},
            read_only=[(users, str(users))],
            writable=[(path, str(path)) for path in (data, folder)],
            cwd=str(data),
            memory=2 * _MAX_MEMORY + _ROOM,
            label=base.label(spec),
        )

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        try:
            with _connect(spec, sockets) as connection:
                return bool(connection.ping())
        except (redis.RedisError, OSError):
            return False

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        try:
            with _connect(spec, sockets) as connection:
                # Loaded by now, where it came with a copy.
                self.after_copy(spec, Path(str(connection.config_get("dir")["dir"])))
                for name, value in _settings(spec.asked, spec.configuration).items():
                    connection.config_set(name, value)
                for name, rule in _users(spec).items():
                    connection.execute_command("ACL", "SETUSER", name, *rule)
                others = set(connection.acl_users()) - set(_users(spec))
                for name in others:
                    connection.acl_deluser(name)
        except (redis.RedisError, OSError) as error:
            message = f'Redis refused the configuration of the service "{spec.name}": {error}'
            raise RuntimeFailure("service-configuration", message, by_user=False) from error

    def before_copy(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        if _is_persistent(spec.asked):
            return {}  # whatever was answered is in its append-only file
        with _connect(spec, sockets, patience=_SAVING) as connection:
            connection.save()
        return {}

    def after_copy(self, spec: ServiceSpec, data: Path) -> None:
        if not _is_persistent(spec.asked):
            (data / _DUMP).unlink(missing_ok=True)  # a cache begins empty, not with what it once was

    def count(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        with _connect(spec, sockets) as connection:
            found = connection.info("keyspace")
        return {f"{name} keys": int(values["keys"]) for name, values in found.items()}

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        name = base.pick_endpoint(spec, endpoint, self.endpoints(spec.asked, spec.configuration))
        password = spec.secrets["application"]
        return base.entry(
            spec, relationship, name, scheme="redis", username=None, password=password, path=None, query=[]
        )


def _program() -> str:
    return shutil.which("redis-server", path="/usr/bin:/usr/local/bin") or "redis-server"


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    try:
        text = process.run([_program(), "--version"]).text
    except process.ProcessError:
        return ()
    found = re.search(r"v=(\d+\.\d+)", text)
    return (found[1],) if found else ()


def _settings(asked: str, configuration: Mapping[str, Any]) -> dict[str, str]:
    """What the kind of service and its configuration decide; all of it can be changed while the server runs."""
    persistent = _is_persistent(asked)
    policy = configuration.get("maxmemory_policy") or ("noeviction" if persistent else "allkeys-lru")
    if policy not in REDIS_POLICIES:
        message = f'"{shown(policy)}" is not a policy.{did_you_mean(str(policy), REDIS_POLICIES)}'
        raise Invalid(f"{message} Allowed: {', '.join(REDIS_POLICIES)}.", field="maxmemory_policy")
    return {
        "maxmemory": str(_MAX_MEMORY),
        "maxmemory-policy": str(policy),
        "appendonly": "yes" if persistent else "no",
    }


def _is_persistent(asked: str) -> bool:
    return asked.split(":")[0].endswith("-persistent")


def _users(spec: ServiceSpec) -> dict[str, list[str]]:
    """ACL rules by user. Applications sign in with a password alone, that is as the user called default."""

    def secret(name: str) -> str:
        return "#" + hashlib.sha256(spec.secrets[name].encode()).hexdigest()

    return {
        "default": ["reset", "on", secret("application"), "~*", "&*", *_APPLICATION.split()],
        ADMIN: ["reset", "on", secret("admin"), "~*", "&*", "+@all"],
    }


def _connect(spec: ServiceSpec, sockets: Path, *, patience: float = 10) -> "redis.Redis":
    return redis.Redis(
        unix_socket_path=str(base.socket_directory(spec, sockets) / "redis.sock"),
        username=ADMIN,
        password=spec.secrets["admin"],
        socket_timeout=patience,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),  # whoever asks decides whether to ask again
    )
