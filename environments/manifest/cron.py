"""Schedules of crons: five fields as in crontab(5), and `H`, a value that is random but always the same.

`H` spreads the load: `H * * * *` is some minute of each hour, `H/15 * * * *` every 15 minutes from some offset.
"""

import hashlib
import itertools
import re

from environments.manifest import schedule

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {3: {name: index + 1 for index, name in enumerate(_MONTHS)}, 4: {name: i for i, name in enumerate(_DAYS)}}
_ITEM = re.compile(r"(\*|H(?:\((\d{1,2})-(\d{1,2})\))?|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,2}))?")


def resolve(spec: str, seed: str) -> str:
    """The schedule with each `H` replaced by a value drawn from `seed`. Raises ValueError with the reason."""
    fields = spec.split()
    if len(fields) == len(_FIELDS) + 1:
        raise ValueError(
            "it has six fields, as if it began with seconds; the shortest time between two runs is a minute"
        )
    if len(fields) != len(_FIELDS):
        raise ValueError(f"a schedule has five fields, this one has {len(fields)}")
    return " ".join(_field(text, index, seed) for index, text in enumerate(fields))


def seed(project_id: str, machine_name: str, app: str, cron: str) -> str:
    """What the `H` of a cron is drawn from: the same on each deployment, another one in each environment."""
    return f"{project_id}/{machine_name}/{app}/{cron}"


def shortest_gap(spec: str) -> int:
    """The fewest minutes between two runs, looking at minutes and hours only (60 when it is an hour or more)."""
    fields = resolve(spec, "").split()
    minutes, hours = (sorted(schedule.values(fields[index], *_FIELDS[index][1:])) for index in (0, 1))
    gaps = [later - earlier for earlier, later in itertools.pairwise(minutes)]
    if any((hour + 1) % 24 in hours for hour in hours):
        gaps.append(60 - minutes[-1] + minutes[0])
    return min([*gaps, 60])


def _field(text: str, index: int, seed: str) -> str:
    return ",".join(_item(item, index, seed) for item in text.split(","))


def _item(item: str, index: int, seed: str) -> str:
    name, lowest, highest = _FIELDS[index]
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"the {name} cannot be read")
    base, low, high, first, last, step = match.groups()
    every = int(step) if step else 0
    if step and not 1 <= every <= highest:
        raise ValueError(f"the step of the {name} must be 1 to {highest}")
    if base.startswith("H"):
        return _stable(index, int(low or lowest), int(high or _last(index)), every, seed)
    if base == "*":
        return item
    start = _number(first, index)
    end = _number(last, index) if last else start
    if start > end:
        raise ValueError(f"the {name} runs from {start} back to {end}")
    numbers = f"{start}-{end}" if last else str(start)
    if step and not last:
        numbers = f"{start}-{_last(index)}"
    return f"{numbers}/{every}" if step else numbers


def _last(index: int) -> int:
    """The largest value of a field that stands for itself: 28 exists in each month, and 7 is Sunday again."""
    return {2: 28, 4: 6}.get(index, _FIELDS[index][2])


def _stable(index: int, low: int, high: int, every: int, seed: str) -> str:
    name, lowest, highest = _FIELDS[index]
    if not lowest <= low <= high <= highest:
        raise ValueError(f"the range of H for the {name} must lie within {lowest}-{highest}")
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8], "big")
    if every:
        return f"{low + drawn % min(every, high - low + 1)}-{high}/{every}"
    return str(low + drawn % (high - low + 1))


def _number(text: str, index: int) -> int:
    name, lowest, highest = _FIELDS[index]
    value = _NAMES.get(index, {}).get(text.lower(), -1)
    if text.isascii() and text.isdigit():
        value = int(text)
    if not lowest <= value <= highest:
        raise ValueError(f"the {name} must be {lowest} to {highest}")
    return value
