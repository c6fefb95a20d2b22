"""When a schedule is due, when it is due next, and what it says in words. Pure, and imports nothing of ours: the
scheduler of the local runtime, which stands alone, loads this very file.

A schedule that begins its hours with `*` follows real time. One that names its hours follows the clock on the wall and
runs once a day whatever the clock does: a time that is skipped in spring is made up for in the minute after the gap,
one that comes twice in autumn counts the first time.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MINUTE, _HOUR = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)
_LONGEST_SHIFT = datetime.timedelta(hours=3)  # by which a clock is put back
_LOOK_AHEAD = 366 * 8 + 2  # days: from one 29 February to the next there may be eight years
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # days of a month, where they are not 31
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_LISTED = 6  # as many times of day are named one by one


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either: bool  # day and weekday are both given: then one of them is enough
    real_time: bool  # its hours begin with "*"

    def on(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        right, weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return right or weekday if self.either else right and weekday

    def matches(self, moment: datetime.datetime) -> bool:
        return moment.minute in self.minutes and moment.hour in self.hours and self.on(moment.date())

    @property
    def never(self) -> bool:
        """Whether no month has such a day, as in 30 February."""
        return not self.either and all(min(self.days) > _LONGEST.get(month, 31) for month in self.months)

    def due(self, minute: int, zone: datetime.tzinfo) -> bool:
        """Whether it asks for a run in the minute that begins at this time (seconds since 1970)."""
        now = datetime.datetime.fromtimestamp(minute, zone)
        if self.real_time:
            return self.matches(now)
        if now.fold:
            return False
        wall = now.replace(tzinfo=None)
        moment = datetime.datetime.fromtimestamp(minute - 60, zone).replace(tzinfo=None) + _MINUTE
        while moment < wall:  # what the clock has just left out
            if self.matches(moment):
                return True
            moment += _MINUTE
        return self.matches(wall)

    def following(self, after: float, zone: datetime.tzinfo) -> int | None:
        """The next minute, later than `after`, in which it is due; None when there is none."""
        if self.never:
            return None
        now = datetime.datetime.fromtimestamp(after, zone).replace(tzinfo=None)
        earliest: int | None = None
        enough = now
        for wall in self._hours_from(now - _LONGEST_SHIFT):
            if earliest is not None and wall > enough:
                break
            later = [minute for minute in self._minutes_of(wall, zone) if minute > after]
            if later:
                enough = enough if earliest is not None else wall + _LONGEST_SHIFT  # an hour may come twice
                earliest = min(later) if earliest is None else min(earliest, *later)
        return earliest

    def _hours_from(self, first: datetime.datetime) -> Iterator[datetime.datetime]:
        for number in range(_LOOK_AHEAD):
            day = first.date() + datetime.timedelta(days=number)
            if self.on(day):
                for hour in sorted(self.hours):
                    wall = datetime.datetime(day.year, day.month, day.day, hour)
                    if wall >= first - _HOUR:
                        yield wall

    def _minutes_of(self, hour: datetime.datetime, zone: datetime.tzinfo) -> Iterator[int]:
        for minute in self.minutes:
            wall = hour.replace(minute=minute)
            times = {int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1)}
            real = [at for at in times if datetime.datetime.fromtimestamp(at, zone).replace(tzinfo=None) == wall]
            if real:
                yield from real if self.real_time else [min(real)]
            elif not self.real_time:
                yield _end_of_gap(min(times), zone)


def _end_of_gap(before: int, zone: datetime.tzinfo) -> int:
    """The first minute after the clock was put forward; `before` lies at most as far before that as the gap is long."""
    wall = datetime.datetime.fromtimestamp(before, zone).replace(tzinfo=None)
    while True:
        before += 60
        following = datetime.datetime.fromtimestamp(before, zone).replace(tzinfo=None)
        if following - wall > _MINUTE:
            return before
        wall = following


def parse(resolved: str) -> Schedule:
    """Of five plain fields: every `H` and every name already made a number."""
    fields = resolved.split()
    minutes, hours, days, months, weekdays = (values(field, *_RANGES[index]) for index, field in enumerate(fields))
    return Schedule(
        minutes=frozenset(minutes),
        hours=frozenset(hours),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not fields[2].startswith("*") and not fields[4].startswith("*"),
        real_time=fields[1].startswith("*"),
    )


def values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or (high if step else first)))
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def words(schedule: Schedule) -> str:
    """As in "every 15 minutes, at :07, :22, :37 and :52" or "at 03:07 on Mondays"."""
    return " ".join(part for part in (_times(schedule), _dates(schedule)) if part)


def _times(schedule: Schedule) -> str:
    minutes, hours = sorted(schedule.minutes), sorted(schedule.hours)
    if len(minutes) * len(hours) <= _LISTED:
        return f"at {_list([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    often = _often(minutes)
    if len(hours) == 24:
        return often
    step = _even(hours, 24)
    if step and len(minutes) == 1:
        return f"every {step} hours, from {hours[0]:02}:{minutes[0]:02}"
    return f"{often}, in the {'hour' if len(hours) == 1 else 'hours'} {_spans([f'{hour:02}' for hour in hours], hours)}"


def _often(minutes: Sequence[int]) -> str:
    step = _even(minutes, 60)
    at = _list([f":{minute:02}" for minute in minutes])
    if len(minutes) == 60:
        return "every minute"
    if len(minutes) == 1:
        return f"every hour at {at}"
    if step and len(minutes) <= _LISTED:
        return f"every {step} minutes, at {at}"
    if step:
        return f"every {step} minutes, from :{minutes[0]:02}"
    if len(minutes) <= _LISTED:
        return f"every hour at {at}"
    return f"{len(minutes)} times an hour, from :{minutes[0]:02} to :{minutes[-1]:02}"


def _even(numbers: Sequence[int], whole: int) -> int:
    """The distance between them when they go round evenly, else 0."""
    gaps = {(following - number) % whole for number, following in zip(numbers, [*numbers[1:], numbers[0]], strict=True)}
    return gaps.pop() if len(numbers) > 1 and len(gaps) == 1 else 0


def _dates(schedule: Schedule) -> str:
    days, weekdays, months = (sorted(each) for each in (schedule.days, schedule.weekdays, schedule.months))
    of_month = f"on the {_spans([_ordinal(day) for day in days], days)}" if len(days) < 31 else ""
    names = [f"{_DAYS[day]}s" for day in weekdays]
    if weekdays == [1, 2, 3, 4, 5]:
        names = ["Mondays to Fridays"]
    of_week = f"on {_list(names)}" if len(weekdays) < 7 else ""
    both = " and ".join if schedule.either else ", if that is one of these days, ".join
    found = [both([each for each in (of_month, of_week) if each])] if of_month or of_week else []
    if len(months) < 12:
        found.append(f"in {_list([_MONTHS[month - 1] for month in months])}")
    elif of_month:
        found.append("of each month" if not of_week else "")
    every_day = not found and len(schedule.minutes) * len(schedule.hours) <= _LISTED
    return "every day" if every_day else " ".join(filter(None, found))


def _spans(names: Sequence[str], numbers: Sequence[int]) -> str:
    """Names in a row, of which three or more that follow each other are told by the first and the last."""
    rows: list[list[int]] = []
    for index, number in enumerate(numbers):
        if rows and numbers[rows[-1][-1]] == number - 1:
            rows[-1].append(index)
        else:
            rows.append([index])
    found: list[str] = []
    for row in rows:
        found += [f"{names[row[0]]} to {names[row[-1]]}"] if len(row) > 2 else [names[index] for index in row]
    return _list(found)


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
