import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from deployments import live


class PrivateRedis:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", "/tmp"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(redis.RedisError, OSError):
                if self.client.ping():
                    return
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)

    @property
    def client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.socket))


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateRedis]:
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        server = PrivateRedis(Path(folder))
        settings.REDIS_URL = f"unix://{server.socket}"
        monkeypatch.setattr(live, "_publisher", None)
        server.start()
        yield server
        server.stop()


async def until_connected(stream: AsyncIterator[str | None]) -> None:
    """The first None comes at once; the second one when the connection stands."""
    assert await anext(stream) is None
    assert await asyncio.wait_for(anext(stream), 5) is None


def test_a_watcher_hears_its_channels_and_no_others(server: PrivateRedis) -> None:
    async def scene() -> None:
        stream = live.watch("activity:a", "project:p")
        await until_connected(stream)
        live.publish("activity:b", "log")
        live.publish("project:p", "environment")
        assert await asyncio.wait_for(anext(stream), 2) == "environment"
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(scene())


def test_many_tellings_while_the_watcher_is_busy_come_once(server: PrivateRedis) -> None:
    async def scene() -> None:
        stream = live.watch("activity:a", idle=0.3)
        await until_connected(stream)
        for _ in range(50):
            live.publish("activity:a", "log")
        live.publish("activity:a", "state")
        await asyncio.sleep(0.2)
        heard = [await anext(stream) for _ in range(3)]
        assert heard == ["log", "state", None]

    asyncio.run(scene())


def test_watchers_who_were_told_of_the_same_change_look_once_and_again_after_the_next(server: PrivateRedis) -> None:
    looks: list[int] = []

    async def look() -> int:
        await asyncio.sleep(0.05)
        looks.append(len(looks))
        return looks[-1]

    async def reader(stream: AsyncIterator[str | None]) -> int:
        assert await asyncio.wait_for(anext(stream), 2) == "log"
        return await live.together("key", look)

    async def scene() -> None:
        streams = [live.watch("activity:a") for _ in range(20)]
        for stream in streams:
            assert await anext(stream) is None
        for stream in streams:
            assert await asyncio.wait_for(anext(stream), 5) is None
        for expected in (0, 1):
            live.publish("activity:a", "log")
            assert await asyncio.gather(*map(reader, streams)) == [expected] * 20

    asyncio.run(scene())


def test_who_leaves_while_others_wait_for_the_same_look_takes_nothing_from_them() -> None:
    async def look() -> str:
        await asyncio.sleep(0.05)
        return "found"

    async def scene() -> None:
        first, second = (asyncio.ensure_future(live.together("key", look)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == "found"

    asyncio.run(scene())


def test_a_thousand_watchers_share_one_connection(server: PrivateRedis) -> None:
    async def scene() -> None:
        streams = [live.watch(f"activity:{number}") for number in range(1000)]
        for stream in streams:
            assert await anext(stream) is None
        await asyncio.sleep(0.3)
        names = [client["name"] for client in server.client.client_list()]
        assert names.count("slipway-watch") == 1
        for stream in streams:
            assert await anext(stream) is None  # connected
        began = time.monotonic()
        live.publish("activity:999", "log")
        assert await asyncio.wait_for(anext(streams[999]), 2) == "log"
        assert time.monotonic() - began < 1.5

    asyncio.run(scene())


def test_without_redis_a_watcher_looks_every_second_and_publishing_is_quick(server: PrivateRedis) -> None:
    server.stop()

    async def scene() -> None:
        stream = live.watch("activity:a")
        assert await anext(stream) is None
        began = time.monotonic()
        assert await anext(stream) is None
        assert 0.8 < time.monotonic() - began < 10

    asyncio.run(scene())
    began = time.monotonic()
    for _ in range(100):
        live.publish("activity:a", "log")
    assert time.monotonic() - began < 10


def test_the_connection_comes_back_after_a_restart_and_everybody_looks_again(
    server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        stream = live.watch("activity:a")
        await until_connected(stream)
        server.stop()
        await asyncio.sleep(0.3)
        server.start()
        monkeypatch.setattr(live, "_publisher", None)
        deadline = time.monotonic() + 6
        heard: str | None = None
        while heard is None and time.monotonic() < deadline:
            live.publish("activity:a", "state")
            heard = await asyncio.wait_for(anext(stream), 5)
        assert heard == "state"

    asyncio.run(scene())


def test_a_watcher_that_leaves_is_forgotten(server: PrivateRedis) -> None:
    async def scene() -> None:
        stream = live.watch("activity:a")
        await until_connected(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert live._hub()._watchers == {}

    asyncio.run(scene())
