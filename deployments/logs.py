"""An activity's log: numbered chunks of whole lines in the database, told to open pages as they are written.

The log has no end marker of its own: it is complete when the activity's state is final.
"""

import logging
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from deployments import live
from deployments.log_lines import Lines, clean, shorten
from deployments.models import Activity, LogChunk
from deployments.redaction import Redactor
from deployments.state import LostLease

FLUSH_EVERY = 0.1  # seconds, at most
_GATHER = 0.01  # seconds in which lines that come together are taken together
_FLUSH_SIZE = 32 * 1024  # characters
_CHUNK_MAX = 60 * 1024  # bytes, so that a chunk with its line ends stays below 64 KiB
_BUFFER_MAX = 512 * 1024  # characters; a faster writer waits for the database

logger = logging.getLogger(__name__)


class LogWriter:
    """Writes one activity's log. One thread calls `write` and `line`; a second one flushes in the background.

    With `claim` (the activity as it was claimed) nothing is written any more once the claim is lost: LostLease.
    """

    def __init__(self, activity_id: str, redactor: Redactor, *, claim: Activity | None = None) -> None:
        self.activity_id = activity_id
        self.redactor = redactor
        self._claim = claim
        self._lines = Lines()
        self._buffer: list[str] = []
        self._buffered = 0
        self._rest = ""  # redacted, but its line has no end yet
        last = LogChunk.objects.filter(activity_id=activity_id).order_by("-number").first()
        self._number = last.number if last else 0
        self._line = last.first_line + last.text.count("\n") if last else 1
        self._kept = 0  # bytes of program output, for the cap
        self._full = False
        self._lost = False
        self._lock = threading.RLock()  # the buffer
        self._writing = threading.RLock()  # the database, in the order of the numbers
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._flusher: threading.Thread | None = None

    def write(self, data: bytes) -> None:
        """Output of a program, cut anywhere. Beyond the cap (settings.LOG_MAX_BYTES) it is dropped with a note."""
        if self._full:
            return
        self._kept += len(data)
        lines = self._lines.feed(data)
        if self._kept > settings.LOG_MAX_BYTES:
            self._full = True
            megabytes = settings.LOG_MAX_BYTES / 1024**2
            lines.append(f"[The log has reached {megabytes:g} MiB. Further output is not kept; the command goes on.]")
        self._add(lines)

    def line(self, text: str = "") -> None:
        """One line (or several) of our own. Not counted into the cap."""
        self._add(self._lines.finish() + [clean(part) for part in text.split("\n")])

    def end_line(self) -> None:
        """End a program's last line when it did not."""
        self._add(self._lines.finish())

    def flush(self) -> None:
        """Write what is complete. Raises LostLease, or the database's error (nothing is lost by it: flush again)."""
        with self._writing:
            with self._lock:
                pending, self._buffer, self._buffered = "".join(self._buffer), [], 0
                self._dirty.clear()
            if pending:
                self._rest += self.redactor.feed(pending)
            self._store()

    def close(self) -> None:
        """Write everything and end the background thread."""
        self.abandon()
        self.end_line()
        with self._writing:
            self.flush()
            self._rest += self.redactor.finish()
            self._store()

    def abandon(self) -> None:
        """End the background thread without writing more."""
        self._closing.set()
        self._dirty.set()
        if self._flusher is not None:
            self._flusher.join()

    def _add(self, lines: list[str]) -> None:
        if not lines:
            return
        if self._lost:
            raise LostLease(f"The claim on activity {self.activity_id} is gone.")
        text = "\n".join(lines) + "\n"
        with self._lock:
            self._buffer.append(text)
            self._buffered += len(text)
            too_much = self._buffered > _BUFFER_MAX
            if self._flusher is None and not self._closing.is_set():
                self._flusher = threading.Thread(target=self._keep_flushing, name="log", daemon=True)
                self._flusher.start()
        self._dirty.set()
        if too_much:
            self.flush()

    def _keep_flushing(self) -> None:
        flushed = 0.0
        try:
            while not self._closing.is_set():
                self._dirty.wait()
                if self._buffered < _FLUSH_SIZE:
                    # A line after a silence is shown at once; many lines are stored a few times a second.
                    self._closing.wait(max(_GATHER, flushed + FLUSH_EVERY - time.monotonic()))
                flushed = time.monotonic()
                try:
                    self.flush()
                except LostLease:
                    self._lost = True
                    return
                except DatabaseError as error:
                    logger.warning("The log of activity %s waits for the database: %s", self.activity_id, error)
                    self._dirty.set()
                    self._closing.wait(1)
        finally:
            connection.close()

    def _store(self) -> None:
        """Put the whole lines of `_rest` into the database, one row per chunk."""
        end = self._rest.rfind("\n") + 1
        if not end:
            return
        lines = [shorten(line) + "\n" for line in self._rest[:end].split("\n")[:-1]]
        chunks, number, first, now = [], self._number, self._line, timezone.now()
        while lines:
            taken, size = 0, 0
            while taken < len(lines) and (not taken or size + len(lines[taken].encode()) <= _CHUNK_MAX):
                size += len(lines[taken].encode())
                taken += 1
            number += 1
            text = "".join(lines[:taken])
            chunks.append(LogChunk(activity_id=self.activity_id, number=number, first_line=first, at=now, text=text))
            first += taken
            del lines[:taken]
        self._insert(chunks)
        self._rest = self._rest[end:]
        self._number, self._line = chunks[-1].number, chunks[-1].first_line + chunks[-1].text.count("\n")
        live.publish(f"activity:{self.activity_id}", "log")

    def _insert(self, chunks: list[LogChunk]) -> None:
        try:
            with transaction.atomic():
                self._check_claim()
                LogChunk.objects.bulk_create(chunks)
        except IntegrityError:
            # Whoever held the claim before us wrote under our numbers. What they wrote stays; ours follows it.
            last = LogChunk.objects.filter(activity_id=self.activity_id).order_by("-number")[0]
            number, first = last.number, last.first_line + last.text.count("\n")
            for chunk in chunks:
                number += 1
                chunk.number, chunk.first_line = number, first
                first += chunk.text.count("\n")
            with transaction.atomic():
                self._check_claim()
                LogChunk.objects.bulk_create(chunks)

    def _check_claim(self) -> None:
        claim = self._claim
        if claim is None:
            return
        held = Activity.objects.select_for_update(of=("self",)).filter(
            pk=claim.pk, fence=claim.fence, worker=claim.worker, finished_at__isnull=True
        )
        if not held.values_list("pk", flat=True).first():
            raise LostLease(f"The claim on activity {claim.pk} is gone.")


def read(activity_id: str, after: int = 0, limit: int = 200) -> list[LogChunk]:
    """The chunks that follow number `after`, in order."""
    return list(LogChunk.objects.filter(activity_id=activity_id, number__gt=after).order_by("number")[:limit])
