"""How many connections and failures one address may have. Pure: the caller gives the time (seconds, monotonic)."""

from collections import Counter, deque
from dataclasses import dataclass, field

MAX_CONNECTIONS = 600
MAX_PER_PERSON = 120
MAX_WAITING = 300  # connections that have not signed in yet, over all addresses
MAX_WAITING_PER_ADDRESS = 64
MAX_FAILURES = 30  # sign-ins that failed, per address and minute
_WINDOW = 60.0


@dataclass
class Limits:
    waiting: Counter[str] = field(default_factory=Counter)
    signed_in: Counter[int] = field(default_factory=Counter)
    _failures: dict[str, deque[float]] = field(default_factory=dict)

    def refusal(self, address: str, now: float) -> str | None:
        """Why a new connection from the address is not let in; None when it is."""
        if len(self._recent(address, now)) >= MAX_FAILURES:
            return "too many failed sign-ins; wait a minute"
        if self.waiting[address] >= MAX_WAITING_PER_ADDRESS:
            return "too many connections that have not signed in"
        waiting = self.waiting.total()
        if waiting >= MAX_WAITING or waiting + self.signed_in.total() >= MAX_CONNECTIONS:
            return "too many connections"
        return None

    def enter(self, address: str) -> None:
        self.waiting[address] += 1

    def sign_in(self, address: str, person: int) -> bool:
        """Whether the person may have one connection more; counted either way until `leave`."""
        self._end_waiting(address)
        self.signed_in[person] += 1
        return self.signed_in[person] <= MAX_PER_PERSON

    def leave(self, address: str, person: int | None) -> None:
        if person is None:
            self._end_waiting(address)
        else:
            self.signed_in[person] -= 1
            if self.signed_in[person] <= 0:
                del self.signed_in[person]

    def fail(self, address: str, now: float) -> None:
        self._failures.setdefault(address, deque(maxlen=MAX_FAILURES)).append(now)

    def forget(self, now: float) -> None:
        """Drop what is too old to count, so that many addresses cost nothing."""
        for address in list(self._failures):
            if not self._recent(address, now):
                del self._failures[address]

    def _recent(self, address: str, now: float) -> deque[float]:
        failures = self._failures.get(address, deque())
        while failures and now - failures[0] > _WINDOW:
            failures.popleft()
        return failures

    def _end_waiting(self, address: str) -> None:
        self.waiting[address] -= 1
        if self.waiting[address] <= 0:
            del self.waiting[address]
