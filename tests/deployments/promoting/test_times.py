"""What people type as a time: on the clock of their project, with its hour too few and its hour too many."""

from datetime import UTC, datetime, time, timedelta

import pytest

from deployments.promoting import times
from portal.errors import Invalid

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_time_is_read_on_the_projects_clock() -> None:
    assert times.planned("2026-03-27T18:00", BERLIN, NOW) == times.Moment(utc("2026-03-27T17:00"))
    assert times.planned("2026-03-30 18:00:30", BERLIN, NOW) == times.Moment(utc("2026-03-30T16:00:30"))


def test_a_time_in_the_past_is_refused_with_what_was_understood() -> None:
    with pytest.raises(Invalid, match=r"Friday 20 March, 12:00 \(Europe/Berlin\) is in the past") as caught:
        times.planned("2026-03-20T12:00", BERLIN, NOW)
    assert caught.value.field == "at"


def test_a_time_out_of_sight_is_refused() -> None:
    with pytest.raises(Invalid, match="366 days ahead"):
        times.planned("2028-03-20T12:00", BERLIN, NOW)


def test_the_hour_that_is_left_out_is_refused_by_name() -> None:
    with pytest.raises(Invalid) as caught:
        times.planned("2026-03-29T02:30", BERLIN, NOW)
    assert caught.value.message == (
        "There is no 02:30 on 29 March 2026 in Europe/Berlin: the clock goes from 02:00 to 03:00. "
        "Choose 03:00 or later."
    )


def test_half_an_hour_that_is_left_out_is_named_as_such() -> None:
    with pytest.raises(Invalid, match="the clock goes from 02:00 to 02:30"):
        times.planned("2026-10-04T02:10", "Australia/Lord_Howe", NOW)


@pytest.mark.parametrize("text", ["2026-03-29T01:59", "2026-03-29T03:00"])
def test_the_edges_of_the_gap_are_times(text: str) -> None:
    assert times.planned(text, BERLIN, NOW).note == ""


def test_of_a_time_that_comes_twice_the_first_is_taken_and_told() -> None:
    moment = times.planned("2026-10-25T02:30", BERLIN, NOW)
    assert moment.at == utc("2026-10-25T00:30")
    assert "02:30 comes twice on 25 October 2026" in moment.note
    assert "the first is meant" in moment.note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01T10:00",
        "2026-02-30T10:00",
        "2026-03-27",
        "2026-03-27T25:00",
        "2026-03-27T18:00Z",
        "2026-03-27T18:00\n",
        "9999-12-31T23:59",
        "0001-01-01T00:00",
        "٢٠٢٦-03-27T18:00",
        "2026-03-27T18:00+02:00",
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        times.planned(text, BERLIN, NOW)
    assert caught.value.field == "at"


def test_a_span_of_dates_may_have_begun_already() -> None:
    span = times.once("2026-03-01T00:00", "2026-04-01T00:00", BERLIN, NOW)
    assert (span.starts_at, span.ends_at) == (utc("2026-02-28T23:00"), utc("2026-03-31T22:00"))


@pytest.mark.parametrize("end", ["2026-03-25T10:00", "2026-03-25T09:00"])
def test_a_span_that_ends_before_it_starts_is_refused(end: str) -> None:
    with pytest.raises(Invalid, match="ends before it starts") as caught:
        times.once("2026-03-25T10:00", end, BERLIN, NOW)
    assert caught.value.field == "ends_at"


def test_a_span_that_is_over_is_refused() -> None:
    with pytest.raises(Invalid, match="over already"):
        times.once("2026-03-01T00:00", "2026-03-02T00:00", BERLIN, NOW)


def test_a_span_tells_of_times_that_come_twice() -> None:
    span = times.once("2026-10-25T02:00", "2026-10-25T02:30", BERLIN, NOW)
    assert span.ends_at - span.starts_at == timedelta(minutes=30)
    assert span.note.count("comes twice") == 2


def test_a_span_of_each_week_has_its_days_in_order_and_once() -> None:
    assert times.weekly(["4", "0", "4"], "18:00", "06:00") == times.Weekly([0, 4], time(18), time(6))


@pytest.mark.parametrize(
    ("days", "begin", "end", "field"),
    [
        ([], "10:00", "11:00", "days"),
        (["7"], "10:00", "11:00", "days"),
        (["-1"], "10:00", "11:00", "days"),
        (["Monday"], "10:00", "11:00", "days"),
        (["0"], "24:00", "11:00", "from_time"),
        (["0"], "10:00", "", "to_time"),
        (["0"], "10:00+02:00", "11:00", "from_time"),
    ],
)
def test_a_span_of_each_week_that_makes_no_sense_is_refused(days: list[str], begin: str, end: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        times.weekly(days, begin, end)
    assert caught.value.field == field
