"""What an application does with a relationship, with the drivers that applications use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

REFUSED = (pymysql.MySQLError, psycopg.Error, redis.RedisError)


class Client(Protocol):
    def ask(self, statement: str) -> Any: ...

    def write(self, value: str) -> None: ...

    def read(self) -> str | None: ...


class Sql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, statement: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None

    def write(self, value: str) -> None:
        self.ask("CREATE TABLE IF NOT EXISTS note (value varchar(100))")
        self.ask("DELETE FROM note")
        self.ask(f"INSERT INTO note VALUES ('{value}')")

    def read(self) -> str | None:
        rows = self.ask("SELECT value FROM note")
        return str(rows[0][0]) if rows else None


class Keys:
    def __init__(self, connection: "redis.Redis") -> None:
        self._connection = connection

    def ask(self, statement: str) -> Any:
        return self._connection.execute_command(*statement.split())  # type: ignore[no-untyped-call]

    def write(self, value: str) -> None:
        self._connection.set("note", value)

    def read(self) -> str | None:
        value = self._connection.get("note")
        return value.decode() if isinstance(value, bytes) else None


@contextmanager
def connect(entry: dict[str, Any], **other: Any) -> Iterator[Client]:
    """With an entry of PLATFORM_RELATIONSHIPS. A sandbox resolves its host; here the address stands for it."""
    entry = entry | other
    address = {"host": entry["ip"], "port": entry["port"]}
    if entry["scheme"] == "mysql":
        options = {"user": entry["username"], "password": entry["password"], "database": entry["path"]}
        with pymysql.connect(**address, **options, connect_timeout=5, autocommit=True) as connection:
            yield Sql(connection)
    elif entry["scheme"] == "pgsql":
        options = {"user": entry["username"], "password": entry["password"], "dbname": entry["path"]}
        with psycopg.connect(**address, **options, connect_timeout=5, autocommit=True) as connection:
            yield Sql(connection)
    else:
        options = {
            "username": entry["username"],
            "password": entry["password"],
            "socket_timeout": 5,
            "retry": Retry(NoBackoff(), 0),
        }
        with redis.Redis(**address, **options) as connection:
            connection.ping()
            yield Keys(connection)
