"""Takes one message apart. Stands alone: run as `python3 -IS take_apart.py MESSAGE FOLDER`.

A stranger wrote the message, so this is a process of its own with limits. Into FOLDER go its attachments, `part-0` and
so on, and last `read.json`: {"headers": [[name, value]], "text", "html", "attachments": [{"name", "type", "size"}],
"cut": whether anything was left out}.
"""

import base64
import contextlib
import email
import email.header
import email.message
import email.policy
import json
import os
import re
import resource
import sys

_CPU, _MEMORY = 10, 768 * 1024**2
_MOST_HEADERS, _MOST_PARTS = 200, 100
_LONGEST_HEADER, _LONGEST_TEXT = 8000, 512 * 1024
_LARGEST_INLINE, _ALL_INLINE = 512 * 1024, 2 * 1024**2
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_INLINE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def main(source: str, folder: str) -> None:
    for what, value in ((resource.RLIMIT_CPU, _CPU), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (value, value))
    with open(source, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.compat32)
    found = Apart(folder)
    try:
        found.take(message)
    except RecursionError:
        found.cut = True
    os.umask(0o077)
    temporary = os.path.join(folder, "read.new")
    with open(temporary, "w", encoding="utf-8", errors="replace") as file:
        json.dump(found.told(message), file)
    os.replace(temporary, os.path.join(folder, "read.json"))


class Apart:
    def __init__(self, folder: str) -> None:
        self.cut = False
        self._folder = folder
        self._texts: dict[str, str] = {}
        self._attachments: list[dict[str, object]] = []
        self._inline: dict[str, str] = {}
        self._inline_size = 0
        self._seen = 0

    def take(self, message: email.message.Message) -> None:
        for part in message.walk():
            self._seen += 1
            if self._seen > 10 * _MOST_PARTS:
                self.cut = True
                return
            if not part.is_multipart():
                self._leaf(part)

    def told(self, message: email.message.Message) -> dict[str, object]:
        headers = [[name[:100], _header(value)] for name, value in message.items()[:_MOST_HEADERS]]
        html = re.sub(
            r"(?i)cid:([^\"'\s>)]{1,200})", lambda m: self._inline.get(m[1], m[0]), self._texts.get("html", "")
        )
        return {
            "headers": headers,
            "text": self._texts.get("plain", ""),
            "html": html,
            "attachments": self._attachments,
            "cut": self.cut,
        }

    def _leaf(self, part: email.message.Message) -> None:
        kind, _, sub = part.get_content_type().partition("/")
        name = _name(part)
        attached = "attachment" in str(part.get("Content-Disposition", "")).lower()[:100] or bool(name)
        if kind == "text" and sub in ("plain", "html") and not attached and sub not in self._texts:
            self._texts[sub] = self._text(part)
            return
        if len(self._attachments) >= _MOST_PARTS:
            self.cut = True
            return
        content = _bytes(part)
        self._keep_inline(part, content)
        with open(os.path.join(self._folder, f"part-{len(self._attachments)}"), "wb") as file:
            file.write(content)
        self._attachments.append({"name": name, "type": part.get_content_type()[:100], "size": len(content)})

    def _keep_inline(self, part: email.message.Message, content: bytes) -> None:
        number = str(part.get("Content-ID", "")).strip().strip("<>")
        if not number or part.get_content_type() not in _INLINE_TYPES or len(content) > _LARGEST_INLINE:
            return
        self._inline_size += len(content)
        if self._inline_size <= _ALL_INLINE:
            self._inline[number] = f"data:{part.get_content_type()};base64,{base64.b64encode(content).decode()}"

    def _text(self, part: email.message.Message) -> str:
        content = _bytes(part)
        try:
            text = content.decode(str(part.get_content_charset() or "utf-8"), "replace")
        except (LookupError, UnicodeError):  # an encoding that nobody knows, or one that decodes to no text
            text = content.decode("utf-8", "replace")
        if len(text) > _LONGEST_TEXT:
            self.cut = True
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[:_LONGEST_TEXT].replace("\r\n", "\n").replace("\r", "\n"))


def _bytes(part: email.message.Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _name(part: email.message.Message) -> str:
    try:
        return _one_line(part.get_filename() or "", 200)
    except (ValueError, LookupError, TypeError):
        return ""


def _header(value: object) -> str:
    text = str(value)[:_LONGEST_HEADER]
    with contextlib.suppress(ValueError, LookupError):
        text = str(email.header.make_header(email.header.decode_header(text)))
    return _one_line(text, _LONGEST_HEADER)


def _one_line(text: str, longest: int) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()[:longest]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
