"""Telling open pages that something changed. A message says only where to look: the database says what there is.

Redis carries the messages and holds nothing. When it is away, watchers look at the database every second instead.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

_PREFIX = "slipway:"
_TICK = 1.0  # seconds between two looks while Redis is away
_PAUSE = 1.0  # seconds without a try after Redis did not answer a publisher
_LINGER = 5.0  # seconds the shared connection stays open without a watcher

T = TypeVar("T")
logger = logging.getLogger(__name__)


class _Publisher:
    """One connection per process: it must not be shared with a forked child."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.silent_until = 0.0
        self.client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1, retry=Retry(NoBackoff(), 1), client_name="slipway-publish"
        )


_publisher: _Publisher | None = None


def publish(channel: str, kind: str) -> None:
    """Tell whoever watches the channel. Never raises, and never waits long: pages find out by themselves."""
    global _publisher
    if _publisher is None or _publisher.pid != os.getpid():
        _publisher = _Publisher()
    if time.monotonic() < _publisher.silent_until:
        return
    try:
        _publisher.client.publish(_PREFIX + channel, kind)
    except (redis.RedisError, OSError) as error:
        _publisher.silent_until = time.monotonic() + _PAUSE
        logger.info("Redis does not answer (%s); pages look for changes by themselves.", error)


async def watch(*channels: str, idle: float = 15) -> AsyncGenerator[str | None, None]:
    """What happens on the channels, until the consumer stops asking.

    Yields None at once: by then nothing more is missed, so look at the database now. After that a kind whenever one
    was told (several of one kind while the consumer was busy are told once), and None after `idle` seconds without,
    or every second while Redis is away: look at the database then too.
    """
    hub = _hub()
    watcher = hub.enter(channels)
    try:
        yield None
        while True:
            async for kind in watcher.told(idle):
                yield kind
    finally:
        hub.leave(watcher)


async def together(key: Hashable, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `look` finds, asked once for all who were told of the same change. For those who were told a kind, not None.

    A look that began after the last message shows whatever any message before it was about.
    """
    looks = _hub().looks
    if key not in looks:
        looks[key] = asyncio.ensure_future(look())
    return cast(T, await asyncio.shield(looks[key]))


class _Watcher:
    def __init__(self, hub: "_Hub", channels: tuple[str, ...]) -> None:
        self.channels = channels
        self._hub = hub
        self._kinds: dict[str | None, None] = {}  # in the order in which they were told, each once
        self._event = asyncio.Event()

    def tell(self, kind: str | None) -> None:
        self._kinds[kind] = None
        self._event.set()

    async def told(self, idle: float) -> AsyncIterator[str | None]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), idle if self._hub.connected else min(idle, _TICK))
        self._event.clear()
        kinds, self._kinds = self._kinds, {}
        for kind in kinds or (None,):
            yield kind


class _Hub:
    """All watchers of one event loop behind one Redis connection, which hears every channel."""

    def __init__(self) -> None:
        self.connected = False
        self.looks: dict[Hashable, asyncio.Future[Any]] = {}  # those that began since the last message
        self._watchers: dict[str, set[_Watcher]] = {}
        self._listener: asyncio.Task[None] | None = None

    def enter(self, channels: tuple[str, ...]) -> _Watcher:
        watcher = _Watcher(self, channels)
        for channel in channels:
            self._watchers.setdefault(channel, set()).add(watcher)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        return watcher

    def leave(self, watcher: _Watcher) -> None:
        for channel in watcher.channels:
            watchers = self._watchers.get(channel, set())
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(channel, None)

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
                if not self._watchers:  # else somebody came while the connection was being closed
                    return
            except (redis.RedisError, OSError) as error:
                if self.connected:
                    logger.info("The connection to Redis is gone: %s", error)
            finally:
                self.connected = False
            await asyncio.sleep(_TICK / 2)

    async def _hear(self) -> None:
        """Pass messages on until the connection breaks, or until nobody has watched for a while."""
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, decode_responses=True, retry=AsyncRetry(NoBackoff(), 0), client_name="slipway-watch"
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.psubscribe(_PREFIX + "*")
            while True:
                message = await pubsub.get_message(timeout=_LINGER)
                if message is None:
                    if not self._watchers:
                        return
                    await pubsub.ping()
                elif message["type"] == "psubscribe":
                    self.connected = True
                    self._tell_all()
                elif message["type"] == "pmessage":
                    self.looks = {}
                    channel = message["channel"].removeprefix(_PREFIX)
                    for watcher in tuple(self._watchers.get(channel, ())):
                        watcher.tell(message["data"])

    def _tell_all(self) -> None:
        """Whatever was told while there was no connection is in the database: let everybody look."""
        for watcher in {watcher for watchers in self._watchers.values() for watcher in watchers}:
            watcher.tell(None)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub]" = WeakKeyDictionary()


def _hub() -> _Hub:
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = _Hub()
    return _hubs[loop]
