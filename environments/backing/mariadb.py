"""MariaDB, also for services that ask for `mysql`."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pymysql

from environments import process
from environments.backing import base, files, grants, mariadb_properties
from environments.runtimes.base import RuntimeFailure, Sandbox, ServiceSpec

ADMIN = "slipway.admin"  # the dot keeps it apart from every endpoint's name
_WORDS = grants.Words(
    schemas="schemas",
    default="default_schema",
    endpoint="mysql",
    privileges=("admin", "rw", "ro", "replication", "replication-admin"),
    reserved=("mysql", "information_schema", "performance_schema", "sys", "test"),
)
_KEYS = ("schemas", "endpoints", "properties", "rotate_passwords")
_TEMPLATE_LAYOUT = 1  # raise it when what follows changes what is in a template
_LOG_SIZE = "--innodb-log-file-size=32M"  # the default of 96M would be most of each data directory
_MEMORY = 1024**3
_COUNTING = 3600.0  # seconds for one table

# Nobody can sign in to a template: the administrator of each copy comes from its init.sql.
_EMPTY_ACCOUNTS = (
    "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';\n"
    "DELETE FROM mysql.db;\nDELETE FROM mysql.proxies_priv;\nDROP DATABASE IF EXISTS test;\n"
)

_READ = ["SELECT", "SHOW VIEW"]
_WRITE = [*_READ, "INSERT", "UPDATE", "DELETE", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE"]
_DEFINE = ["CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "EVENT", "TRIGGER", "DELETE HISTORY"]
_ALL = [*_WRITE, *_DEFINE, "CREATE ROUTINE", "ALTER ROUTINE"]
_ON_SCHEMA = {
    "admin": _ALL,
    "rw": _WRITE,
    "ro": _READ,
    "replication": [*_READ, "LOCK TABLES"],
    "replication-admin": _ALL,
}
_REPLICATION = "REPLICATION SLAVE, BINLOG MONITOR"

_SMALL = (
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",  # address space: memory is used as pages are
    "--loose-innodb-buffer-pool-size-max=64M",  # newer ones reserve 8 TB of it
    "--innodb-log-buffer-size=2M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-use-native-aio=OFF",  # the kernel's limit would be shared by all servers of the host
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=4M",
    "--query-cache-size=0",
    "--max-connections=60",
    "--table-open-cache=400",
    "--table-definition-cache=400",
    "--open-files-limit=2048",
)
_CLOSED = (
    "--skip-name-resolve",
    "--skip-log-bin",
    "--local-infile=OFF",
    "--symbolic-links=OFF",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
)


class MariaDB(base.Copied):
    name = "mariadb"
    types: Sequence[str] = ("mariadb", "mysql")
    port = 3306
    countable = True

    def versions(self) -> Sequence[str]:
        return _versions()

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        grants.refuse_unknown(configuration, _KEYS)
        layout = grants.read(configuration, _WORDS)
        warnings = list(mariadb_properties.check(configuration.get("properties") or {}))
        if configuration.get("rotate_passwords"):
            warnings.append("rotate_passwords is ignored: passwords stay as they are.")
        if any("replication" in value for endpoint in layout.endpoints for value in endpoint.privileges.values()):
            warnings.append("The server keeps no binary log, so nothing can replicate from it.")
        return warnings

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        return [endpoint.name for endpoint in grants.read(configuration, _WORDS).endpoints]

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return grants.new_secrets(grants.read(configuration, _WORDS), known)

    def prepare(self, version: str) -> None:
        files.template(f"mariadb-{version}-{_TEMPLATE_LAYOUT}", _install)

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        home = files.private_folder(data.parent)
        files.private_folder(home / "tmp")
        files.private_folder(base.socket_directory(spec, sockets))
        template = files.template(f"mariadb-{spec.version}-{_TEMPLATE_LAYOUT}", _install)
        files.make_whole(data, lambda fresh: files.copy(template, fresh))
        files.write_private(home / "init.sql", _at_each_start(spec))

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        home, folder = data.parent, base.socket_directory(spec, sockets)
        own = (
            f"--datadir={data}",
            f"--tmpdir={home / 'tmp'}",
            f"--secure-file-priv={home / 'tmp'}",
            f"--init-file={home / 'init.sql'}",
            f"--socket={folder / 'mysql.sock'}",
            f"--pid-file={folder / 'mysql.pid'}",
            f"--bind-address={spec.address}",
            f"--port={spec.port}",
        )
        properties = mariadb_properties.arguments(spec.configuration.get("properties") or {})
        argv = [_program("mariadbd"), "--no-defaults", *own, *_CLOSED, *_SMALL, _LOG_SIZE, *properties]
        return Sandbox(
            argv=base.exclusive(data, argv),
            env={"LANG": "C.UTF-8", "TZ": "UTC"},
            read_only=[(home / "init.sql", str(home / "init.sql"))],
            writable=[(path, str(path)) for path in (data, home / "tmp", folder)],
            cwd=str(data),
            memory=_MEMORY,
            label=base.label(spec),
        )

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        try:
            with _connect(spec, sockets) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchone() == (1,)
        except (pymysql.MySQLError, OSError):
            return False

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        layout = grants.read(spec.configuration, _WORDS)
        properties = spec.configuration.get("properties") or {}
        try:
            with _connect(spec, sockets) as connection, connection.cursor() as cursor:
                for statement in mariadb_properties.statements(properties):
                    cursor.execute(statement)
                for schema in layout.schemas:
                    _make_schema(cursor, schema, properties)
                for endpoint in layout.endpoints:
                    _make_user(cursor, endpoint, spec.secrets["endpoints"][endpoint.name])
                _lock_others(cursor, [username(endpoint.name) for endpoint in layout.endpoints])
        except (pymysql.MySQLError, OSError) as error:
            message = f'MariaDB refused the configuration of the service "{spec.name}": {_reason(error)}'
            raise RuntimeFailure("service-configuration", message, by_user=_from_server(error)) from error

    def before_copy(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        with _connect(spec, sockets) as connection, connection.cursor() as cursor:
            return {"tables": len(_tables(cursor))}

    def count(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        found = {}
        with _connect(spec, sockets, patience=_COUNTING) as connection, connection.cursor() as cursor:
            for schema, table in _tables(cursor):
                cursor.execute(f"SELECT COUNT(*) FROM {_quote(schema)}.{_quote(table)}")  # noqa: S608 - quoted
                row = cursor.fetchone()
                found[f"{schema}.{table}"] = int(row[0]) if row else 0
        return found

    def hold(self, spec: ServiceSpec, sockets: Path, held: bool) -> None:
        """Users have no right to write to a server that is read-only; we have."""
        try:
            with _connect(spec, sockets) as connection, connection.cursor() as cursor:
                cursor.execute(f"SET GLOBAL read_only = {'ON' if held else 'OFF'}")
        except (pymysql.MySQLError, OSError) as error:
            raise RuntimeFailure("service-hold", f"MariaDB: {_reason(error)}", by_user=False) from error

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        name = base.pick_endpoint(spec, endpoint, self.endpoints(spec.asked, spec.configuration))
        return base.entry(
            spec,
            relationship,
            name,
            scheme="mysql",
            username=username(name),
            password=spec.secrets["endpoints"][name],
            path=grants.read(spec.configuration, _WORDS).endpoint(name).default,
            query={"is_master": True},
        )


def _at_each_start(spec: ServiceSpec) -> str:
    """Run before anybody can connect, so a copied data directory takes this service's passwords, and only these."""
    admin = f"'{ADMIN}'@'localhost'"
    lines = [f"CREATE OR REPLACE USER {admin} {_identified(spec.secrets['admin'])}"]
    lines += [f"GRANT ALL PRIVILEGES ON *.* TO {admin} WITH GRANT OPTION"]
    known = {username(name): password for name, password in spec.secrets["endpoints"].items()}
    lines += [f"ALTER USER IF EXISTS {_quote(name)}@`%` {_identified(word)}" for name, word in known.items()]
    keep = ", ".join(_text(name) for name in (ADMIN, "mariadb.sys", "PUBLIC", *known))
    lock = "SET Priv = JSON_SET(Priv, '$.account_locked', TRUE)"
    lines += [f"UPDATE mysql.global_priv {lock} WHERE User NOT IN ({keep})", "FLUSH PRIVILEGES"]
    return "".join(f"{line};\n" for line in lines)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _tables(cursor: "pymysql.cursors.Cursor") -> list[tuple[str, str]]:
    cursor.execute(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' "
        "AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY 1, 2"
    )
    return [(str(schema), str(table)) for schema, table in cursor.fetchall()]


