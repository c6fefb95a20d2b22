"""A window of an activity's log as HTML. Page, stream and "earlier lines" all come from `render`.

Lines are numbered from 1 over the whole log; a chunk knows the number of its first. A window is given in lines because
one chunk may hold thousands of short ones.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from html import escape

from django.db.models.functions import Length
from django.utils.safestring import SafeString, mark_safe

from deployments import ansi
from deployments.models import Activity, LogChunk

WINDOW = 1000  # lines of a page
_MOST_CHARACTERS = 512 * 1024  # before and after the line that a page is about, as lines may be long
MOST_FOUND = 500


@dataclass(frozen=True)
class Window:
    html: SafeString
    first: int  # number of the first line shown; 1 when the log is empty
    last: int  # of the last line shown; 0 when the log is empty
    total: int
    chunk: int  # number of the log's last chunk: a stream goes on after it

    @property
    def reaches_end(self) -> bool:
        return self.last >= self.total


def render(chunk: LogChunk, first: int = 1, last: int | None = None) -> str:
    """The chunk's lines from `first` to `last`, as one element."""
    at = chunk.at.astimezone(UTC).strftime("%H:%M:%S")
    shown = [
        f'<p id="L{number}"><a class="n" href="?line={number}#L{number}">{number}</a>'
        f'<span class="t" data-at="{at}">{html}</span></p>'
        for number, html in enumerate(ansi.lines(chunk.text), chunk.first_line)
        if number >= first and (last is None or number <= last)
    ]
    return f'<div class="chunk">{"".join(shown)}</div>' if shown else ""


def window(activity: Activity, *, around: int | None = None, before: int | None = None) -> Window:
    """The last lines; or those around a line; or those that come before one."""
    newest = LogChunk.objects.filter(activity=activity).order_by("-number").first()
    if newest is None:
        return Window(mark_safe(""), 1, 0, 0, 0)
    total = newest.first_line + newest.text.count("\n") - 1
    first, last = _bounds(total, around, before)
    chunks = LogChunk.objects.filter(activity=activity, first_line__lte=last).order_by("number")
    start = chunks.filter(first_line__lte=first).order_by("-number").values("number")[:1]
    sizes = chunks.filter(number__gte=start).values_list("first_line", Length("text"))
    first, last = _within(list(sizes), first, last, last if around is None else min(around, last))
    html = "".join(render(chunk, first, last) for chunk in chunks.filter(number__gte=start, first_line__lte=last))
    return Window(mark_safe(html), first, last, total, newest.number)  # noqa: S308 - render escapes


def _within(sizes: list[tuple[int, int]], first: int, last: int, anchor: int) -> tuple[int, int]:
    """The window cut to the chunks about the anchor line that a page may hold, the anchor's own always among them.

    `sizes` has each chunk's first line and its length in characters.
    """
    total, begin = 0, first
    for line, size in reversed([each for each in sizes if each[0] <= anchor]):
        if total and total + size > _MOST_CHARACTERS:
            first = max(first, begin)
            break
        total, begin = total + size, line
    total = 0
    for line, size in [each for each in sizes if each[0] > anchor]:
        total += size
        if total > _MOST_CHARACTERS:
            last = min(last, line - 1)
            break
    return first, last


def _bounds(total: int, around: int | None, before: int | None) -> tuple[int, int]:
    if before is not None:
        last = max(1, min(before - 1, total))
        return max(1, last - WINDOW + 1), last
    if around is not None and around <= total:
        first = max(1, around - WINDOW // 2)
        return first, min(total, first + WINDOW - 1)
    return max(1, total - WINDOW + 1), total


def chunks_html(chunks: Iterable[LogChunk]) -> str:
    return "".join(render(chunk) for chunk in chunks)


def tail(activity: Activity, lines: int = 12) -> SafeString:
    """The last lines that say something, without numbers: what a failure shows first."""
    collected: list[str] = []
    for chunk in LogChunk.objects.filter(activity=activity).order_by("-number")[:3]:
        raw = chunk.text.removesuffix("\n").split("\n")
        html = [line for line, text in zip(ansi.lines(chunk.text), raw, strict=True) if text.strip()]
        collected = html[-(lines - len(collected)) :] + collected
        if len(collected) >= lines:
            break
    return mark_safe("".join(f"<p>{line}</p>" for line in collected))  # noqa: S308 - ansi.lines escapes


@dataclass(frozen=True)
class Found:
    html: SafeString
    count: int
    more: bool


def search(activity: Activity, words: str) -> Found:
    """The lines that hold the words, over the whole log, colours left aside."""
    pattern = re.compile(re.escape(words), re.IGNORECASE)
    hits: list[str] = []
    for chunk in LogChunk.objects.filter(activity=activity).order_by("number").iterator(chunk_size=50):
        for number, line in enumerate(chunk.text.removesuffix("\n").split("\n"), chunk.first_line):
            text = ansi.stripped(line)
            if not pattern.search(text):
                continue
            if len(hits) == MOST_FOUND:
                return Found(mark_safe("".join(hits)), len(hits), more=True)  # noqa: S308 - marked escapes
            hits.append(
                f'<p><a class="n" href="?line={number}#L{number}">{number}</a>'
                f'<span class="t">{marked(text, pattern)}</span></p>'
            )
    return Found(mark_safe("".join(hits)), len(hits), more=False)  # noqa: S308 - marked escapes


def marked(text: str, pattern: re.Pattern[str]) -> str:
    shown, position = [], 0
    for match in pattern.finditer(text):
        shown += [ansi.reveal(text[position : match.start()]), f"<mark>{escape(match[0])}</mark>"]
        position = match.end()
    return "".join([*shown, ansi.reveal(text[position:])])
