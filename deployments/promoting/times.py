"""What people type as a time, checked: on the clock of their project, which leaves out an hour and shows one twice."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from deployments.promoting import calendar
from portal.errors import Invalid

_YEARS = range(2000, 2100)
_FARTHEST_PLAN = calendar.LOOK_AHEAD
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?\Z")
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?\Z")


@dataclass(frozen=True)
class Moment:
    """`note`: what to tell whoever typed it; empty when there is nothing to tell."""

    at: datetime
    note: str = ""


@dataclass(frozen=True)
class Once:
    starts_at: datetime
    ends_at: datetime
    note: str = ""


@dataclass(frozen=True)
class Weekly:
    days: list[int]
    from_time: time
    to_time: time


def planned(text: str, tz: str, now: datetime, field: str = "at") -> Moment:
    """When a promotion is to land. Raises Invalid."""
    moment = local(text, tz, field)
    if moment.at <= now:
        said = calendar.said_at(moment.at, tz, now)
        raise Invalid(f"{said} is in the past. Choose a later time, or land it now.", field=field)
    if moment.at > now + _FARTHEST_PLAN:
        raise Invalid(f"That is more than {_FARTHEST_PLAN.days} days ahead. Choose an earlier time.", field=field)
    return moment


def once(starts: str, ends: str, tz: str, now: datetime) -> Once:
    """A span with two dates. Raises Invalid."""
    begin, end = local(starts, tz, "starts_at"), local(ends, tz, "ends_at")
    if end.at <= begin.at:
        raise Invalid("It ends before it starts. Choose an end that is later.", field="ends_at")
    if end.at <= now:
        raise Invalid("It is over already. Choose an end that is to come.", field="ends_at")
    return Once(begin.at, end.at, " ".join(dict.fromkeys(filter(None, (begin.note, end.note)))))


def weekly(days: Iterable[str | int], from_time: str, to_time: str) -> Weekly:
    """A span of each week; one that ends at or before its beginning ends on the next day. Raises Invalid."""
    chosen = {str(day) for day in days}
    if not chosen:
        raise Invalid("Choose at least one day of the week.", field="days")
    if not chosen <= {str(day) for day in range(7)}:
        raise Invalid("Days are numbers from 0 (Monday) to 6 (Sunday).", field="days")
    return Weekly(sorted(map(int, chosen)), _clock(from_time, "from_time"), _clock(to_time, "to_time"))


def local(text: str, tz: str, field: str) -> Moment:
    """What `<input type="datetime-local">` sends, as the clock of that zone shows it. Raises Invalid."""
    wall = _written(text, field)
    here = calendar.zone(tz)
    first, second = (wall.replace(tzinfo=here, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(here).replace(tzinfo=None) != wall:
        leap = calendar.on_the_clock(wall.date(), wall.time(), here)
        gone = (leap - timedelta(microseconds=1)).astimezone(here) + timedelta(microseconds=1)
        raise Invalid(
            f"There is no {wall:%H:%M} on {wall.day} {wall:%B %Y} in {tz}: the clock goes from {gone:%H:%M} to "
            f"{leap.astimezone(here):%H:%M}. Choose {leap.astimezone(here):%H:%M} or later.",
            field=field,
        )
    if first != second:
        twice = f"{wall:%H:%M} comes twice on {wall.day} {wall:%B %Y} in {tz}"
        return Moment(first, f"{twice}, when the clock goes back; the first is meant.")
    return Moment(first)


def _written(text: str, field: str) -> datetime:
    try:
        if not _WRITTEN.match(text):
            raise ValueError(text)
        wall = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("Give a date and a time, such as 2026-12-04 18:00.", field=field) from None
    if wall.year not in _YEARS:
        raise Invalid(f"Give a year from {_YEARS.start} to {_YEARS.stop - 1}.", field=field)
    return wall


def _clock(text: str, field: str) -> time:
    try:
        if not _CLOCK.match(text):
            raise ValueError(text)
        return time.fromisoformat(text)
    except ValueError:
        raise Invalid("Give a time of day, such as 18:00.", field=field) from None