def username(endpoint: str) -> str:
    """The default endpoint's user is the one that existing applications know."""
    return {_WORDS.endpoint: "user", "user": "user.endpoint"}.get(endpoint, endpoint)


def _program(name: str) -> str:
    """Its path: Debian keeps servers in /usr/sbin, which an ordinary user's PATH lacks."""
    return shutil.which(name, path="/usr/sbin:/usr/bin") or name


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    try:
        text = process.run([_program("mariadbd"), "--version"]).text
    except process.ProcessError:
        return ()
    found = re.search(r"Ver (\d+\.\d+)\.\d+-MariaDB", text)
    return (found[1],) if found else ()


def _install(target: Path) -> None:
    extra = target.with_name(f"{target.name}.sql")
    files.write_private(extra, _EMPTY_ACCOUNTS)
    process.run(
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={target}",
            f"--extra-file={extra}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            _LOG_SIZE,
        ],
        timeout=300,
    )
    extra.unlink()


def _identified(password: str) -> str:
    """The clause for a user with that password, which itself appears nowhere; every client library knows the method."""
    digest = hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()  # noqa: S324
    return f"IDENTIFIED VIA mysql_native_password USING '*{digest}'"


def _connect(spec: ServiceSpec, sockets: Path, *, patience: float = 60) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(
        unix_socket=str(base.socket_directory(spec, sockets) / "mysql.sock"),
        user=ADMIN,
        password=spec.secrets["admin"],
        connect_timeout=5,
        read_timeout=patience,
        charset="utf8mb4",
        autocommit=True,
    )


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _pattern(schema: str) -> str:
    """The name as GRANT takes it, where _ and % stand for other characters unless escaped."""
    return schema.replace("_", "\\_").replace("%", "\\%")


