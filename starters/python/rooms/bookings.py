"""Reading and writing bookings. Two people who want the same half day are told apart by the database, not by luck."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

HALVES = ("morning", "afternoon")

Connection = psycopg.Connection[dict[str, Any]]


def connect(arguments: dict[str, Any]) -> Connection:
    return psycopg.connect(**arguments, row_factory=dict_row)


@dataclass(frozen=True)
class Week:
    monday: date

    @classmethod
    def of(cls, day: date) -> "Week":
        return cls(day - timedelta(days=day.weekday()))

    @property
    def days(self) -> list[date]:
        return [self.monday + timedelta(days=number) for number in range(5)]

    def moved(self, weeks: int) -> "Week":
        return Week(self.monday + timedelta(weeks=weeks))


def rooms(connection: Connection) -> list[dict[str, Any]]:
    return connection.execute("SELECT * FROM rooms ORDER BY id").fetchall()


def room(connection: Connection, room_id: int) -> dict[str, Any] | None:
    return connection.execute("SELECT * FROM rooms WHERE id = %s", [room_id]).fetchone()


def in_week(connection: Connection, week: Week) -> dict[tuple[int, date, str], dict[str, Any]]:
    rows = connection.execute(
        "SELECT * FROM bookings WHERE day BETWEEN %s AND %s", [week.days[0], week.days[-1]]
    ).fetchall()
    return {(row["room_id"], row["day"], row["half"]): row for row in rows}


def book(
    connection: Connection, *, room_id: int, day: date, half: str, who: str, purpose: str, owner: str
) -> bool:
    """False when somebody else was faster."""
    done = connection.execute(
        "INSERT INTO bookings (room_id, day, half, who, purpose, owner) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (room_id, day, half) DO NOTHING",
        [room_id, day, half, who, purpose, owner],
    )
    return done.rowcount == 1


def cancel(connection: Connection, *, booking_id: int, owner: str) -> bool:
    """Only one's own booking can be cancelled."""
    done = connection.execute("DELETE FROM bookings WHERE id = %s AND owner = %s", [booking_id, owner])
    return done.rowcount == 1
