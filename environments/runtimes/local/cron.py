"""Runs the crons of one app, one at a time. Stands alone: run in the app's sandbox as `python3 -IS cron.py CRONS`.

CRONS is JSON: {"timezone": name, "crons": [{name, spec, start, stop, timeout, shutdown_timeout}]}; `spec` has five
plain fields, every `H` and every name already made a number. Each run's output goes to ours.
"""

import contextlib
import datetime
import json
import os
import signal
import sys
import time
import zoneinfo
from typing import Any

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_POLL = 0.2


def matches(spec: str, moment: datetime.datetime) -> bool:
    """Whether a schedule asks for a run in the minute of `moment`, as crontab(5) says."""
    fields = spec.split()
    minute, hour, day, month, weekday = (_values(field, *_RANGES[index]) for index, field in enumerate(fields))
    today = moment.isoweekday() % 7
    on_day, on_weekday = moment.day in day, today in weekday or (today == 0 and 7 in weekday)
    # With both days given, either will do.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    right_day = on_day or on_weekday if either else on_day and on_weekday
    return moment.minute in minute and moment.hour in hour and moment.month in month and right_day


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or (high if step else first)))
        found |= set(range(start, end + 1, int(step or 1)))
    return found


class Scheduler:
    def __init__(self, crons: list[dict[str, Any]], zone: datetime.tzinfo) -> None:
        self._crons = crons
        self._zone = zone
        self._waiting: list[dict[str, Any]] = []
        self._ending = False
        self._child: int | None = None

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._end)
        last = self._minute()
        while not self._ending:
            now = self._minute()
            # A minute that was slept through is made up for, but not a whole night.
            while last < now and not self._ending:
                last = max(last + 60, now - 300)
                self._collect(last)
            if self._waiting:
                self._perform(self._waiting.pop(0))
            else:
                time.sleep(max(0.05, min(1.0, now + 60 - time.time())))

    @staticmethod
    def _minute() -> int:
        return int(time.time()) // 60 * 60

    def _collect(self, minute: int) -> None:
        moment = datetime.datetime.fromtimestamp(minute, self._zone)
        for cron in self._crons:
            if cron not in self._waiting and matches(cron["spec"], moment):
                self._waiting.append(cron)

    def _end(self, *_: object) -> None:
        self._ending = True

    def _perform(self, cron: dict[str, Any]) -> None:
        self._say(cron, "started")
        began = time.monotonic()
        code = self._wait(cron, self._spawn(cron["start"]))
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
        self._say(cron, f"{how} after {time.monotonic() - began:.1f} s")

    def _wait(self, cron: dict[str, Any], child: int) -> int:
        deadline = time.monotonic() + cron["timeout"]
        while True:
            code = self._ended(child)
            if code is not None:
                return code
            if self._ending or time.monotonic() > deadline:
                self._say(cron, "is being stopped" if self._ending else f"ran longer than {cron['timeout']} s")
                return self._stop(cron, child)
            time.sleep(_POLL)

    def _stop(self, cron: dict[str, Any], child: int) -> int:
        if cron.get("stop"):
            self._spawn(cron["stop"])
        else:
            self._signal(child, signal.SIGTERM)
        deadline = time.monotonic() + cron["shutdown_timeout"]
        while time.monotonic() < deadline:
            code = self._ended(child)
            if code is not None:
                return code
            time.sleep(_POLL)
        self._signal(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    @staticmethod
    def _spawn(script: str) -> int:
        source = "if [ -f ./.environment ]; then . ./.environment; fi; "
        argv = ["/bin/sh", "-c", source + script]
        return os.posix_spawn("/bin/sh", argv, os.environ, setsid=True, setsigdef=[signal.SIGTERM])

    @staticmethod
    def _ended(child: int) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs. Reaps stray children too."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(child, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if pid else None
        return 0

    @staticmethod
    def _signal(child: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)

    @staticmethod
    def _say(cron: dict[str, Any], what: str) -> None:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        sys.stdout.write(f"{now} cron {cron['name']} {what}\n")
        sys.stdout.flush()


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    try:
        zone: datetime.tzinfo = zoneinfo.ZoneInfo(given["timezone"])
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        zone = datetime.UTC
    Scheduler(given["crons"], zone).run()


if __name__ == "__main__":
    main(sys.argv[1])
