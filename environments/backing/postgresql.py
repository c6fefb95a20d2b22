"""PostgreSQL."""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from environments import process
from environments.backing import base, files, grants, postgresql_roles
from environments.runtimes.base import RuntimeFailure, Sandbox, ServiceSpec
from portal.errors import Invalid

ADMIN = "slipway.admin"  # the dot keeps it apart from every endpoint's name
_WORDS = grants.Words(
    schemas="databases",
    default="default_database",
    endpoint="postgresql",
    privileges=("admin", "rw", "ro"),
    reserved=("postgres", "template0", "template1"),
)
_IGNORED = {
    "properties": "the server's settings are fixed",
    "rotate_passwords": "passwords stay as they are",
}
_KEYS = ("databases", "endpoints", "extensions", *_IGNORED)
_TEMPLATE_LAYOUT = 1  # raise it when what follows changes what is in a template
_INSTALLED = Path("/usr/lib/postgresql")
_SHARED = Path("/usr/share/postgresql")
_MEMORY = 1024**3

# What an application may ask for, when it is installed. Not here: what reads the server's files, connects elsewhere or
# runs code of the operating system.
_EXTENSIONS = """
    bloom btree_gin btree_gist citext cube dict_int dict_xsyn earthdistance fuzzystrmatch hstore intagg intarray isn lo
    ltree pg_trgm pgcrypto pgrouting pgrowlocks pgstattuple plpgsql postgis postgis_tiger_geocoder postgis_topology seg
    sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp vector xml2"""

_ACCESS = f"""\
# Written by Slipway. The administrator only through the socket, everybody else only through the network.
local  all  "{ADMIN}"              scram-sha-256
local  all  all                    reject
host   all  "{ADMIN}"  0.0.0.0/0   reject
host   all  all        127.0.0.0/8 scram-sha-256
"""

# Single-user mode takes one line for a statement.
_LOCK_ALL = (
    "DO $$ DECLARE each name; BEGIN FOR each IN SELECT rolname FROM pg_catalog.pg_authid WHERE rolcanlogin AND "
    "rolname <> 'ADMIN' LOOP EXECUTE pg_catalog.format('ALTER ROLE %I NOLOGIN PASSWORD NULL', each); "
    "END LOOP; END $$"
).replace("ADMIN", ADMIN)

_SETTINGS = {
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "jit": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_error_statement": "panic",  # a failing statement may hold personal data
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
    "update_process_title": "off",
}


