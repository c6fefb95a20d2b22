import re

import pytest

from deployments.views import log_view
from tests import factories as make

pytestmark = pytest.mark.django_db


def numbers(html: str) -> list[int]:
    return [int(found) for found in re.findall(r'<p id="L(\d+)">', html)]


def test_an_empty_log_is_an_empty_window() -> None:
    window = log_view.window(make.ActivityFactory())
    assert (window.html, window.total, window.reaches_end, window.chunk) == ("", 0, True, 0)


def test_the_window_is_the_last_thousand_lines_whatever_the_chunks() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join(f"line {n}" for n in range(1, 3001)), lines_per_chunk=700)
    window = log_view.window(activity)
    assert numbers(window.html) == list(range(2001, 3001))
    assert (window.first, window.last, window.total, window.chunk) == (2001, 3000, 3000, 5)


def test_a_chunk_of_many_short_lines_is_cut_to_the_window() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n" * 20_000, lines_per_chunk=20_000)
    assert len(numbers(log_view.window(activity).html)) == log_view.WINDOW


def test_earlier_lines_end_where_the_window_began() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join(str(n) for n in range(1, 2501)))
    assert numbers(log_view.window(activity, before=1501).html) == list(range(501, 1501))
    assert numbers(log_view.window(activity, before=3).html) == [1, 2]


def test_a_line_is_shown_in_the_middle_of_its_window() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join(str(n) for n in range(1, 5001)))
    window = log_view.window(activity, around=2000)
    assert window.first < 2000 < window.last
    assert not window.reaches_end
    assert log_view.window(activity, around=999_999).reaches_end


def test_long_lines_make_the_window_shorter() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join(["x" * 16_000] * 200), lines_per_chunk=4)
    last = log_view.window(activity)
    assert last.reaches_end
    assert 4 < len(numbers(last.html)) < 50
    assert numbers(last.html)[0] == last.first
    middle = log_view.window(activity, around=100)
    assert middle.first < 100 < middle.last
    assert len(numbers(middle.html)) < 80
    earlier = log_view.window(activity, before=last.first)
    assert earlier.last == last.first - 1


def test_search_finds_words_across_colours_in_the_whole_log() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join(["first \x1b[31mWARN\x1b[0ming", *["x"] * 3000, "a warning <b>"]))
    found = log_view.search(activity, "warning")
    assert found.count == 2
    assert "<mark>WARNing</mark>" in found.html
    assert "&lt;b&gt;" in found.html


def test_search_stops_at_its_limit_and_says_so() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "same\n" * 600)
    found = log_view.search(activity, "same")
    assert (found.count, found.more) == (log_view.MOST_FOUND, True)


def test_the_tail_of_a_failure_leaves_empty_lines_out() -> None:
    activity = make.ActivityFactory()
    make.write_log(activity, "\n".join([*map(str, range(30)), "", "\x1b[31mboom\x1b[0m", "", ""]), lines_per_chunk=5)
    tail = log_view.tail(activity, lines=3)
    assert tail == '<p>28</p><p>29</p><p><span class="f1">boom</span></p>'