def _make_schema(cursor: "pymysql.cursors.Cursor", schema: str, properties: Mapping[str, Any]) -> None:
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_quote(schema)}")
    charset, collation = mariadb_properties.defaults(properties)
    if charset or collation:
        parts = (f"CHARACTER SET {charset} " if charset else "") + (f"COLLATE {collation}" if collation else "")
        cursor.execute(f"ALTER DATABASE {_quote(schema)} {parts}")


def _make_user(cursor: "pymysql.cursors.Cursor", endpoint: grants.Endpoint, password: str) -> None:
    """Rights are added before others are taken away: a running application never finds itself without."""
    name = username(endpoint.name)
    user = f"{_quote(name)}@`%`"
    cursor.execute(f"CREATE USER IF NOT EXISTS {user} {_identified(password)}")
    cursor.execute(f"ALTER USER {user} {_identified(password)} ACCOUNT UNLOCK")
    for schema, privilege in endpoint.privileges.items():
        wanted = _ON_SCHEMA[privilege]
        on = f"ON {_quote(_pattern(schema))}.*"
        cursor.execute(f"GRANT {', '.join(wanted)} {on} TO {user}")
        if excess := [right for right in _ALL if right not in wanted]:
            cursor.execute(f"REVOKE {', '.join(excess)} {on} FROM {user}")
    cursor.execute("SELECT Db FROM mysql.db WHERE User = %s", (name,))
    for (pattern,) in cursor.fetchall():
        if pattern not in {_pattern(schema) for schema in endpoint.privileges}:
            cursor.execute(f"REVOKE ALL PRIVILEGES ON {_quote(pattern)}.* FROM {user}")
    if any("replication" in privilege for privilege in endpoint.privileges.values()):
        cursor.execute(f"GRANT {_REPLICATION} ON *.* TO {user}")
    else:
        cursor.execute(f"REVOKE {_REPLICATION} ON *.* FROM {user}")


def _lock_others(cursor: "pymysql.cursors.Cursor", wanted: Sequence[str]) -> None:
    """Users of endpoints that are gone stay, as views and triggers may name them, but nobody can be them."""
    cursor.execute("SELECT User, Host FROM mysql.global_priv")
    for name, host in cursor.fetchall():
        if name not in (ADMIN, "mariadb.sys", "PUBLIC", *wanted):
            cursor.execute(f"ALTER USER {_quote(name)}@{_quote(host)} ACCOUNT LOCK")


def _from_server(error: Exception) -> bool:
    """It refused what was asked for; other numbers are the client library's, for a server that cannot be reached."""
    return bool(error.args) and isinstance(error.args[0], int) and 1000 <= error.args[0] < 2000


def _reason(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)
