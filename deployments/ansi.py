"""Log text as HTML: ANSI colours become classes, everything else that a terminal would obey is dropped or shown.

Pure. The input is hostile: programs print what they like into a log. Out come escaped text and spans with class names
from the table below, nothing else. 256-colour and true-colour codes are reduced to the sixteen named colours, whose
values the style sheet picks per theme, so that no log can be unreadable on one of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

# One alternative per thing a terminal would act on. OSC, DCS, APC, PM and SOS run to their terminator; without one,
# only the introducer goes, so that nothing after it can be hidden.
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?:[\]PX^_]|[ -/]*[0-~])?"
    r"|[\x9d\x90\x98\x9e\x9f\x9b]"
)
# Characters that hide or reorder text. Joiners stay: scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


@dataclass(frozen=True)
class _Style:
    foreground: int | None = None
    background: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    inverse: bool = False

    def classes(self) -> str:
        names = [name[0] for name in ("bold", "dim", "italic", "underline", "strike") if getattr(self, name)]
        if self.inverse:
            names.append("v")
        if self.foreground is not None:
            names.append(f"f{self.foreground}")
        if self.background is not None:
            names.append(f"g{self.background}")
        return " ".join(names)


_PLAIN = _Style()
_SWITCHES: dict[int, dict[str, bool]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"inverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"inverse": False},
    29: {"strike": False},
}


def nearest(red: int, green: int, blue: int) -> int:
    """The one of the sixteen colours that says the same: by hue, or by lightness when there is hardly any."""
    high, low = max(red, green, blue), min(red, green, blue)
    if high - low < 40:
        return 0 if high < 64 else 8 if high < 150 else 7 if high < 225 else 15
    if high == red:
        hue = 60 * ((green - blue) / (high - low)) % 360
    elif high == green:
        hue = 60 * ((blue - red) / (high - low)) + 120
    else:
        hue = 60 * ((red - green) / (high - low)) + 240
    named = next((code for limit, code in _HUES if hue < limit), 1)
    return named + 8 if high + low > 330 else named


_HUES = ((25, 1), (75, 3), (160, 2), (205, 6), (265, 4), (335, 5))


def indexed(number: int) -> int | None:
    """One of xterm's 256 colours, reduced to sixteen."""
    if not 0 <= number <= 255:
        return None
    if number < 16:
        return number
    if number < 232:
        red, rest = divmod(number - 16, 36)
        levels = (0, 95, 135, 175, 215, 255)
        return nearest(levels[red], levels[rest // 6], levels[rest % 6])
    grey = 8 + (number - 232) * 10
    return nearest(grey, grey, grey)


def _extended(codes: Iterator[int]) -> int | None:
    """The colour after 38 or 48: `5;n` or `2;r;g;b`."""
    mode = next(codes, None)
    if mode == 5:
        return indexed(next(codes, -1))
    if mode == 2:
        rgb = [next(codes, -1) for _ in range(3)]
        return nearest(*rgb) if all(0 <= value <= 255 for value in rgb) else None
    return None


def _apply(style: _Style, parameters: str) -> _Style:
    codes = iter([int(code[:6]) if code.isdigit() else 0 for code in parameters.replace(":", ";").split(";")])
    for code in codes:
        if code == 0:
            style = _PLAIN
        elif code in _SWITCHES:
            style = replace(style, **_SWITCHES[code])
        elif code in (38, 48):
            colour = _extended(codes)
            style = replace(style, foreground=colour) if code == 38 else replace(style, background=colour)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, foreground=code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style = replace(style, background=code - 40 if code < 100 else code - 92)
        elif code == 39:
            style = replace(style, foreground=None)
        elif code == 49:
            style = replace(style, background=None)
    return style


def reveal(text: str) -> str:
    """Escaped text in which what hides or reorders is written out as its code point."""

    def name(match: re.Match[str]) -> str:
        return f'<span class="hidden-character">U+{ord(match[0]):04X}</span>'

    return _INVISIBLE.sub(name, escape(text))


def _overwritten(line: str) -> str:
    """What a terminal would leave of a line with carriage returns: progress bars write over themselves."""
    if "\r" not in line:
        return line
    return next((part for part in reversed(line.split("\r")) if part), "")


def _line(line: str, style: _Style) -> tuple[str, _Style]:
    pieces: list[str] = []
    position = 0

    def put(text: str) -> None:
        if text:
            classes = style.classes()
            shown = reveal(text)
            pieces.append(f'<span class="{classes}">{shown}</span>' if classes else shown)

    for match in _CONTROL.finditer(line):
        put(line[position : match.start()])
        position = match.end()
        if match["final"] == "m" and not (match["parameters"] or "").startswith(("<", "=", ">", "?")):
            style = _apply(style, match["parameters"])
    put(line[position:])
    return "".join(pieces), style


def lines(text: str) -> list[str]:
    """HTML of each line of a chunk of log. A colour goes on over line ends, as in a terminal, until the chunk ends."""
    style = _PLAIN
    shown: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        html, style = _line(_overwritten(line), style)
        shown.append(html)
    return shown


def stripped(text: str) -> str:
    """The text without any control sequence, for searching and for one-line summaries."""
    return _CONTROL.sub("", text)
