import threading
import time
from typing import Any

import pytest

from deployments import logs, state
from deployments.logs import LogWriter
from deployments.models import Activity, LogChunk
from deployments.redaction import Redactor
from tests.factories import ActivityFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def activity() -> Activity:
    return ActivityFactory(state="pending")


def text_of(activity: Activity) -> str:
    return "".join(chunk.text for chunk in logs.read(activity.pk, limit=100_000))


def check_whole(activity: Activity) -> None:
    """I5: numbers and lines without gap, each chunk of whole lines and below 64 KiB."""
    line = 1
    for number, chunk in enumerate(LogChunk.objects.filter(activity=activity), start=1):
        assert chunk.number == number
        assert chunk.first_line == line
        assert chunk.text.endswith("\n")
        assert len(chunk.text.encode()) <= 64 * 1024
        line += chunk.text.count("\n")


def test_what_is_written_arrives_soon_without_a_flush(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    log.write(b"hello\n")
    deadline = time.monotonic() + 2
    while not logs.read(activity.pk) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert text_of(activity) == "hello\n"
    log.close()


def test_chunks_are_whole_lines_without_gaps(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    data = b"".join(b"line %d %s\n" % (number, b"." * (number % 500)) for number in range(5000))
    for start in range(0, len(data), 1000):
        log.write(data[start : start + 1000])
    log.close()
    check_whole(activity)
    assert text_of(activity).encode() == data


def test_reading_goes_on_after_a_number(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    for number in range(5):
        log.line(f"line {number}")
        log.flush()
    log.close()
    assert [chunk.text for chunk in logs.read(activity.pk, after=3)] == ["line 3\n", "line 4\n"]
    assert [chunk.number for chunk in logs.read(activity.pk, after=0, limit=2)] == [1, 2]


def test_a_secret_split_over_two_writes_and_two_flushes_is_not_stored(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor(["topsecretvalue"]))
    log.write(b"password: topsecr")
    log.flush()
    log.write(b"etvalue\nnext\n")
    log.close()
    assert text_of(activity) == "password: [secret]\nnext\n"


def test_a_secret_at_the_cut_of_a_long_line_is_not_stored(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor(["topsecretvalue"]))
    log.write(b"x" * (16 * 1024 - 7) + b"topsecretvalue" + b"y" * 10_000 + b"\n")
    log.close()
    assert "topse" not in text_of(activity)
    check_whole(activity)


def test_the_log_is_capped_with_a_note_and_our_own_lines_still_come(activity: Activity, settings: Any) -> None:
    settings.LOG_MAX_BYTES = 200_000
    log = LogWriter(activity.pk, Redactor())
    for _ in range(3000):
        log.write(b"z" * 999 + b"\n")
    log.line("The end.")
    log.close()
    text = text_of(activity)
    assert len(text) < 210_000
    assert "Further output is not kept" in text
    assert text.endswith("The end.\n")
    check_whole(activity)


def test_a_line_without_end_is_ended_before_our_own(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    log.write(b"no newline")
    log.line("ours")
    log.close()
    assert text_of(activity) == "no newline\nours\n"


def test_strangers_text_in_our_own_lines_is_cleaned(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    log.line("subject \x1b]0;x\x07\u202eevil")
    log.close()
    assert text_of(activity) == "subject <U+202E>evil\n"


def test_another_writer_goes_on_where_the_first_one_ended(activity: Activity) -> None:
    first = LogWriter(activity.pk, Redactor())
    second = LogWriter(activity.pk, Redactor())
    first.line("one\ntwo")
    first.close()
    second.line("three")
    second.close()
    assert text_of(activity) == "one\ntwo\nthree\n"
    check_whole(activity)


def test_who_lost_the_claim_writes_nothing_more(activity: Activity) -> None:
    claimed = state.claim(activity.pk, "one")
    assert claimed is not None
    log = LogWriter(activity.pk, Redactor(), claim=claimed)
    log.line("mine")
    log.flush()
    Activity.objects.filter(pk=activity.pk).update(fence=claimed.fence + 1, worker="two")
    log.line("stale")
    with pytest.raises(state.LostLease):
        log.close()
    assert text_of(activity) == "mine\n"


def test_two_threads_may_flush_at_once(activity: Activity) -> None:
    log = LogWriter(activity.pk, Redactor())
    done = threading.Event()

    def flush() -> None:
        from django.db import connection

        while not done.is_set():
            log.flush()
        connection.close()

    other = threading.Thread(target=flush)
    other.start()
    for number in range(300):
        log.line(f"line {number}")
        if number % 10 == 0:
            log.flush()
    done.set()
    other.join()
    log.close()
    check_whole(activity)
    assert text_of(activity) == "".join(f"line {number}\n" for number in range(300))
