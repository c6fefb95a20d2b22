"""The SMTP server inside one environment. Which environment a message is of is known by the socket that it came to."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, syntax
from asgiref.sync import sync_to_async
from django.conf import settings

from deployments.mail import store
from deployments.mail.store import Envelope, Refused

_MOST_CONNECTIONS = 32  # of one environment at once
_MOST_RECIPIENTS = 1000
_LONGEST_ADDRESS = 254
_RATE, _BURST = 25.0, 500.0  # messages a second, and how many may come at once
_PIECE = 256 * 1024  # bytes that are held in memory before they are written
_TIMEOUT = 300.0
_LINE = 64 * 1024
_LATER = "451 4.3.0 The message could not be taken; try again later"

logger = logging.getLogger(__name__)


class Box:
    """What all connections of one environment share."""

    def __init__(self, environment_pk: int, *, kept: Callable[[], None] = lambda: None) -> None:
        self.environment_pk = environment_pk
        self.connections = 0
        self.kept = kept
        self._tokens, self._at = _BURST, time.monotonic()

    def connect(self) -> asyncio.Protocol:
        return _Busy() if self.connections >= _MOST_CONNECTIONS else Catcher(self)

    def take(self) -> None:
        """Raises Refused when too many messages came lately."""
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._at) * _RATE)
        self._at = now
        if self._tokens < 1:
            raise Refused("451 4.7.1 Too many messages at once; try again in a moment")
        self._tokens -= 1

    # -- aiosmtpd's hooks

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not _is_address(address or "x@y"):
            return "553 5.1.7 That is not an address"
        envelope.mail_from, envelope.mail_options = address or "", options
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not _is_address(address):
            return "553 5.1.3 That is not an address"
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return f"452 4.5.3 One message may have {_MOST_RECIPIENTS} recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        logger.error("A message of environment %s was not taken", self.environment_pk, exc_info=error)
        return _LATER


class Catcher(SMTP):
    """One connection. A message goes to the disk as it comes, whatever its lines look like."""

    line_length_limit = _LINE

    def __init__(self, box: Box) -> None:
        self._box = box
        super().__init__(
            box,
            data_size_limit=settings.MAIL_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="slipway",
            ident="Slipway",
            timeout=_TIMEOUT,
            # Whoever can connect is an app of this environment: what it is told to sign in with does not matter.
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._box.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._box.connections -= 1
        super().connection_lost(error)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos or arg:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Error: need RCPT command")
            return
        path: Path | None = None
        try:
            self._box.take()
            path = await sync_to_async(store.begin)(self._box.environment_pk)
            with contextlib.closing(_create(path)) as file:  # not in a thread: who leaves meanwhile would leave a file
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                size = await self._write(file)
            answer = await self._keep(path, size)
        except Refused as refusal:
            answer = str(refusal)
        except OSError as error:
            logger.warning("A message of environment %s was not taken: %s", self._box.environment_pk, error)
            answer = _LATER
        finally:
            if path is not None:
                path.unlink(missing_ok=True)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(answer)

    async def _keep(self, path: Path, size: int) -> str:
        assert self.envelope is not None
        if size > settings.MAIL_MAX_BYTES:
            return f"552 5.3.4 The message takes {size} bytes; {settings.MAIL_MAX_BYTES} are the most"
        envelope = Envelope(self.envelope.mail_from or "", list(self.envelope.rcpt_tos))
        keeping = asyncio.ensure_future(sync_to_async(store.keep)(self._box.environment_pk, envelope, path))
        try:
            message = await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait([keeping])  # the file is in its hands
            raise
        finally:
            self._box.kept()
        return f"250 2.0.0 Taken as {message.pk}"

    async def _write(self, file: BufferedWriter) -> int:
        """Everything until the lone dot; returns its size. What is beyond the limit is read and dropped."""
        size, held, begins, failed = 0, bytearray(), True, None
        while True:
            piece, whole = await self._piece()
            if begins and piece == b".\r\n":
                break
            if begins and piece.startswith(b"."):
                piece = piece[1:]
            begins = whole
            size += len(piece)
            if size <= settings.MAIL_MAX_BYTES and failed is None:
                held += piece
            if len(held) > _PIECE:
                try:
                    await asyncio.to_thread(file.write, bytes(held))
                except OSError as error:  # the rest is read all the same, or it would be taken for commands
                    failed = error
                held.clear()
        if failed is not None:
            raise failed
        await asyncio.to_thread(file.write, bytes(held))
        return size

    async def _piece(self) -> tuple[bytes, bool]:
        """A line, or a part of one that is longer than is held at once; and whether it ends there."""
        self._reset_timeout()
        try:
            return await self._reader.readuntil(b"\r\n"), True
        except asyncio.LimitOverrunError as error:
            return await self._reader.read(error.consumed), False


class _Busy(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"421 4.7.0 Too many connections; try again in a moment\r\n")
        transport.close()


def _create(path: Path) -> BufferedWriter:
    path.touch(mode=0o600)
    return path.open("wb")


def _is_address(text: str) -> bool:
    return len(text) <= _LONGEST_ADDRESS and text.isprintable() and not any(letter in text for letter in " <>\\")
