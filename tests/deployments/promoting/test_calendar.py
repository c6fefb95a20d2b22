"""When a promotion may land, against a slow reading of the same rules, and on the days when clocks are changed."""

import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.promoting.calendar import LOOK_AHEAD, may_land_at, on_the_clock, words

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)  # a Thursday
BERLIN = "Europe/Berlin"
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Span:
    kind: str
    title: str = "Quiet"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    days: list[int] = field(default_factory=list)
    from_time: time | None = None
    to_time: time | None = None


def weekly(kind: str, days: list[int], begin: str, end: str, title: str = "Quiet") -> Span:
    return Span(kind, title, days=days, from_time=time.fromisoformat(begin), to_time=time.fromisoformat(end))


def once(kind: str, begin: datetime, end: datetime, title: str = "Quiet") -> Span:
    return Span(kind, title, begin, end)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lands(*spans: Span, when: str = "now", at: datetime | None = None, tz: str = BERLIN, now: datetime = NOW) -> str:
    landing = may_land_at(spans, tz, when, at, now)
    return f"{landing.at:%m-%d %H:%M}" if landing.at else "never"


def test_without_freezes_it_lands_at_once() -> None:
    landing = may_land_at([], BERLIN, "now", None, NOW)
    assert (landing.at, landing.why) == (NOW, "")


def test_a_planned_time_is_kept_and_told_on_the_projects_clock() -> None:
    landing = may_land_at([], BERLIN, "at", utc("2026-12-04T17:00"), NOW)
    assert landing.at == utc("2026-12-04T17:00")
    assert landing.why == "It is planned for Friday 4 December, 18:00 (Europe/Berlin)."


def test_a_planned_time_that_has_passed_is_now() -> None:
    assert may_land_at([], BERLIN, "at", NOW - timedelta(hours=3), NOW).at == NOW


def test_a_planned_time_is_ignored_when_it_is_to_land_now() -> None:
    assert may_land_at([], BERLIN, "now", NOW + timedelta(hours=3), NOW).at == NOW


def test_a_freeze_holds_until_it_ends_and_says_so() -> None:
    freeze = once("freeze", utc("2026-11-20T00:00"), utc("2027-01-02T07:00"), "Christmas")
    landing = may_land_at([freeze], BERLIN, "now", None, NOW)
    assert landing.at == freeze.ends_at
    assert landing.why == "A freeze, Christmas, lasts until Saturday 2 January 2027, 08:00 (Europe/Berlin)."


def test_a_freeze_counts_at_the_planned_time_and_not_at_the_time_of_asking() -> None:
    today = once("freeze", utc("2026-11-26T00:00"), utc("2026-11-27T00:00"))
    later = once("freeze", utc("2026-12-04T00:00"), utc("2026-12-05T00:00"))
    assert lands(today, when="at", at=utc("2026-12-01T09:00")) == "12-01 09:00"
    assert lands(later) == "11-26 12:00"
    assert lands(later, when="at", at=utc("2026-12-04T09:00")) == "12-05 00:00"


def test_a_moment_is_frozen_from_the_first_second_and_free_from_the_last() -> None:
    freeze = once("freeze", NOW, NOW + timedelta(hours=1))
    assert lands(freeze) == "11-26 13:00"
    assert lands(freeze, now=NOW + timedelta(hours=1)) == "11-26 13:00"
    assert may_land_at([freeze], BERLIN, "now", None, NOW - timedelta(microseconds=1)).why == ""


def test_freezes_that_touch_or_overlap_are_one() -> None:
    hours = [(0, 2), (2, 3), (1, 2), (3, 6), (5, 6)]
    spans = [once("freeze", NOW + timedelta(hours=a), NOW + timedelta(hours=b)) for a, b in hours]
    assert lands(*spans) == "11-26 18:00"


def test_a_weekly_freeze_goes_over_midnight() -> None:
    nights = weekly("freeze", [3], "22:00", "06:00")
    assert lands(nights, now=utc("2026-11-26T21:30")) == "11-27 05:00"
    assert lands(nights, now=utc("2026-11-27T04:59")) == "11-27 05:00"
    assert lands(nights, now=utc("2026-11-27T21:30")) == "11-27 21:30"


def test_from_and_to_alike_is_a_whole_day() -> None:
    fridays = weekly("freeze", [4], "00:00", "00:00")
    assert lands(fridays, now=utc("2026-11-26T23:00")) == "11-27 23:00"
    assert lands(fridays, now=utc("2026-11-26T22:59")) == "11-26 22:59"


def test_the_next_window_is_waited_for_and_named() -> None:
    landing = may_land_at([weekly("window", [1], "05:00", "07:00", "Tuesdays")], BERLIN, "window", None, NOW)
    assert landing.at == utc("2026-12-01T04:00")
    assert landing.why == "The next window, Tuesdays, opens on Tuesday 1 December, 05:00 (Europe/Berlin)."


