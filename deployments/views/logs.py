"""The logs of an environment's programs: the end of a file at once, what follows live, and what holds some words.

Files are read in threads of their own, for a moment each time: a viewer costs none while nothing is written.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET

from deployments import ansi
from deployments.log_lines import clean, shorten
from deployments.pipeline import confidential, specs
from deployments.redaction import Redactor
from deployments.views import frame, log_view, streams
from deployments.views.log_view import Found
from environments import access, log_files, runtimes
from environments.log_files import LogFile, Piece, Position
from environments.models import Environment
from portal.errors import Missing
from portal.models import User
from portal.requests import person

EVERY = 1.0  # seconds between two looks at a file that somebody watches
_SECRETS_FOR = 30.0  # seconds that an environment's secrets are known for
_KINDS = {
    "access": (0, "Requests"),
    "error": (1, "Web server errors"),
    "app": (2, ""),
    "php": (3, "php-fpm"),
    "deploy": (4, "deploy hook"),
    "post_deploy": (5, "post-deploy hook"),
    "cron": (6, "crons"),
    "service": (8, "service"),
    "network": (10, "Network"),
    "mail": (10, "Mail"),
}

_readers = ThreadPoolExecutor(4, thread_name_prefix="log-files")
_redactors: dict[int, tuple[float, Redactor]] = {}
T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    """One file, as the page offers it."""

    file: LogFile
    label: str
    url: str
    here: bool


@dataclass(frozen=True)
class Window:
    html: SafeString
    first: int  # offset of its first line; 1 where nothing comes before
    position: Position | None

    @property
    def total(self) -> int:
        return len(self.html)


@login_required
@require_GET
def environment_logs(request: HttpRequest, project_id: str, name: str, file: str = "") -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    shown = node.environment
    folder = folder_of(shown)
    files = sorted(log_files.listed(folder), key=_order)
    file = file or next((each.name for each in files if each.kind == "app"), files[0].name if files else "")
    here = next((each for each in files if each.name == file), None)
    if here is None and file:
        raise Missing("There is no such log.")
    words = request.GET.get("find", "").strip()[:200]
    line = _offset(request.GET.get("line"))
    window = _window(shown, folder, file, line)
    stream = reverse("environment_log_stream", args=[project_id, name, file]) if here and line is None else ""
    return frame.environment_page(
        request,
        "environments/logs.html",
        framed,
        node,
        frame.Crumb("Logs"),
        tab="environment_logs",
        files=[Choice(each, label(each), _url(shown, each.name), each.name == file) for each in files],
        file=here,
        label=label(here) if here else "",
        log=window,
        log_url=reverse("environment_log", args=[project_id, name, file]) if here else "",
        words=words,
        found=search(shown, folder, file, words) if words and here else None,
        **({"stream_url": f"{stream}?after={window.position}"} if stream and window.position else {}),
    )


@login_required
@require_GET
def environment_log(request: HttpRequest, project_id: str, name: str, file: str) -> HttpResponse:
    """Fragments: the lines before one (`?before=`, an offset), or those that hold some words (`?find=`)."""
    shown = access.find(person(request), project_id, name)
    folder = folder_of(shown)
    words = request.GET.get("find", "").strip()[:200]
    if "find" in request.GET:
        found = search(shown, folder, file, words) if words else None
        return render(request, "deployments/_log_found.html", {"found": found, "words": words})
    piece = log_files.before(folder, file, _offset(request.GET.get("before")) or 0)
    log = _shown(shown, piece)
    log_url = reverse("environment_log", args=[project_id, name, file])
    return render(request, "deployments/_log_earlier.html", {"log": log, "log_url": log_url})


@require_GET
async def environment_log_raw(request: HttpRequest, project_id: str, name: str, file: str) -> HttpResponseBase:
    """All that is kept of the file, without secrets."""
    reader = await streams.reader_of(request)
    if reader is None:
        return HttpResponse("Sign in first.", status=403, content_type="text/plain")
    shown = await streams.database(access.find)(reader.user, project_id, name)
    folder = folder_of(shown)
    if file not in [each.name for each in await _in_thread(log_files.listed, folder)]:
        raise Missing("There is no such log.")
    redactor = await streams.database(redactor_of)(shown)
    response = StreamingHttpResponse(_raw(folder, file, redactor), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{shown.machine_name}.{file}.log"'
    response["Cache-Control"] = "no-store"
    return response


async def _raw(folder: Path, file: str, redactor: Redactor) -> AsyncIterator[bytes]:
    pieces = log_files.pieces(folder, file)
    while (data := await _in_thread(next, pieces, b"")) != b"":
        yield redactor.text(data.decode("utf-8", "replace")).encode()


@require_GET
async def environment_log_stream(request: HttpRequest, project_id: str, name: str, file: str) -> HttpResponseBase:
    """The lines after the last that the page has (Last-Event-ID or ?after=), as they come."""
    reader = await streams.reader_of(request)
    if reader is None:
        return HttpResponse(status=204)
    look = partial(_look, project_id=project_id, name=name)
    shown = await streams.database(look)(reader.user)
    known = [request.headers.get("Last-Event-ID", ""), request.GET.get("after", "")]
    after = next((found for found in map(Position.parse, known) if found), None)
    return streams.respond(reader, _events(reader, look, shown, file, after))


def _look(user: User, project_id: str, name: str) -> Environment:
    return access.find(user, project_id, name)


async def _events(
    reader: streams.Reader,
    look: Callable[[User], object],
    environment: Environment,
    file: str,
    after: Position | None,
) -> AsyncGenerator[str, None]:
    folder = folder_of(environment)
    said = time.monotonic()
    async for kind in streams.told(reader, look, f"project:{environment.project_id}", idle=EVERY):
        if kind in ("activity", "environment"):
            said = time.monotonic()
            yield streams.event(kind, "")
        while True:
            piece = await _in_thread(_next, folder, file, after)
            if piece is None or piece.end == after:
                break
            after, said = piece.end, time.monotonic()
            redactor = await streams.database(redactor_of)(environment)
            yield streams.event("log", await _in_thread(_html, piece, redactor), str(after))
        if time.monotonic() - said >= streams.HEARTBEAT:
            said = time.monotonic()
            yield ": still here\n\n"
    yield streams.event("end", "")


def _next(folder: Path, file: str, after: Position | None) -> Piece | None:
    return log_files.following(folder, file, after) if after else log_files.tail(folder, file)


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_readers, function, *arguments)


def folder_of(environment: Environment) -> Path:
    return runtimes.get().logs(specs.place_of(environment))


def redactor_of(environment: Environment) -> Redactor:
    now = time.monotonic()
    known = _redactors.get(environment.pk)
    if known is None or now - known[0] > _SECRETS_FOR:
        for key in [key for key, (at, _) in _redactors.items() if now - at > _SECRETS_FOR]:
            _redactors.pop(key, None)
        known = _redactors[environment.pk] = (now, confidential.redactor_of(environment))
    return known[1]


def label(file: LogFile) -> str:
    """As in "app: crons"; a worker's program is called "app--worker"."""
    words = _KINDS.get(file.kind, (9, file.kind))[1]
    if not file.program:
        return words
    return f"{file.program}: {words}" if words else file.program


