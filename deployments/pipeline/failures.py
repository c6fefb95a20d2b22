"""Sorting what went wrong: whose failure it is, a stable id for its kind, and one plain sentence for the person."""

import errno
import logging
from dataclasses import dataclass

from django.db import Error as DatabaseError

from deployments.enums import Fault
from environments.backups.archive import Damaged
from environments.backups.store import StoreFailure
from environments.imports import ImportFailed
from environments.manifest import ManifestError
from environments.process import CommandFailed, NotInstalled, TimedOut
from environments.runtimes.base import RuntimeFailure
from portal.errors import Invalid, SlipwayError
from portal.ids import new_id

logger = logging.getLogger(__name__)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Reason:
    error_id: str
    message: str
    fault: Fault


class Failure(Exception):
    """A step cannot do what it must; `message` says why and what to do."""

    def __init__(self, error_id: str, message: str, *, fault: Fault = Fault.USER) -> None:
        super().__init__(message)
        self.reason = Reason(error_id, message, fault)


def sort(error: Exception, *, doing: str) -> Reason:
    """The reason behind an exception. What nobody foresaw is logged with its traceback under a reference."""
    match error:
        case Failure():
            return error.reason
        case RuntimeFailure():
            return Reason(error.error_id, error.message, Fault.USER if error.by_user else Fault.PLATFORM)
        case ManifestError():
            return Reason("configuration-invalid", _first_problem(error), Fault.USER)
        case ImportFailed():
            return Reason("import-failed", error.message, Fault.USER)
        case Damaged():
            return Reason("backup-damaged", f"The backup cannot be used: {error}", Fault.PLATFORM)
        case StoreFailure():
            return Reason("backup-store", str(error), Fault.PLATFORM)
        case Invalid():
            return Reason("configuration-invalid", error.message, Fault.USER)
        case SlipwayError():
            return Reason("not-possible", error.message, Fault.USER)
        case TimedOut():
            return Reason("silence-limit" if error.silent else "time-limit", f"{doing}: {error}", Fault.USER)
        case NotInstalled():
            return Reason("program-missing", str(error), Fault.PLATFORM)
        case OSError(errno=number) if number in _NO_SPACE:
            return _no_space()
        case CommandFailed() if "no space left" in error.stderr.lower():
            return _no_space()
        case DatabaseError():
            logger.exception("The database failed in %s", doing)
            return Reason("database", "The database did not answer in time. Try again.", Fault.PLATFORM)
    reference = new_id(8)
    logger.error("Unexpected failure %s in %s", reference, doing, exc_info=error)
    return Reason(
        "unexpected",
        f"{doing} failed inside Slipway, not in your project. An administrator finds the details in the worker's log "
        f"under {reference}.",
        Fault.PLATFORM,
    )


def _no_space() -> Reason:
    return Reason(
        "no-space",
        "There is no space left on this host. Delete backups, deactivate environments or free disk space otherwise, "
        "then try again.",
        Fault.PLATFORM,
    )


def _first_problem(error: ManifestError) -> str:
    first, *others = [str(problem) for problem in error.problems] or [str(error)]
    return first + (f" ({len(others)} more in the log.)" if others else "")