def test_an_open_window_is_used_at_once() -> None:
    assert lands(weekly("window", [3], "12:00", "14:00"), when="window") == "11-26 12:00"


def test_windows_mean_nothing_to_those_that_do_not_wait_for_one() -> None:
    assert lands(weekly("window", [1], "05:00", "07:00")) == "11-26 12:00"


def test_a_window_is_used_only_where_no_freeze_lies_over_it() -> None:
    window = weekly("window", [1], "05:00", "07:00", "Tuesdays")
    whole = once("freeze", utc("2026-11-30T00:00"), utc("2026-12-05T00:00"))
    part = once("freeze", utc("2026-11-30T00:00"), utc("2026-12-01T05:00"), "Sale")
    assert lands(window, whole, when="window") == "12-08 04:00"
    assert "next window outside freezes" in may_land_at([window, whole], BERLIN, "window", None, NOW).why
    assert lands(window, part, when="window") == "12-01 05:00"
    assert "Sale, lasts until" in may_land_at([window, part], BERLIN, "window", None, NOW).why


def test_without_windows_the_next_one_never_comes() -> None:
    landing = may_land_at([], BERLIN, "window", None, NOW)
    assert landing.at is None
    assert "no windows" in landing.why


def test_a_window_that_is_over_or_out_of_sight_never_comes() -> None:
    over = once("window", NOW - timedelta(days=2), NOW)
    far = once("window", NOW + timedelta(days=400), NOW + timedelta(days=401))
    landing = may_land_at([over, far], BERLIN, "window", None, NOW)
    assert landing.at is None
    assert landing.why.startswith("No window comes in the next 366 days")


def test_windows_inside_freezes_never_come() -> None:
    spans = [weekly("window", [1], "05:00", "07:00"), weekly("freeze", [1], "04:00", "08:00")]
    landing = may_land_at(spans, BERLIN, "window", None, NOW)
    assert landing.at is None
    assert landing.why.startswith("No window of the next 366 days is free of freezes")


def test_freezes_without_end_leave_nothing_and_say_so() -> None:
    landing = may_land_at([weekly("freeze", [*range(7)], "00:00", "00:00")], BERLIN, "now", None, NOW)
    assert landing.at is None
    assert landing.why == "Freezes leave no moment free in 366 days. End or remove one."


def test_a_hundred_spans_that_leave_nothing_are_judged_to_an_end() -> None:
    spans = [weekly("freeze", [*range(7)], "00:00", "00:00") for _ in range(50)]
    spans += [weekly("window", [*range(7)], "10:00", "11:00") for _ in range(50)]
    assert lands(*spans, when="window") == "never"


def test_spans_that_make_no_sense_are_no_spans() -> None:
    backwards = once("freeze", NOW + timedelta(hours=1), NOW - timedelta(hours=1))
    no_day = Span("freeze", days=[9], from_time=time(0), to_time=time(0))
    assert lands(backwards, no_day, weekly("freeze", [], "00:00", "00:00"), Span("freeze")) == "11-26 12:00"


def test_a_zone_that_the_host_has_lost_is_utc() -> None:
    assert lands(weekly("freeze", [3], "11:00", "13:00"), tz="Mars/Olympus") == "11-26 13:00"


@pytest.mark.parametrize(
    ("begin", "end", "free"),
    [
        ("01:00", "02:30", "03-29 01:00"),  # ends in the hour that is left out: at the leap, which is 03:00
        ("02:15", "03:30", "03-29 01:30"),  # begins in it: at the leap
        ("02:15", "02:45", "03-29 00:45"),  # wholly in it: no freeze
    ],
)
def test_in_spring_a_span_keeps_to_the_clock_that_leaps(begin: str, end: str, free: str) -> None:
    freeze = weekly("freeze", [6], begin, end)
    assert lands(freeze, now=utc("2026-03-29T00:45" if free < "03-29 01:30" else "2026-03-29T01:00")) == free


def test_in_autumn_a_freeze_takes_both_hours_and_a_window_the_first() -> None:
    assert lands(weekly("freeze", [6], "02:00", "02:30"), now=utc("2026-10-25T00:00")) == "10-25 01:30"
    window = weekly("window", [6], "02:00", "02:30")
    assert lands(window, when="window", now=utc("2026-10-25T00:10")) == "10-25 00:10"
    assert lands(window, when="window", now=utc("2026-10-25T00:31")) == "11-01 01:00"


def test_a_window_keeps_its_hour_over_the_change() -> None:
    window = weekly("window", [*range(7)], "05:00", "06:00")
    assert lands(window, when="window", now=utc("2026-10-24T12:00")) == "10-25 04:00"
    assert lands(window, when="window", now=utc("2026-10-23T12:00")) == "10-24 03:00"