class PostgreSQL(base.Copied):
    name = "postgresql"
    types: Sequence[str] = ("postgresql",)
    port = 5432
    countable = True

    def versions(self) -> Sequence[str]:
        found = [path.parent.parent.name for path in _INSTALLED.glob("*/bin/postgres")]
        return sorted((name for name in found if name.isdigit()), key=int)

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        grants.refuse_unknown(configuration, _KEYS)
        grants.read(configuration, _WORDS)
        for version in self.versions():
            _extensions(version, configuration)
        return [f"{key} is ignored: {reason}." for key, reason in _IGNORED.items() if configuration.get(key)]

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        return [endpoint.name for endpoint in grants.read(configuration, _WORDS).endpoints]

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return grants.new_secrets(grants.read(configuration, _WORDS), known)

    def prepare(self, version: str) -> None:
        _template(version)

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        home = files.private_folder(data.parent)
        files.private_folder(base.socket_directory(spec, sockets))
        files.write_private(home / "pg_hba.conf", _ACCESS)
        template = _template(spec.version)

        def make(fresh: Path) -> None:
            files.copy(template, fresh)
            set_admin(spec, fresh)

        files.make_whole(data, make)

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        access, folder = data.parent / "pg_hba.conf", base.socket_directory(spec, sockets)
        settings = _SETTINGS | {
            "listen_addresses": spec.address,
            "port": str(spec.port),
            "unix_socket_directories": str(folder),
            "hba_file": str(access),
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return Sandbox(
            argv=base.exclusive(data, [_program(spec.version, "postgres"), "-D", str(data), *options]),
            env={"LANG": "C.UTF-8", "TZ": "UTC"},
            read_only=[(access, str(access))],
            writable=[(path, str(path)) for path in (data, folder)],
            cwd=str(data),
            memory=_MEMORY,
            label=base.label(spec),
            stop_signal="INT",  # at TERM it would wait for its clients
        )

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        try:
            with connect(spec, sockets) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except (psycopg.Error, OSError):
            return False

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        layout = grants.read(spec.configuration, _WORDS)
        extensions = _extensions(spec.version, spec.configuration)
        verifiers = {
            username(endpoint.name): _verifier(spec, username(endpoint.name), spec.secrets["endpoints"][endpoint.name])
            for endpoint in layout.endpoints
        }
        try:
            with connect(spec, sockets) as connection:
                postgresql_roles.make_roles(connection, verifiers, keep=ADMIN)
                postgresql_roles.make_databases(connection, layout, username)
            for database in layout.schemas:
                with connect(spec, sockets, database) as connection:
                    postgresql_roles.grant(connection, layout, database, username)
                    for name in extensions:
                        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(sql.Identifier(name))
                        connection.execute(statement)
        except (psycopg.Error, OSError) as error:
            message = f'PostgreSQL refused the configuration of the service "{spec.name}": {error}'
            refused = isinstance(error, psycopg.Error) and error.sqlstate is not None
            raise RuntimeFailure("service-configuration", message, by_user=refused) from error

    def before_copy(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        return {"tables": sum(len(postgresql_roles.tables(one)) for one in _each_database(spec, sockets))}

    def adopt(self, spec: ServiceSpec, data: Path) -> None:
        (data / "postmaster.pid").unlink(missing_ok=True)
        _single_user(spec.version, data, _LOCK_ALL)
        set_admin(spec, data)

    def count(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        found = {}
        for connection in _each_database(spec, sockets):
            for schema, table in postgresql_roles.tables(connection):
                query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
                row = connection.execute(query).fetchone()
                found[f"{connection.info.dbname}.{schema}.{table}"] = int(row[0]) if row else 0
        return found

    def hold(self, spec: ServiceSpec, sockets: Path, held: bool) -> None:
        """By what its users' sessions begin with, so those that are open end. We go on writing."""
        layout = grants.read(spec.configuration, _WORDS)
        change = sql.SQL("ALTER ROLE {} SET default_transaction_read_only = {}")
        try:
            with connect(spec, sockets) as connection:
                for endpoint in layout.endpoints:
                    role = username(endpoint.name)
                    connection.execute(change.format(sql.Identifier(role), sql.Literal("on" if held else "off")))
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role]
                    )
        except (psycopg.Error, OSError) as error:
            raise RuntimeFailure("service-hold", f"PostgreSQL: {error}", by_user=False) from error

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        name = base.pick_endpoint(spec, endpoint, self.endpoints(spec.asked, spec.configuration))
        return base.entry(
            spec,
            relationship,
            name,
            scheme="pgsql",
            username=username(name),
            password=spec.secrets["endpoints"][name],
            path=grants.read(spec.configuration, _WORDS).endpoint(name).default,
            query={"is_master": True},
        )


def username(endpoint: str) -> str:
    """The default endpoint's user is the one that existing applications know."""
    if endpoint.startswith("pg_"):
        return f"{endpoint}.endpoint"  # the server keeps such names for itself
    return {_WORDS.endpoint: "main", "main": "main.endpoint", "public": "public.endpoint", "none": "none.endpoint"}.get(
        endpoint, endpoint
    )


def set_admin(spec: ServiceSpec, data: Path) -> None:
    """Give a stopped data directory, wherever it was copied from, this service's administrator's password."""
    verifier = _verifier(spec, ADMIN, spec.secrets["admin"])
    _single_user(spec.version, data, f"ALTER ROLE \"{ADMIN}\" PASSWORD '{verifier}'")


def _single_user(version: str, data: Path, *statements: str) -> None:
    """Each in one line. Recovers first what a power cut left."""
    process.run(
        [_program(version, "postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on", "postgres"],
        input="".join(f"{statement}\n" for statement in statements).encode(),
        timeout=600,
    )


def _each_database(spec: ServiceSpec, sockets: Path) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    with connect(spec, sockets) as first:
        names = first.execute("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate").fetchall()
    for (name,) in names:
        with connect(spec, sockets, name) as connection:
            yield connection


def connect(spec: ServiceSpec, sockets: Path, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(
        host=str(base.socket_directory(spec, sockets)),
        port=spec.port,
        user=ADMIN,
        password=spec.secrets["admin"],
        dbname=database,
        connect_timeout=5,
        autocommit=True,
    )


def _program(version: str, name: str) -> str:
    return str(_INSTALLED / version / "bin" / name)


def _template(version: str) -> Path:
    def install(target: Path) -> None:
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=4", "--no-instructions", "--auth=reject"]
        argv = [_program(version, "initdb"), "-D", str(target), f"--username={ADMIN}", *options]
        process.run(argv, timeout=300)
        # Everybody may connect to, and make temporary tables in, what the server itself needs: nobody shall.
        revoke = [f"REVOKE ALL ON DATABASE {name} FROM PUBLIC" for name in ("postgres", "template1")]
        _single_user(version, target, *revoke)

    return files.template(f"postgresql-{version}-{_TEMPLATE_LAYOUT}", install)


def _extensions(version: str, configuration: Mapping[str, Any]) -> Sequence[str]:
    given = configuration.get("extensions") or []
    if not isinstance(given, list | tuple):
        raise Invalid("Give a list of names.", field="extensions")
    folder = _SHARED / version / "extension"
    allowed = [name for name in _EXTENSIONS.split() if (folder / f"{name}.control").exists()]
    for name in given:
        if name not in allowed:
            message = f'There is no extension "{str(name)[:80]}" here. Allowed: {", ".join(allowed)}.'
            raise Invalid(message, field="extensions")
    return list(dict.fromkeys(given))


def _verifier(spec: ServiceSpec, role: str, password: str) -> str:
    """What the server stores for a password (RFC 5803), so that statements and their logs never hold the password.

    The salt is the same each time, for `configure` to change nothing when nothing changed.
    """
    salt = hashlib.sha256(f"{spec.place.project_id}/{spec.place.machine_name}/{spec.name}/{role}".encode()).digest()[
        :16
    ]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256$4096:{salt_text}${stored_text}:{server_text}"
