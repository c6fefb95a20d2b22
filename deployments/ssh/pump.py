"""Moving bytes between an SSH channel and a program's pipes: large reads, back-pressure both ways, no truncation.

asyncssh's own redirection closes the channel when the program ends, with output still on its way.
"""

import asyncio
import contextlib
import fcntl
import os
from collections import deque
from collections.abc import Callable

_PIPE = 1024 * 1024  # bytes; Linux's largest for an ordinary user
_READ = 256 * 1024
_BACKLOG = 1024 * 1024  # bytes waiting for the program before the client is told to wait


def _pipe() -> tuple[int, int]:
    ends = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # the person's pages for pipes are used up: the default does
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, _PIPE)
    return ends


class Sink:
    """The writing end of a program's input."""

    def __init__(self, on_full: Callable[[], None], on_room: Callable[[], None], *, fd: int | None = None) -> None:
        """Writes to `fd`, which becomes ours; without one to a new pipe, whose other end is `theirs`."""
        self.theirs, self._fd = _pipe() if fd is None else (-1, fd)
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._on_full, self._on_room = on_full, on_room
        self._waiting: deque[memoryview] = deque()
        self.backlog = 0
        self._paused = self._ending = self._closed = False

    @property
    def full(self) -> bool:
        return self._paused

    def write(self, data: bytes) -> None:
        if self._closed or self._ending:
            return
        view = memoryview(data)
        if not self._waiting:
            view = self._push(view)
        if view:
            if not self._waiting:
                self._loop.add_writer(self._fd, self._drain)
            self._waiting.append(view)
            self.backlog += len(view)
            if self.backlog > _BACKLOG and not self._paused:
                self._paused = True
                self._on_full()

    def end(self) -> None:
        """Close once everything is written."""
        self._ending = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._waiting.clear()

    def _push(self, view: memoryview) -> memoryview:
        """What could not be written now."""
        try:
            return view[os.write(self._fd, view) :]
        except BlockingIOError:
            return view
        except OSError:  # the program reads no more; its exit code will say why
            self.close()
            return view[:0]

    def _drain(self) -> None:
        while self._waiting and not self._closed:
            view = self._waiting[0]
            rest = self._push(view)
            if self._closed:
                break
            self.backlog -= len(view) - len(rest)
            if rest:
                self._waiting[0] = rest
                break
            self._waiting.popleft()
        if self._paused and (self._closed or self.backlog < _BACKLOG // 2):
            self._paused = False
            self._on_room()
        if not self._waiting and not self._closed:
            self._loop.remove_writer(self._fd)
            if self._ending:
                self.close()


class Tap:
    """The reading end of a program's output."""

    def __init__(self, deliver: Callable[[bytes], None], *, fd: int | None = None) -> None:
        """Reads from `fd`, which becomes ours; without one from a new pipe, whose other end is `theirs`."""
        self._fd, self.theirs = _pipe() if fd is None else (fd, -1)
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._paused = False
        self.ended = asyncio.Event()
        self._loop.add_reader(self._fd, self._read)

    def pause(self) -> None:
        if not self._paused and not self.ended.is_set():
            self._paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        if self._paused and not self.ended.is_set():
            self._paused = False
            self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._deliver(data)
        else:
            self.close()
