"""The ssh process: Git for people with keys, the answers to Git's hooks, and what is answered inside environments."""

import asyncio
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from deployments import inside
from deployments.ssh import server


class Command(BaseCommand):
    help = "Serve Git over SSH on SLIPWAY_SSH_PORT until told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="", help="address to listen at; all when it is not given")
        parser.add_argument("--port", type=int, default=settings.SLIPWAY_SSH_PORT)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        try:
            asyncio.run(_serve(host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandError(f"Port {port} cannot be listened at: {reason}.") from error


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    attending = asyncio.create_task(inside.attend())
    try:
        await server.serve(stop, host=host, port=port)
    finally:
        attending.cancel()
