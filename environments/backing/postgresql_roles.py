"""Roles, databases and rights of a PostgreSQL service; every statement changes nothing when all is as it should be.

Each database belongs to a role of its own that nobody can sign in as. The admin endpoints of the database are members
of that role and act as it, so what one of them makes belongs to all of them, and only in this database.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from environments.backing import grants

Connection = psycopg.Connection[tuple[Any, ...]]
Username = Callable[[str], str]
_SYSTEM = {"postgres", "template0", "template1"}

_PLAIN = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")


def make_roles(connection: Connection, verifiers: Mapping[str, str], keep: str) -> None:
    """A role for each endpoint; those of endpoints that are gone stay, as rights may name them, but cannot sign in."""
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%'").fetchall()
    existing = {name for (name,) in rows} - {keep}
    for name, verifier in verifiers.items():
        role = sql.Identifier(name)
        if name not in existing:
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        connection.execute(sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(role, _PLAIN, sql.Literal(verifier)))
    for name in existing - verifiers.keys():
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(name)))


def make_databases(connection: Connection, layout: grants.Layout, username: Username) -> None:
    existing = {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}
    roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
    for name in layout.schemas:
        database, owner = sql.Identifier(name), sql.Identifier(_owner(name))
        if _owner(name) not in roles:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(owner))
        if name not in existing:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for name in (existing | set(layout.schemas)) - _SYSTEM:
        database = sql.Identifier(name)
        for endpoint in layout.endpoints:
            role = sql.Identifier(username(endpoint.name))
            if name in layout.schemas and name in endpoint.privileges:
                connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, role))
            else:
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, role))


def grant(connection: Connection, layout: grants.Layout, database: str, username: Username) -> None:
    """Rights inside the database that `connection` is in."""
    owner = sql.Identifier(_owner(database))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
    found = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
    )
    schemas = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found.fetchall())
    for endpoint in layout.endpoints:
        role = sql.Identifier(username(endpoint.name))
        names = {"role": role, "owner": owner, "database": sql.Identifier(database), "schemas": schemas}
        privilege = endpoint.privileges.get(database)
        statements = _AS_OWNER if privilege == "admin" else [*_AS_ITSELF, *_LIMITED.get(privilege or "", ())]
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))


def _owner(database: str) -> str:
    """The dot keeps it apart from every endpoint's name."""
    return f"{database}.owner"


_AS_OWNER = (
    "GRANT {owner} TO {role}",
    "ALTER ROLE {role} IN DATABASE {database} SET role TO {owner}",
    "REASSIGN OWNED BY {role} TO {owner}",
)
_AS_ITSELF = (
    "REVOKE {owner} FROM {role}",
    "ALTER ROLE {role} IN DATABASE {database} RESET role",
)
_SEE = (
    "GRANT USAGE ON SCHEMA {schemas} TO {role}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {role}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {role}",
    "GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {role}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON SEQUENCES TO {role}",
)
_LIMITED: Mapping[str, Sequence[LiteralString]] = {
    "rw": (
        *_SEE,
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schemas} TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT, UPDATE, DELETE ON TABLES TO {role}",
        "GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schemas} TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE, UPDATE ON SEQUENCES TO {role}",
    ),
    "ro": (
        *_SEE,
        "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schemas} FROM {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE INSERT, UPDATE, DELETE ON TABLES FROM {role}",
        "REVOKE USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schemas} FROM {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE USAGE, UPDATE ON SEQUENCES FROM {role}",
    ),
}


def tables(connection: Connection) -> list[tuple[str, str]]:
    """Every table with rows of its own, (schema, name)."""
    rows = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
        "c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN "
        "('pg_catalog', 'information_schema') ORDER BY 1, 2"
    ).fetchall()
    return [(str(schema), str(name)) for schema, name in rows]
