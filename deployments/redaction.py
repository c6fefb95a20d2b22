"""Finding secrets in text, in every form a program is likely to print them in, and putting `[secret]` there. Pure."""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MARK = "[secret]"
_SHORTEST = 6  # shorter values are words like "main": hiding them would garble the log and protect nothing
_HELD = 6  # this much of a secret at the end of what was fed makes us wait for the rest


class Redactor:
    """Knows an activity's secrets. Feed it text piece by piece; a secret that is split over two pieces is found too."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0
        self._seen = ""  # the end of what was already given out, as it was before redaction
        self._waiting = ""
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        if forms <= self._forms:
            return
        self._forms |= forms
        ordered = sorted(self._forms, key=len, reverse=True)
        # Encoders wrap their lines: a form also matches with line ends in it.
        self._pattern = re.compile("|".join(r"\r?\n?".join(map(re.escape, form)) for form in ordered))
        self._longest = len(ordered[0])

    def text(self, value: str) -> str:
        """The whole of a text at once."""
        if self._pattern is None or not self._suspicious(value):
            return value
        return self._pattern.sub(MARK, value)

    def feed(self, piece: str) -> str:
        """What can be given out by now; the rest follows with the next piece or `finish`."""
        return self._give(self._waiting + piece, hold=True)

    def finish(self) -> str:
        return self._give(self._waiting, hold=False)

    def _give(self, text: str, *, hold: bool) -> str:
        if self._pattern is None:
            self._waiting = ""
            return text
        kept = len(text) - (self._beginning_of_a_secret(text) if hold else 0)
        whole = self._seen + text
        start, end = len(self._seen), len(self._seen) + kept
        given = whole[start:end]
        if self._suspicious(whole[:end]):
            given = "".join(self._replaced(whole, start, end))
        self._waiting = text[kept:]
        self._seen = whole[:end][-2 * self._longest :]
        return given

    def _replaced(self, whole: str, start: int, end: int) -> Iterator[str]:
        assert self._pattern is not None
        at = start
        for match in self._pattern.finditer(whole, 0, end):
            if match.end() <= start:
                continue
            yield whole[at : max(match.start(), at)]
            yield MARK
            at = match.end()
        yield whole[at:end]

    def _suspicious(self, text: str) -> bool:
        """Quick test: `in` is many times faster than the pattern, and most text holds no secret."""
        flat = text.replace("\r", "").replace("\n", "")
        return any(form in flat for form in self._forms)

    def _beginning_of_a_secret(self, text: str) -> int:
        """Length of the longest end of `text` that may be the beginning of a secret, 0 when there is none."""
        tail = text[-2 * self._longest :]
        flat = tail.replace("\r", "").replace("\n", "")
        longest = 0
        for form in self._forms:
            for length in range(min(len(form) - 1, len(flat)), max(longest, _HELD - 1), -1):
                if flat.endswith(form[:length]):
                    longest = length
                    break
        if not longest:
            return 0
        counted = 0
        for index in range(len(tail) - 1, -1, -1):
            counted += tail[index] not in "\r\n"
            if counted == longest:
                return len(tail) - index
        return 0


def _forms(secret: str) -> Iterator[str]:
    # Of a key of several lines each line is a secret, for it is printed line by line.
    parts = [secret, *(line.strip() for line in secret.splitlines())] if "\n" in secret.strip() else [secret]
    for part in {part.strip() for part in parts}:
        if len(part) < _SHORTEST or part.startswith("-----"):
            continue
        yield part.replace("\r", "").replace("\n", "")
        for form in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], shlex.quote(part).strip("'")):
            yield form.replace("\n", "")
        yield from {quote(part, safe=""), quote(part), quote_plus(part)}
        yield from _base64_forms(part.encode())


def _base64_forms(secret: bytes) -> Iterator[str]:
    """What every base64 text holds in which the secret lies, whichever of the three alignments it has there."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + secret).decode().rstrip("=")
            spoiled_behind = 0 if (before + len(secret)) % 3 == 0 else 1
            sure = text[(0, 2, 3)[before] : len(text) - spoiled_behind]
            if len(sure) >= _SHORTEST:
                yield sure
