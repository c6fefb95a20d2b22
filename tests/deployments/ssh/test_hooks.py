"""The hook server by itself, for what a real Git does only when it is killed at the wrong moment."""

import asyncio
import threading
from typing import Any, cast

from deployments.actions.push_check import RefUpdate
from deployments.ssh import hooks, people
from deployments.ssh.hooks import HookServer, PushInFlight, Request
from deployments.ssh.people import Person


class Printed:
    """Of a StreamWriter what the hook server uses."""

    def __init__(self) -> None:
        self.data = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.data += data


def in_flight() -> PushInFlight:
    return PushInFlight(Person(1, "Ada", 1), "p" * 13, "192.0.2.1", no_wait=True)


async def _outlived(server: HookServer, asked: list[Any]) -> None:
    first, second = in_flight(), in_flight()
    request = Request("pre-receive", second.token, {}, [], [RefUpdate("refs/heads/x", "0" * 40, "1" * 40)])
    lock = server._locks.setdefault("p" * 13, asyncio.Lock())
    await lock.acquire()
    first.holds = lock
    async with server.push(second):
        waiting = asyncio.create_task(server._before(second, request, cast(asyncio.StreamWriter, Printed())))
        await asyncio.sleep(0.01)  # and Git dies while its hook waits for the push before it
    server._release(first)
    assert await waiting == 1
    assert not lock.locked()
    assert asked == [hooks.pushes.withdraw]


def test_a_hook_that_outlived_its_git_lets_nothing_in_and_keeps_no_lock(monkeypatch: Any) -> None:
    asked: list[Any] = []

    class Proposal:
        push = type("Row", (), {"pk": "x"})
        notes: tuple[str, ...] = ()

    async def ask(question: Any, *_: object) -> Any:
        asked.append(question)
        return None

    async def ask_at_leisure(*_: object) -> Any:
        return Proposal

    monkeypatch.setattr(hooks, "ask", ask)
    monkeypatch.setattr(hooks, "ask_at_leisure", ask_at_leisure)
    asyncio.run(asyncio.wait_for(_outlived(HookServer(), asked), 10))


def test_strangers_text_does_not_draw_on_the_pushers_terminal() -> None:
    printed = Printed()
    hooks._print(
        cast(asyncio.StreamWriter, printed), ["Cancelled by \x1b]0;title\x07Mal\x1b[2Jlory\x1b[31m red", "a\rb\nc"]
    )
    assert printed.data == b"PCancelled by Mallory\x1b[31m red\nPab c\n"


def test_slow_pushes_do_not_keep_others_from_signing_in() -> None:
    async def both() -> str:
        slow = [asyncio.ensure_future(people.ask_at_leisure(gate.wait)) for _ in range(20)]
        try:
            return await asyncio.wait_for(people.ask(str, "in"), 5)
        finally:
            gate.set()
            await asyncio.gather(*slow)

    gate = threading.Event()
    assert asyncio.run(both()) == "in"
