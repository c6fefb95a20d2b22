"""Workers, as supervisord and its log tell of them."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from environments.process import describe_exit
from environments.runtimes.base import Place
from environments.runtimes.local import gauges
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.programs import live_mark, worker_names
from environments.runtimes.local.supervisor import Status, Supervisor
from environments.runtimes.workers import Condition, WorkerState
from portal.paths import Home

_LOG_END = 512 * 1024  # bytes of supervisord's log that are looked at
_STOP_LIMIT = 20.0  # seconds: supervisord kills it after 15
_EXIT = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ (?:exited|stopped): (?P<name>[a-z0-9-]+) "
    r"\((?:exit status (?P<code>\d+)|terminated by (?P<signal>SIG\w+))",
    re.MULTILINE,
)


class LocalWorkers:
    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._home = home
        self._supervisor = supervisor

    def states(self, place: Place, number: int) -> Sequence[WorkerState]:
        layout = Layout(self._home, place)
        names = self._names(layout, number)
        if not names:
            return []
        live = live_mark(layout.front(number)).exists()
        exits = self._exits(names)
        statuses = self._supervisor.statuses(layout.group(number), list(names))
        made = (self._state(layout, number, names[each.name], each, live, exits) for each in statuses)
        return sorted(made, key=lambda state: state.name)

    def restart(self, place: Place, number: int, name: str) -> None:
        layout = Layout(self._home, place)
        group = layout.group(number)
        programs = [program for program, full in self._names(layout, number).items() if full == name]
        if programs:
            self._supervisor.signal(group, programs)
            self._supervisor.wait_ended(group, programs, _STOP_LIMIT)
            self._supervisor.start(group)

    @staticmethod
    def _names(layout: Layout, number: int) -> dict[str, str]:
        """Full names by the names of their programs, as `place` wrote them down."""
        try:
            found: dict[str, str] = json.loads(worker_names(layout, number).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _state(
        self, layout: Layout, number: int, name: str, status: Status, live: bool, exits: Mapping[str, tuple[str, float]]
    ) -> WorkerState:
        conditions = {"RUNNING": Condition.RUNNING, "STARTING": Condition.RESTARTING, "BACKOFF": Condition.RESTARTING}
        condition = conditions.get(status.state, Condition.STOPPED)
        if condition is Condition.RUNNING and not live:
            condition = Condition.WAITING
        since = status.started if condition is not Condition.STOPPED else status.stopped
        last, at = exits.get(status.name, ("", None))
        restarts = gauges.restarts(layout.release(number) / f"{status.name.rpartition('-')[2]}.starts")
        return WorkerState(name, condition, float(since) or None, restarts, last, at)

    def _exits(self, names: Mapping[str, str]) -> dict[str, tuple[str, float]]:
        """How programs ended last, and when; supervisord itself forgets it at the next start."""
        try:
            with (self._home.logs / "supervisord.log").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _LOG_END))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return {}
        found = {}
        for match in _EXIT.finditer(text):
            if match["name"] in names:
                how = describe_exit(int(match["code"])) if match["code"] else f"signal {match['signal']}"
                found[match["name"]] = (how, datetime.fromisoformat(match["at"]).timestamp())
        return found
