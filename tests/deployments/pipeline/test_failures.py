import pytest

from deployments.enums import Fault
from deployments.pipeline.failures import Failure, Reason, sort
from environments.imports import ImportFailed
from environments.manifest import ManifestError, Problem
from environments.process import CommandFailed, NotInstalled, TimedOut
from environments.runtimes.base import RuntimeFailure
from portal.errors import Conflict, Invalid


@pytest.mark.parametrize(
    ("error", "error_id", "message", "fault"),
    [
        (Failure("probe-failed", "It answered 500."), "probe-failed", "It answered 500.", Fault.USER),
        (RuntimeFailure("service-not-ready", "No.", by_user=False), "service-not-ready", "No.", Fault.PLATFORM),
        (RuntimeFailure("build-hook-failed", "No."), "build-hook-failed", "No.", Fault.USER),
        (Invalid("db has no such endpoint.", field="type"), "configuration-invalid", "no such endpoint", Fault.USER),
        (ImportFailed("The repository is empty.", field="url"), "import-failed", "is empty", Fault.USER),
        (Conflict("It moved on."), "not-possible", "It moved on.", Fault.USER),
        (TimedOut(9, silent=True), "silence-limit", "printed nothing for 9", Fault.USER),
        (TimedOut(9, silent=False), "time-limit", "longer than 9", Fault.USER),
        (NotInstalled("composer"), "program-missing", "composer", Fault.PLATFORM),
        (OSError(28, "full"), "no-space", "no space left", Fault.PLATFORM),
        (CommandFailed(["cp"], 1, "cp: No space left on device"), "no-space", "no space left", Fault.PLATFORM),
        (ManifestError([Problem("a.yaml", 3, "x", "Wrong.")] * 2), "configuration-invalid", "1 more", Fault.USER),
    ],
)
def test_each_failure_has_an_owner_a_stable_id_and_words(
    error: Exception, error_id: str, message: str, fault: Fault
) -> None:
    reason = sort(error, doing="Build")
    assert (reason.error_id, reason.fault) == (error_id, fault)
    assert message in reason.message


def test_what_nobody_foresaw_is_ours_and_can_be_found_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    reason = sort(KeyError("secret"), doing="Build")
    assert isinstance(reason, Reason)
    assert (reason.error_id, reason.fault) == ("unexpected", Fault.PLATFORM)
    assert "secret" not in reason.message
    assert reason.message.rsplit(" ", 1)[1].strip(".") in caplog.text
