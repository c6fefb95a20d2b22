"""What templates need besides Django's own: icons, times, durations, and text from strangers made safe to read."""

from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlencode

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import lucide

from deployments.ansi import reveal

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@lru_cache(maxsize=256)
def _icon(name: str, size: int) -> str:
    return lucide(name, size=size, aria_hidden="true")


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """A decorative icon; the words stand beside it."""
    return mark_safe(_icon(str(name), size))  # noqa: S308 - our own package's SVG, names from templates only


def relative(seconds: float) -> str:
    """How long ago, as people say it: "now", "12 min", "3 h", "2 d"."""
    if seconds < 45:
        return "now"
    if seconds < 45 * _MINUTE:
        return f"{max(1, round(seconds / _MINUTE))} min"
    if seconds < 36 * _HOUR:
        return f"{max(1, round(seconds / _HOUR))} h"
    return f"{round(seconds / _DAY)} d"


@register.filter
def ago(value: datetime | None, style: str = "") -> SafeString | str:
    """A `<time>` with the relative time in it and the exact instant on hover; style "long" says "12 min ago",
    "span" how long it has been so."""
    if value is None:
        return ""
    words = relative((timezone.now() - value).total_seconds())
    if style == "long":
        words = "just now" if words == "now" else f"{words} ago"
    elif style == "span":
        words = "a moment" if words == "now" else words
    exact = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-style="{}">{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%-d %B %Y, %H:%M:%S UTC"),
        style or "short",
        words,
    )


@register.filter
def until(value: datetime) -> SafeString:
    """A `<time>` that says how long something is ahead: "in 20 min", with the exact instant on hover."""
    left = (value - timezone.now()).total_seconds()
    words = "within a minute" if left < 60 else f"in {relative(left)}"
    exact = value.astimezone(UTC)
    said = exact.strftime("%-d %B %Y, %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', exact.isoformat(timespec="seconds"), said, words)


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as people read them: "0.2 s", "34 s", "2 min 5 s", "1 h 10 min"."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, _HOUR)
    return f"{hours} h {rest // _MINUTE} min" if rest >= _MINUTE else f"{hours} h"


@register.filter
def plain(text: object) -> SafeString:
    """Strangers' text (commits, branches, file names): escaped, with controls and bidi overrides made visible."""
    return mark_safe(reveal(str(text if text is not None else "")))  # noqa: S308 - reveal escapes


@register.filter
def short(commit: str) -> str:
    return (commit or "")[:7]


@register.filter
def short_slug(slug: str) -> str:
    """ "<project>-<app>-<tree>-<configuration>" as "<app>-<tree>", the hash cut as Git does."""
    project_and_app, _, rest = slug.rpartition("-")[0].rpartition("-")
    app = project_and_app.partition("-")[2]
    return f"{app}-{rest[:7]}" if app else slug


@register.filter
def plural(count: int, forms: str) -> str:
    """`3|plural:"commit,commits"` is "3 commits"."""
    one, many = forms.split(",")
    return f"{count:,} {one if count == 1 else many}"


@register.simple_tag
def query(**parameters: object) -> str:
    """A query string of what is not empty."""
    kept = {key: value for key, value in parameters.items() if value not in (None, "")}
    return "?" + urlencode(kept) if kept else "?"