def _order(file: LogFile) -> tuple[int, str]:
    return _KINDS.get(file.kind, (9, ""))[0], file.name


def _window(environment: Environment, folder: Path, file: str, line: int | None) -> Window:
    if line is not None:
        return _shown(environment, log_files.before(folder, file, line + log_files.PIECE))
    return _shown(environment, log_files.tail(folder, file))


def _shown(environment: Environment, piece: Piece | None) -> Window:
    if piece is None:
        return Window(mark_safe(""), 1, None)
    html = _html(piece, redactor_of(environment), told=False)
    return Window(mark_safe(html), piece.first or 1, piece.end)  # noqa: S308 - _html escapes


def _html(piece: Piece, redactor: Redactor, *, told: bool = True) -> str:
    """The lines as one element. Each is known by its offset in the file."""
    notes = []
    if told and piece.rotated:
        notes.append("The file was rotated: a new one begins.")
    if told and piece.skipped:
        notes.append(f"{piece.skipped:,} bytes that came too fast were left out here. The download has them.")
    shown = [f'<p class="log-note">{escape(note)}</p>' for note in notes]
    offset = piece.first
    raw = piece.text.removesuffix(b"\n").split(b"\n") if piece.text else []
    # Each line with its end, so that empty ones at the end count too.
    for line, html in zip(raw, ansi.lines(_text(raw, redactor) + "\n") if raw else (), strict=True):
        shown.append(f'<p id="L{offset}"><span class="t">{html}</span></p>')
        offset += len(line) + 1
    return f'<div class="chunk">{"".join(shown)}</div>' if shown else ""


def _text(raw: list[bytes], redactor: Redactor) -> str:
    """As many lines as there were, without secrets and without what would do something to a terminal."""
    text = redactor.text("\n".join(line.decode("utf-8", "replace").replace("\r", " ").rstrip() for line in raw))
    lines = [shorten(clean(line)) for line in text.split("\n")]
    return "\n".join([*lines, *[""] * (len(raw) - len(lines))][: len(raw)])


def search(environment: Environment, folder: Path, file: str, words: str) -> Found:
    """The last lines that hold the words, of the file's last megabytes."""
    pattern = re.compile(re.escape(words), re.IGNORECASE)
    piece = log_files.tail(folder, file, log_files.SEARCHED)
    hits: list[str] = []
    text = redactor_of(environment).text(piece.text.decode("utf-8", "replace")) if piece else ""
    for line in reversed(text.splitlines()):
        plain = ansi.stripped(shorten(line))
        if not pattern.search(plain):
            continue
        if len(hits) == log_view.MOST_FOUND:
            break
        hits.append(f'<p><span class="t">{log_view.marked(plain, pattern)}</span></p>')
    more = len(hits) == log_view.MOST_FOUND
    return Found(mark_safe("".join(reversed(hits))), len(hits), more=more)  # noqa: S308 - marked escapes


def _offset(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else None


def _url(environment: Environment, file: str) -> str:
    return reverse("environment_logs", args=[environment.project_id, environment.name, file])
