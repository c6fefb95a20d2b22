"""What the portal answers inside environments that have networks of their own, where its doors outside cannot be seen.

One task of the ssh process looks again and again which environments run, and listens in each: at the port at which
sites are served, so that an app can call its own URL, and where mail is handed over. Connections that come before
somebody listens wait.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from asgiref.sync import sync_to_async
from django.conf import settings

from deployments.mail import sending
from deployments.mail.server import Box
from deployments.models import Release
from deployments.pipeline.specs import place_of
from environments import runtimes
from environments.models import Environment
from environments.runtimes.base import Place

_LOOK_SECONDS = 1.0
_MOST = 128  # connections of one environment at once
_CHUNK = 64 * 1024
_IDLE_SECONDS = 600
# Where the edge sees them come from: never an address that is trusted to name somebody else's.
_SOURCE = "127.63.0.80"

logger = logging.getLogger(__name__)
Stream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Open:
    """What is listened at in one environment."""

    network: str
    servers: list[asyncio.Server] = field(default_factory=list)

    def close(self) -> None:
        for server in self.servers:
            server.close()


async def attend() -> None:
    """Until cancelled."""
    opened: dict[int, Open] = {}
    wake = asyncio.Event()
    sender = asyncio.create_task(sending.attend(wake))
    try:
        while True:
            try:
                await _look(opened, wake)
            except Exception:
                logger.exception("It could not be looked which environments run")
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        sender.cancel()
        for each in opened.values():
            each.close()


async def _look(opened: dict[int, Open], wake: asyncio.Event) -> None:
    running = await sync_to_async(_running)()
    for key in set(opened) - set(running):
        opened.pop(key).close()
    for key, (place, network) in running.items():
        if key in opened and opened[key].network == network:
            continue
        if key in opened:
            opened.pop(key).close()
        if network:
            with contextlib.suppress(OSError):  # it was lost this moment: the next look finds another one
                opened[key] = await _open(place, network, wake)


def _running() -> dict[int, tuple[Place, str]]:
    """By key of the environment. Those that are only about to serve count: their hooks may call anybody."""
    runtime = runtimes.get()
    states = [Release.State.STARTING, Release.State.LIVE]
    found = Environment.objects.filter(releases__state__in=states, paused_at=None).distinct()
    return {environment.pk: (place_of(environment), runtime.network(place_of(environment))) for environment in found}


async def _open(place: Place, network: str, wake: asyncio.Event) -> Open:
    opened, runtime = Open(network), runtimes.get()
    try:
        listening = await asyncio.to_thread(runtime.listen, place, *runtime.mail(place))
        box = Box(place.key, kept=wake.set)
        opened.servers.append(await asyncio.get_running_loop().create_server(box.connect, sock=listening))
        # In a shared network the site's own port is seen as it is.
        for inside, outside in settings.NETWORK_RELAYS.items() if network != runtimes.SHARED else ():
            listening = await asyncio.to_thread(runtime.listen, place, runtimes.EVERYWHERE, inside)
            serve = _limited(partial(_relay, outside))
            opened.servers.append(await asyncio.start_server(serve, sock=listening))
    except BaseException:
        opened.close()
        raise
    return opened


def _limited(serve: Stream) -> Stream:
    places = asyncio.Semaphore(_MOST)

    async def limited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with places:
                await serve(reader, writer)
        except OSError:
            pass  # whoever connected is gone, or nobody is there to answer
        finally:
            writer.close()

    return limited


async def _relay(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    theirs, ours = await asyncio.open_connection("127.0.0.1", port, local_addr=(_SOURCE, 0))
    try:
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
    finally:
        ours.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while True:
        async with asyncio.timeout(_IDLE_SECONDS):
            data = await source.read(_CHUNK)
        if not data:
            break
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
