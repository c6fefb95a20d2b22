import asyncio
import os
from collections.abc import Callable
from typing import Any

from deployments.ssh.pump import Sink, Tap


def test_what_the_program_does_not_read_holds_the_client_back() -> None:
    async def main() -> None:
        told: list[str] = []
        sink = Sink(lambda: told.append("full"), lambda: told.append("room"))
        data = os.urandom(5 * 1024 * 1024)
        sink.write(data[:4_000_000])
        sink.write(data[4_000_000:])
        sink.end()
        assert told == ["full"]
        received = await read_all(sink.theirs)
        assert received == data
        assert told == ["full", "room"]

    asyncio.run(main())


def test_a_program_that_is_gone_takes_nothing_and_breaks_nothing() -> None:
    async def main() -> None:
        sink = Sink(ignore, ignore)
        os.close(sink.theirs)
        sink.write(b"x")
        sink.write(b"y")
        sink.end()
        sink.close()

    asyncio.run(main())


def test_output_waits_while_the_client_does_not_read() -> None:
    async def main() -> None:
        received: list[bytes] = []
        tap = Tap(received.append)
        os.write(tap.theirs, b"one")
        await settle(lambda: received)
        tap.pause()
        os.write(tap.theirs, b"two")
        await asyncio.sleep(0.05)
        assert received == [b"one"]
        tap.resume()
        os.close(tap.theirs)
        await tap.ended.wait()
        assert received == [b"one", b"two"]
        tap.close()

    asyncio.run(main())


def ignore(*_: Any) -> None:
    pass


async def settle(done: Callable[[], object]) -> None:
    while not done():
        await asyncio.sleep(0.01)


async def read_all(end: int) -> bytes:
    def read() -> bytes:
        with os.fdopen(end, "rb") as file:
            return file.read()

    return await asyncio.get_running_loop().run_in_executor(None, read)
