"""Raw output of a program -> whole, harmless lines of text. Pure; its memory does not grow with the input.

Kept: text, tabs, SGR sequences (colours). Removed: every other control sequence (cursor, title, OSC 8 links) and
control character. Carriage returns draw over the line as on a terminal: its last state stays. Characters that change
the direction of text are shown by their number, so that a line cannot pretend to be another.
"""

import codecs
import re

LINE_MAX = 16 * 1024  # characters kept of one line
_SPARE = 4 * 1024  # kept besides until the line is redacted, so that no half secret stays at the cut

_SGR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = re.compile(
    "(?P<keep>" + _SGR + ")"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: title, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]?|\x9b[0-?]*[ -/]*[@-~]?"  # CSI: cursor, erase
    r"|\x1b[ -/]*[0-~]?"  # two-character escapes
)
_DROPPED = {code: None for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (0x09, 0x1B)}
_SHOWN = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, 0xFEFF]
_TRANSLATION = _DROPPED | {code: f"<U+{code:04X}>" for code in _SHOWN}


class Lines:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial = ""
        self._cut = 0  # characters of the present line that were let go

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their line ends."""
        *ended, rest = self._decoder.decode(data).split("\n")
        lines = []
        for piece in ended:
            self._extend(piece)
            lines.append(self._take())
        self._extend(rest)
        return lines

    def finish(self) -> list[str]:
        """The last line, when it has no line end."""
        self._extend(self._decoder.decode(b"", final=True))
        return [self._take()] if self._partial or self._cut else []

    def _extend(self, piece: str) -> None:
        drawn_over = piece.rfind("\r", 0, len(piece) - 1)  # one at the very end may belong to a line end
        if drawn_over >= 0 or self._partial.endswith("\r"):
            if piece:
                self._partial, self._cut = "", 0
            piece = piece[drawn_over + 1 :]
        room = LINE_MAX + _SPARE - len(self._partial)
        self._cut += max(0, len(piece) - room)
        self._partial += piece[:room]

    def _take(self) -> str:
        line, cut = self._partial, self._cut
        self._partial, self._cut = "", 0
        line = clean(line.removesuffix("\r"))
        return line + f" [{cut:,} more characters in this line were not kept]" if cut else line


def clean(line: str) -> str:
    return _SEQUENCE.sub(lambda match: match["keep"] or "", line).translate(_TRANSLATION)


def shorten(line: str) -> str:
    """The line, cut at LINE_MAX with a note. Applied after redaction."""
    if len(line) <= LINE_MAX + 100:
        return line
    note = re.search(r" \[[0-9,]+ more characters in this line were not kept\]\Z", line)
    return line[:LINE_MAX] + (note[0] if note else " [the rest of this line was not kept]")
