"""Every two seconds: what is no longer allowed is ended, and what has gone silent."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from deployments.actions import ssh_sessions
from deployments.ssh import people
from deployments.ssh.channel import Channel
from deployments.ssh.limits import Limits
from deployments.ssh.people import Person, ask
from deployments.ssh.shell import Shell
from deployments.ssh.tunnels import Tunnels

_LOOK_SECONDS = 2.0  # between two looks at what has been taken away
_LAST_WORDS = 1.0  # seconds in which a client may read why its connection ends

logger = logging.getLogger(__name__)


class Visitor(Protocol):
    person: Person | None
    work: set[Channel]
    tunnels: Tunnels | None

    def close(self) -> None: ...


class Doors(Protocol):
    limits: Limits

    @property
    def visitors(self) -> Iterable[Visitor]: ...


async def watch(doors: Doors) -> None:
    told = 0.0
    await _ask(ssh_sessions.forget_lost)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        doors.limits.forget(now)
        visitors = [visitor for visitor in doors.visitors if visitor.person is not None]
        if not visitors:
            continue
        try:
            keys, work = await ask(_lost, visitors)
            held = _held(visitors)
            reasons = await ask(ssh_sessions.ended, [each.session_id for each in held]) if held else {}
            if held and now - told >= ssh_sessions.SEEN_EVERY:
                told = now
                await ask(ssh_sessions.still_here, [each.session_id for each in held])
                await ask(ssh_sessions.forget_lost)
        except Exception:
            logger.exception("It could not be checked whether connections are still allowed")
            continue
        for each in held:
            assert each.session_id is not None
            reason = reasons.get(each.session_id) or (
                "Closed: nothing was said for hours." if each.is_idle(now) else ""
            )
            if reason:
                each.end(reason)
        for visitor in visitors:
            _look_at(visitor, keys, work, now)


def _look_at(visitor: Visitor, keys: set[int], work: set[tuple[int, str]], now: float) -> None:
    person = visitor.person
    assert person is not None
    git = [each for each in visitor.work if not isinstance(each, Shell)]
    taken = {(person.user_id, each.project_id) for each in git} & work
    if person.key_id in keys or taken or any(each.is_idle(now) for each in git):
        logger.info("Connection of %s ended: no longer allowed, or silent for too long", person.name)
        for each in _held([visitor]):
            each.end("Your key or account does not open this any more.")
        asyncio.get_running_loop().call_later(_LAST_WORDS, visitor.close)


async def _ask(question: Callable[[], None]) -> None:
    try:
        await ask(question)
    except Exception:
        logger.exception("Lost sessions could not be looked for")


def _held(visitors: Sequence[Visitor]) -> list[Shell | Tunnels]:
    """What is in an environment and recorded as that."""
    shells = [each for visitor in visitors for each in visitor.work if isinstance(each, Shell)]
    tunnels = [visitor.tunnels for visitor in visitors if visitor.tunnels is not None]
    found: list[Shell | Tunnels] = [*shells, *tunnels]
    return [each for each in found if each.session_id is not None]


def _lost(visitors: Sequence[Visitor]) -> tuple[set[int], set[tuple[int, str]]]:
    signed_in = [(visitor.person, visitor) for visitor in visitors if visitor.person is not None]
    work = [(person.user_id, each.project_id) for person, visitor in signed_in for each in tuple(visitor.work)]
    return people.lost([person for person, _ in signed_in], [pair for pair in work if pair[1]])
