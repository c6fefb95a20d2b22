"""The gauges of the fake runtime: they show what a test wrote."""

from collections.abc import Iterable, Mapping

from environments.runtimes.base import Place, Probe
from environments.runtimes.gauges import Position, Requests, Usage, Weight


class FakeGauges:
    """`told` maps an environment's key to what is to be shown; what is missing is nothing."""

    def __init__(self) -> None:
        self.used: dict[int, Usage] = {}
        self.visits: dict[int, Requests] = {}
        self.answers: dict[int, Probe] = {}
        self.weighed: dict[int, Weight] = {}
        self.knocks: list[tuple[int, int, str, str]] = []

    def usage(self, places: Iterable[Place]) -> Mapping[int, Usage]:
        return {place.key: self.used.get(place.key, Usage()) for place in places}

    def requests(self, place: Place, since: Position | None) -> Requests:
        return self.visits.pop(place.key, Requests(since or Position()))

    def knock(self, place: Place, number: int, host: str, path: str, *, timeout: float) -> Probe:
        self.knocks.append((place.key, number, host, path))
        return self.answers.get(place.key, Probe(True, 200, 1.0))

    def weigh(self) -> None:
        pass

    def weights(self, places: Iterable[Place]) -> Mapping[int, Weight]:
        return {place.key: self.weighed[place.key] for place in places if place.key in self.weighed}
