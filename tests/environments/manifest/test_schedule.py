"""When schedules are due, against croniter where both mean the same; and the days on which the clock is changed."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.manifest import cron, schedule

START = datetime(2026, 2, 27, 22, 0, tzinfo=UTC)
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
ZONES = [PARIS, zoneinfo.ZoneInfo("America/New_York"), zoneinfo.ZoneInfo("Australia/Lord_Howe"), UTC]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # Of two different numbers: croniter takes 0-0 for a star.
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, high or 1)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    item = st.one_of(number.map(str), span, step)
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


SPECS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)


@pytest.mark.parametrize(
    "spec",
    [
        "* * * * *",
        "*/7 * * * *",
        "5 3 * * *",
        "0,30 8-17/3 * * 1-5",
        "0 0 1 * *",
        "0 0 28-31 2,3 *",
        "15 4 1,15 * 5",
        "0 12 * * 0",
        "0 12 * * 7",
        "10-50/20 */2 * */2 *",
    ],
)
def test_schedules_match_the_minutes_that_crontab_means(spec: str) -> None:
    parsed = schedule.parse(spec)
    minutes = range(60 * 24) if "/7" in spec else range(0, 60 * 24 * 35, 35)
    for minute in minutes:
        moment = START + timedelta(minutes=minute)
        assert parsed.due(int(moment.timestamp()), UTC) == croniter.match(spec, moment), moment


def dates(low: int, high: int) -> st.SearchStrategy[str]:
    """Without steps: croniter takes some of those that name each day for a star, some not."""
    listed = st.lists(st.integers(low, high).map(str), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), listed)


PLAIN = st.tuples(field(0, 59), field(0, 23), dates(1, 28), field(1, 12), dates(0, 6)).map(" ".join)


@given(PLAIN, st.integers(0, 3 * 365 * 24 * 3600))
@settings(max_examples=80, deadline=None)
def test_the_next_run_is_the_one_that_croniter_finds(spec: str, seconds: int) -> None:
    after = START + timedelta(seconds=seconds)
    found = schedule.parse(cron.resolve(spec, "")).following(after.timestamp(), UTC)
    assert found == croniter(spec, after).get_next(float)


@given(
    SPECS,
    st.sampled_from(ZONES),
    st.sampled_from([(3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1)]),
    st.integers(-12, 12),
)
@settings(max_examples=15, deadline=None)
def test_the_next_run_is_the_next_minute_that_is_due_also_when_the_clock_changes(
    spec: str, zone: zoneinfo.ZoneInfo, day: tuple[int, int], at: int
) -> None:
    parsed = schedule.parse(spec)
    begin = int(datetime(2026, *day, 12, tzinfo=UTC).timestamp()) - 18 * 3600 + at * 3600
    minutes = range(begin, begin + 10 * 3600, 60)
    due = [minute for minute in minutes if parsed.due(minute, zone)]
    following, after = [], begin - 1
    while (found := parsed.following(after, zone)) is not None and found < minutes[-1] + 60:
        following.append(found)
        after = found
    assert following == due


def local(*times: int, zone: zoneinfo.ZoneInfo = PARIS) -> list[str]:
    return [datetime.fromtimestamp(at, zone).strftime("%d %H:%M %Z") for at in times]


def runs(spec: str, first: datetime, hours: int) -> list[str]:
    begin = int(first.timestamp())
    parsed = schedule.parse(spec)
    return local(*(minute for minute in range(begin, begin + hours * 3600, 60) if parsed.due(minute, PARIS)))


def test_a_time_that_the_clock_skips_is_made_up_for_once() -> None:
    assert runs("30 2 * * *", datetime(2026, 3, 29, tzinfo=PARIS), 30) == ["29 03:00 CEST", "30 02:30 CEST"]
    assert runs("*/20 2 * * *", datetime(2026, 3, 29, tzinfo=PARIS), 12) == ["29 03:00 CEST"]


def test_a_time_that_comes_twice_counts_once() -> None:
    assert runs("30 2 * * *", datetime(2026, 10, 25, tzinfo=PARIS), 30) == ["25 02:30 CEST", "26 02:30 CET"]


def test_what_runs_all_day_goes_by_real_time() -> None:
    spring, autumn = datetime(2026, 3, 29, tzinfo=PARIS), datetime(2026, 10, 25, tzinfo=PARIS)
    assert runs("30 * * * *", spring, 4) == ["29 00:30 CET", "29 01:30 CET", "29 03:30 CEST", "29 04:30 CEST"]
    assert runs("0 * * * *", autumn, 5) == [
        "25 00:00 CEST",
        "25 01:00 CEST",
        "25 02:00 CEST",
        "25 02:00 CET",
        "25 03:00 CET",
    ]


@pytest.mark.parametrize(
    ("spec", "never"), [("0 0 30 2 *", True), ("0 0 31 4,6 *", True), ("0 0 29 2 *", False), ("0 0 30 2 1", False)]
)
def test_a_day_that_no_month_has_is_never(spec: str, never: bool) -> None:
    parsed = schedule.parse(spec)
    assert parsed.never is never
    assert (parsed.following(START.timestamp(), UTC) is None) is never


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes, from :00"),
        ("7-59/15 * * * *", "every 15 minutes, at :07, :22, :37 and :52"),
        ("7 * * * *", "every hour at :07"),
        ("7 3 * * *", "at 03:07 every day"),
        ("0 3,15 * * *", "at 03:00 and 15:00 every day"),
        ("15 4 * * 1", "at 04:15 on Mondays"),
        ("15 4 * * 1-5", "at 04:15 on Mondays to Fridays"),
        ("0 0 1 * *", "at 00:00 on the 1st of each month"),
        ("0 0 1-7 1 *", "at 00:00 on the 1st to 7th in January"),
        ("0 0 1 * 0", "at 00:00 on the 1st and on Sundays"),
        ("5 */2 * * *", "every 2 hours, from 00:05"),
        ("*/30 8-17 * * *", "every 30 minutes, at :00 and :30, in the hours 08 to 17"),
    ],
)
def test_schedules_are_said_in_words(spec: str, said: str) -> None:
    assert schedule.words(schedule.parse(spec)) == said


@given(SPECS)
@settings(max_examples=200, deadline=None)
def test_every_schedule_has_words(spec: str) -> None:
    assert schedule.words(schedule.parse(spec)).strip()


def test_h_is_the_same_each_time_and_another_elsewhere() -> None:
    seeds = [cron.seed("project", f"main-{number}", "app", "tick") for number in range(40)]
    drawn = [cron.resolve("H H * * *", seed) for seed in seeds]
    assert drawn == [cron.resolve("H H * * *", seed) for seed in seeds]
    assert len(set(drawn)) > 30


def test_seconds_are_refused_with_the_shortest_time_there_is() -> None:
    with pytest.raises(ValueError, match=r"six fields, as if it began with seconds.*a minute"):
        cron.resolve("* * * * * *", "")
