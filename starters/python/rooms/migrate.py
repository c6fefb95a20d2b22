"""Runs migrations/NNNN_name.sql in order, each once and in one transaction: python -m rooms.migrate."""

from pathlib import Path

import psycopg

from rooms import platform

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
LOCK = 7_260_115


def migrate() -> list[str]:
    """Names of the migrations that ran now."""
    done: list[str] = []
    with psycopg.connect(**platform.database()) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {name for (name,) in connection.execute("SELECT name FROM schema_migrations")}
        for file in sorted(FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql")):
            if file.name not in known:
                connection.execute(file.read_bytes())
                connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [file.name])
                done.append(file.name)
    return done


if __name__ == "__main__":
    for name in migrate():
        print(f"Migrated {name}")
    print("The database is up to date.")