def test_a_day_that_a_zone_skipped_holds_no_span() -> None:
    apia = zoneinfo.ZoneInfo("Pacific/Apia")  # from 29 to 31 December 2011
    leap = on_the_clock(datetime(2011, 12, 30).date(), time(12), apia)
    assert leap == utc("2011-12-30T10:00")
    assert (
        lands(weekly("freeze", [4], "08:00", "18:00"), tz="Pacific/Apia", now=utc("2011-12-30T09:59")) == "12-30 09:59"
    )


def test_spans_are_told_in_words() -> None:
    assert words(weekly("freeze", [5, 4], "18:00", "06:00"), BERLIN, NOW) == (
        "Friday, Saturday, 18:00 to 06:00 on the next day"
    )
    assert words(weekly("window", [*range(7)], "05:00", "07:00"), BERLIN, NOW) == "Every day, 05:00 to 07:00"
    assert words(once("freeze", NOW, NOW + timedelta(days=60)), BERLIN, NOW) == (
        "Thursday 26 November, 13:00 (Europe/Berlin) to Monday 25 January 2027, 13:00 (Europe/Berlin)"
    )


# Against a slow reading: a moment is inside a weekly span when the clock on the wall shows so.

CLOCK = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
WEEKLY = st.builds(
    Span,
    st.sampled_from(["freeze", "window"]),
    days=st.lists(st.integers(0, 6), max_size=7),
    from_time=CLOCK,
    to_time=CLOCK,
)
ONCE = st.builds(
    lambda kind, begin, length: once(kind, begin, begin + length * QUARTER),
    st.sampled_from(["freeze", "window"]),
    st.integers(-400, 1500).map(lambda quarters: NOW + quarters * QUARTER),
    st.integers(1, 900),
)
SPANS = st.lists(WEEKLY | ONCE, max_size=5)


def holds(span: Span, moment: datetime, here: zoneinfo.ZoneInfo) -> bool:
    if span.starts_at and span.ends_at:
        return span.starts_at <= moment < span.ends_at
    assert span.from_time is not None
    assert span.to_time is not None
    local = moment.astimezone(here)
    today, yesterday = local.weekday() in span.days, (local.weekday() - 1) % 7 in span.days
    if span.to_time > span.from_time:
        return today and span.from_time <= local.time() < span.to_time
    return (today and local.time() >= span.from_time) or (yesterday and local.time() < span.to_time)


def free(spans: list[Span], when: str, moment: datetime, here: zoneinfo.ZoneInfo) -> bool:
    if any(span.kind == "freeze" and holds(span, moment, here) for span in spans):
        return False
    return when != "window" or any(span.kind == "window" and holds(span, moment, here) for span in spans)


def changes_near(moment: datetime, here: zoneinfo.ZoneInfo) -> bool:
    around = [moment + timedelta(hours=hours) for hours in range(-27, 28)]
    return any(a.astimezone(here).utcoffset() != b.astimezone(here).utcoffset() for a, b in pairwise(around))


@settings(max_examples=150, deadline=None)
@given(
    SPANS,
    st.sampled_from(["now", "at", "window"]),
    st.integers(0, 700).map(lambda quarters: NOW + quarters * QUARTER),
    st.sampled_from(["Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati"]),
    st.sampled_from([NOW, utc("2026-03-26T03:15"), utc("2026-10-23T20:45"), utc("2026-11-01T00:00")]),
)
def test_it_lands_at_the_first_free_moment(
    spans: list[Span], when: str, planned: datetime, tz: str, now: datetime
) -> None:
    here, landing = zoneinfo.ZoneInfo(tz), may_land_at(spans, tz, when, planned, now)
    start = now if when == "now" else max(now, planned)
    last = landing.at or start + timedelta(days=40)
    assert start <= last <= start + LOOK_AHEAD
    if landing.at and not changes_near(landing.at, here):
        assert free(spans, when, landing.at, here)
    earlier = [start + number * QUARTER for number in range(min(4000, int((last - start) / QUARTER)))]
    wrong = [moment for moment in earlier if moment < last and free(spans, when, moment, here)]
    assert all(changes_near(moment, here) for moment in wrong)
    assert bool(landing.why) == (landing.at is None or landing.at > now)


@settings(max_examples=100, deadline=None)
@given(SPANS, st.sampled_from(["now", "window"]), st.integers(0, 700))
def test_whoever_asks_again_at_that_moment_may_land(spans: list[Span], when: str, quarters: int) -> None:
    landing = may_land_at(spans, BERLIN, when, None, NOW + quarters * QUARTER)
    if landing.at:
        assert may_land_at(spans, BERLIN, when, None, landing.at).at == landing.at
