import tracemalloc

import pytest

from deployments.log_lines import LINE_MAX, Lines, clean, shorten


def lines(*pieces: bytes) -> list[str]:
    reader = Lines()
    found = [line for piece in pieces for line in reader.feed(piece)]
    return found + reader.finish()


def test_lines_are_put_together_from_pieces_cut_anywhere() -> None:
    text = "häuser\nund gärten\n".encode()
    for cut in range(len(text)):
        assert lines(text[:cut], text[cut:]) == ["häuser", "und gärten"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert lines(b"a\xff\xfeb\n") == ["a��b"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[38;2;1;2;3mtrue colour\x1b[m", "\x1b[38;2;1;2;3mtrue colour\x1b[m"),
        ("a\x1b[2Kb\x1b[1;1Hc", "abc"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x9b31mtext", "text"),
        ("nul\x00 bell\x07 back\x08 del\x7f", "nul bell back del"),
        ("tab\there", "tab\there"),
        ("gpj\u202etxt.exe", "gpj<U+202E>txt.exe"),
        ("two\u2028lines", "two<U+2028>lines"),
        ("\x1b", ""),
    ],
)
def test_only_text_tabs_and_colours_stay(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_progress_bar_keeps_its_last_state() -> None:
    assert lines(b"10 %\r50 %\r100 %\ndone\r\n") == ["100 %", "done"]
    assert lines(b"10 %\r", b"50 %\r", b"100 %\r\n", b"next\n") == ["100 %", "next"]


def test_a_line_without_end_does_not_grow_memory() -> None:
    reader = Lines()
    piece = b"x" * 65536
    tracemalloc.start()
    for _ in range(800):  # 50 MB
        assert reader.feed(piece) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    (line,) = reader.finish()
    assert line.startswith("xxx")
    assert "more characters in this line were not kept" in shorten(line)
    assert len(shorten(line)) < LINE_MAX + 100
