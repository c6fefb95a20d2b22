"""Services that take no more data from their users, because what they have on disk is over its limit.

They go on answering what is read. Only some engines can do that; nothing of theirs is lost or stopped either way.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

from environments import backing
from environments.runtimes.base import ServiceSpec


@runtime_checkable
class Holds(Protocol):
    def hold(self, spec: ServiceSpec, sockets: Path, held: bool) -> None:
        """Refuse the users' writes from now on, or take them again. Safe to repeat. Raises RuntimeFailure."""
        ...


def hold(spec: ServiceSpec, sockets: Path, held: bool) -> bool:
    """Whether the engine can; then it is done."""
    engine = backing.engine_for(spec.asked)
    if isinstance(engine, Holds):
        engine.hold(spec, sockets, held)
        return True
    return False
