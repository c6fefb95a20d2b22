"""When a promotion may land: freezes, in which nothing does, and windows, for those that wait for one. Pure.

Spans are half open: at the end of a freeze it is over. Weekly ones follow the clock on the wall of the project's zone.
Where that clock leaves out the time at which one begins or ends, it does so at the leap. Where a time comes twice,
spans begin at the first, freezes end at the second and windows at the first: in doubt, nothing lands.
"""

import heapq
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

LOOK_AHEAD = timedelta(days=366)
_DAY = timedelta(days=1)
_BACK = 3  # days: a weekly span lasts at most one, and a zone may skip one
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Span(Protocol):
    """What is asked of a Timespan. Weekly: `days` (0: Monday), `from_time`, `to_time`; else `starts_at`, `ends_at`."""

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def starts_at(self) -> datetime | None: ...
    @property
    def ends_at(self) -> datetime | None: ...
    @property
    def days(self) -> Sequence[int]: ...
    @property
    def from_time(self) -> time | None: ...
    @property
    def to_time(self) -> time | None: ...


@dataclass(frozen=True)
class Landing:
    """`at`: when it may land, None: no such moment is in sight. `why` it does not at once; empty when it may."""

    at: datetime | None
    why: str


@dataclass(frozen=True, order=True)
class _Stretch:
    begin: datetime
    end: datetime
    title: str = ""


def zone(name: str) -> tzinfo:
    """UTC where the host does not know the zone any more: a round must not die of that."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return UTC


def may_land_at(timespans: Iterable[Span], tz: str, when: str, planned_at: datetime | None, now: datetime) -> Landing:
    """`when` is a Promotion.When. A freeze counts at the time it is planned for, or now where that is over."""
    here, spans = zone(tz), list(timespans)
    start = max(now, planned_at) if planned_at and when != "now" else now
    horizon = start + LOOK_AHEAD
    freezes = _stretches((span for span in spans if span.kind == "freeze"), here, start, horizon)
    windows: Iterable[_Stretch] = [_Stretch(start, horizon)]
    if when == "window":
        wanted = [span for span in spans if span.kind == "window"]
        if not wanted:
            return Landing(None, "The project has no windows, so none will come. Choose a time, or add a window.")
        windows = _stretches(wanted, here, start, horizon)
    frozen: list[_Stretch] = []
    found = _first_common(_gaps(freezes, start, horizon, frozen), windows)
    if found is None:
        return Landing(None, _never(when, bool(frozen)))
    at, window = found
    return Landing(at, _why(at, when, window, frozen, now, tz))


def _stretches(spans: Iterable[Span], here: tzinfo, start: datetime, horizon: datetime) -> Iterator[_Stretch]:
    """All times that the spans take, by their beginning, worked out only as far as somebody looks."""
    streams = [_weekly(span, here, start) if span.from_time and span.to_time else _once(span) for span in spans]
    for stretch in heapq.merge(*streams):
        if stretch.begin >= horizon:
            return
        if stretch.end > start:
            yield stretch


def _once(span: Span) -> Iterator[_Stretch]:
    if span.starts_at and span.ends_at and span.starts_at < span.ends_at:
        yield _Stretch(span.starts_at.astimezone(UTC), span.ends_at.astimezone(UTC), span.title)


def _weekly(span: Span, here: tzinfo, start: datetime) -> Iterator[_Stretch]:
    assert span.from_time is not None
    assert span.to_time is not None
    first = start.astimezone(here).date() - _BACK * _DAY
    days = frozenset(span.days)
    for day in (first + number * _DAY for number in range(LOOK_AHEAD.days + 2 * _BACK)):
        if day.weekday() in days:
            last = day if span.to_time > span.from_time else day + _DAY
            begin = on_the_clock(day, span.from_time, here)
            end = on_the_clock(last, span.to_time, here, fold=int(span.kind == "freeze"))
            if begin < end:
                yield _Stretch(begin, end, span.title)


def on_the_clock(day: date, at: time, here: tzinfo, fold: int = 0) -> datetime:
    """The moment at which the clock shows that: of two the first, or with `fold` the second; of none, when it leaps."""
    wall = datetime.combine(day, at.replace(tzinfo=None))
    first, second = (wall.replace(tzinfo=here, fold=which).astimezone(UTC) for which in (0, 1))
    if first <= second:
        return second if fold else first
    before, after = second, first  # a time that is left out is reckoned from either side of the leap
    offset = before.astimezone(here).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(here).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _gaps(
    freezes: Iterable[_Stretch], start: datetime, horizon: datetime, frozen: list[_Stretch]
) -> Iterator[_Stretch]:
    """What the freezes leave; those looked at so far are added to `frozen`."""
    moment = start
    for freeze in freezes:
        if freeze.begin > moment:
            yield _Stretch(moment, freeze.begin)
        frozen.append(freeze)
        moment = max(moment, freeze.end)
    if moment < horizon:
        yield _Stretch(moment, horizon)


def _first_common(free: Iterator[_Stretch], windows: Iterable[_Stretch]) -> tuple[datetime, _Stretch] | None:
    windows = iter(windows)
    gap, window = next(free, None), next(windows, None)
    while gap and window:
        begin = max(gap.begin, window.begin)
        if begin < min(gap.end, window.end):
            return begin, window
        if gap.end <= window.begin:
            gap = next(free, None)
        else:
            window = next(windows, None)
    return None


def _never(when: str, frozen: bool) -> str:
    days = LOOK_AHEAD.days
    if when != "window":
        return f"Freezes leave no moment free in {days} days. End or remove one."
    if frozen:
        return f"No window of the next {days} days is free of freezes. Choose a time, or change a window or a freeze."
    return f"No window comes in the next {days} days. Choose a time, or add a window."


def _why(at: datetime, when: str, window: _Stretch, frozen: Sequence[_Stretch], now: datetime, tz: str) -> str:
    if at <= now:
        return ""
    said = said_at(at, tz, now)
    ended = next((freeze for freeze in frozen if freeze.end == at), None)
    if ended:
        return f"A freeze, {ended.title}, lasts until {said}."
    if when == "window":
        passed = any(freeze.begin < at for freeze in frozen)
        return f"The next window{' outside freezes' if passed else ''}, {window.title}, opens on {said}."
    return f"It is planned for {said}."


def said_at(moment: datetime, tz: str, now: datetime) -> str:
    """ "Friday 4 December, 18:00 (Europe/Berlin)", with the year where it is not this one."""
    here = zone(tz)
    local = moment.astimezone(here)
    year = f" {local.year}" if local.year != now.astimezone(here).year else ""
    return f"{DAYS[local.weekday()]} {local.day} {local:%B}{year}, {local:%H:%M} ({tz})"


def words(span: Span, tz: str, now: datetime) -> str:
    """When a span is, for people: "Friday, Saturday, 18:00 to 06:00 on the next day"."""
    if span.from_time and span.to_time:
        named = ", ".join(DAYS[day] for day in sorted(set(span.days)) if 0 <= day < len(DAYS))
        named = "Every day" if len(set(span.days)) == len(DAYS) else named
        after = "" if span.to_time > span.from_time else " on the next day"
        return f"{named}, {span.from_time:%H:%M} to {span.to_time:%H:%M}{after}"
    if span.starts_at and span.ends_at:
        return f"{said_at(span.starts_at, tz, now)} to {said_at(span.ends_at, tz, now)}"
    return ""
