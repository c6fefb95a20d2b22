"""What the SFTP server answers, looked at on its way to the client: it can only say "Failure" where a file system is
read-only, so the reason is said beside it."""

import struct
from collections.abc import Callable, Iterable

_STATUS, _FAILURE = 101, 4
_HEAD = 13  # bytes of a status up to its code: length, type, id, code


class Watcher:
    def __init__(self, deliver: Callable[[bytes], None], say: Callable[[str], None], mounts: Iterable[str]) -> None:
        self._deliver, self._say = deliver, say
        self._mounts = [f"/app/{mount}" for mount in sorted(mounts)]
        self._head = b""  # what is known of the packet's beginning
        self._left = 0  # bytes of the packet after that
        self._said = False

    def feed(self, data: bytes) -> None:
        if not self._said:
            self._look(data)
        self._deliver(data)

    def _look(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            skipped = min(self._left, len(view))
            view, self._left = view[skipped:], self._left - skipped
            missing = self._missing()
            self._head += view[:missing]
            view = view[missing:]
            if self._missing() or not self._head:
                continue
            if self._head[4] == _STATUS and struct.unpack(">I", self._head[9:13])[0] == _FAILURE:
                self._tell()
                return
            self._left = max(0, struct.unpack(">I", self._head[:4])[0] + 4 - len(self._head))
            self._head = b""

    def _missing(self) -> int:
        """Bytes of a packet's beginning that must be seen before its type is known, and of a status its code."""
        if len(self._head) < 5:
            return 5 - len(self._head)
        return _HEAD - len(self._head) if self._head[4] == _STATUS else 0

    def _tell(self) -> None:
        self._said = True
        where = (
            f"Write to a mount: {', '.join(self._mounts)}." if self._mounts else "This app has no mount to write to."
        )
        self._say(f"Slipway: if that was a write, it may have been outside the mounts: /app is read-only. {where}")
