import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments import ansi

ONLY_SPANS = re.compile(r"<(?!/?span)|<span (?!class=\"[a-z0-9 -]+\">)|javascript:(?=[^<]*\")")


def one(line: str) -> str:
    return ansi.lines(line + "\n")[0]


def test_the_sixteen_colours_become_classes() -> None:
    assert one("\x1b[31mred\x1b[0m plain") == '<span class="f1">red</span> plain'
    assert one("\x1b[97;44mx") == '<span class="f15 g4">x</span>'
    assert one("\x1b[1;4mx\x1b[22;24my") == '<span class="b u">x</span>y'


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("38;5;9", "f9"),
        ("38;5;196", "f1"),
        ("38;5;28", "f2"),
        ("38;5;240", "f8"),
        ("38;2;255;165;0", "f3"),
        ("38:2:0:0:200", "f4"),
        ("48;2;200;0;0", "g1"),
    ],
)
def test_more_colours_become_the_nearest_of_the_sixteen(sequence: str, expected: str) -> None:
    assert one(f"\x1b[{sequence}mx") == f'<span class="{expected}">x</span>'


@pytest.mark.parametrize(
    "sequence", ["38;5;999", "38;2;1;2", "38", "38;5", "48;2;300;0;0", "12345678901234567890", ";;;"]
)
def test_a_broken_colour_changes_nothing(sequence: str) -> None:
    assert one(f"\x1b[{sequence}mx") == "x"


def test_a_colour_goes_on_over_line_ends_and_ends_with_the_chunk() -> None:
    assert ansi.lines("\x1b[32ma\nb\n") == ['<span class="f2">a</span>', '<span class="f2">b</span>']
    assert ansi.lines("c\n") == ["c"]


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        '</pre></p><div hx-get="/account/keys" hx-trigger="load">',
        '\x1b[31m"><script>\x1b[0m',
        "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
        "\x1b]0;title<script>\x07text",
        "\x9d8;;javascript:alert(1)\x9cclick",
        "\x1bPq<img>\x1b\\text",
        "\x1b]unterminated <b>text",
    ],
)
def test_hostile_lines_become_text(hostile: str) -> None:
    shown = one(hostile)
    assert not ONLY_SPANS.search(shown)
    assert "\x1b" not in shown


def test_links_and_titles_are_dropped_and_their_text_stays() -> None:
    assert one("\x1b]8;;javascript:alert(1)\x1b\\click here\x1b]8;;\x1b\\") == "click here"
    assert one("\x1b]0;owned\x07text") == "text"


def test_nothing_can_be_hidden_by_a_sequence_without_an_end() -> None:
    assert "the rest" in one("\x1b]8;;http://x the rest")
    assert "the rest" in one("\x9d the rest")


def test_cursor_movement_and_screen_clearing_are_dropped() -> None:
    assert one("a\x1b[2J\x1b[1;1H\x1b[?25lb\x1b7c") == "abc"


def test_characters_that_reorder_or_hide_text_are_written_out() -> None:
    assert one("gpj.\u202eexe") == 'gpj.<span class="hidden-character">U+202E</span>exe'
    assert "U+200B" in one("pass\u200bword")
    assert "U+0000" in one("a\x00b")


def test_a_carriage_return_draws_over_the_line() -> None:
    assert one("10%\r50%\r100%") == "100%"
    assert one("done\r") == "done"


@given(st.text(alphabet=st.sampled_from("\x1b\x9b\x9d[]();:0123456789mMKP\\\x07<>&\"'ab \r\u202e"), max_size=200))
def test_whatever_is_printed_only_spans_with_known_classes_come_out(text: str) -> None:
    for line in ansi.lines(text + "\n"):
        assert not ONLY_SPANS.search(line)
        assert "\x1b" not in line


@given(st.text(max_size=300))
def test_as_many_lines_come_out_as_went_in(text: str) -> None:
    assert len(ansi.lines(text + "\n")) == text.removesuffix("\n").count("\n") + 1 or text.endswith("\n")


@pytest.mark.parametrize("unit", ["\x1b[", "\x9d", "\x1b]", "\x1b[1;", "\x1b[31mx", "\r", "\x1b ", "\u202e"])
def test_a_long_line_of_sequences_takes_no_long_time(unit: str) -> None:
    begun = time.monotonic()
    one(unit * (64 * 1024 // len(unit)))
    assert time.monotonic() - begun < 5
