"""The thread beside a running activity: keeps its lease, hears of a cancellation, notices that the claim is lost."""

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from deployments import state
from deployments.models import Activity

CANCELLED = "It was cancelled."
LOST = "Another worker has taken over."
_LOOK = 1.0  # seconds between two looks for a cancellation

logger = logging.getLogger(__name__)


class Keeper:
    """Use as a context manager around the work. `reason` says why the work must stop, None while it may go on."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._cancelled = activity.cancel_requested_at is not None  # of one that another worker was lost in
        self._lost = False
        self._renewed = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> "Keeper":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        # Also when this process itself was stopped for longer than the lease: somebody else may work by now.
        return self._lost or time.monotonic() - self._renewed > settings.LEASE

    def reason(self, *, cancellable: bool = True) -> str | None:
        if self.lost:
            return LOST
        return CANCELLED if self._cancelled and cancellable else None

    def _keep(self) -> None:
        try:
            while not self._ended.wait(min(_LOOK, settings.HEARTBEAT)):
                try:
                    self._look()
                except state.LostLease:
                    self._lost = True
                    return
                except DatabaseError as error:
                    logger.warning("The lease of %s cannot be renewed now: %s", self._activity, error)
        finally:
            connection.close()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._renewed >= settings.HEARTBEAT:
            self._cancelled = state.heartbeat(self._activity)
            self._renewed = now
        elif not self._cancelled:
            self._cancelled = state.cancel_requested(self._activity)
