"""Log files that grow, are rotated and are large: no line is missing, none comes twice."""

import os
from pathlib import Path

import pytest

from environments import log_files
from environments.log_files import Position


def write(folder: Path, text: str, name: str = "app.app") -> Path:
    path = folder / f"{name}.log"
    with path.open("a") as file:
        file.write(text)
    return path


def test_logs_are_listed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("access", "app.app", "app--queue.app", "db.service"):
        write(tmp_path, "x\n", name)
    (tmp_path / "app.app.log.1").write_text("old")
    (tmp_path / "evil.log").symlink_to("/etc/passwd")
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "Odd name.log").write_text("x")
    assert [each.name for each in log_files.listed(tmp_path)] == ["access", "app--queue.app", "app.app", "db.service"]
    assert log_files.listed(tmp_path / "nothing") == []
    assert log_files.tail(tmp_path, "evil") is None


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "app.app.log.1", "", "a\n", "x" * 300])
def test_other_names_are_no_logs(tmp_path: Path, name: str) -> None:
    assert log_files.tail(tmp_path, name) is None
    assert log_files.before(tmp_path, name, 5) is None
    assert log_files.following(tmp_path, name, Position(1, 1)) is None


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    write(tmp_path, "one\ntwo\nhal")
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    assert piece.text == b"one\ntwo\n"
    assert log_files.following(tmp_path, "app.app", piece.end) is None
    write(tmp_path, "f\nthree\n")
    after = log_files.following(tmp_path, "app.app", piece.end)
    assert after is not None
    assert (after.text, after.first) == (b"half\nthree\n", 8)
    assert Position.parse(str(after.end)) == after.end


def test_a_rotation_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "one\n")
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    write(tmp_path, "two\nwithout end")
    path.rename(tmp_path / "app.app.log.1")
    write(tmp_path, "three\n")
    seen, position, rotations = b"", piece.end, []
    while (after := log_files.following(tmp_path, "app.app", position)) is not None and after.end != position:
        seen += after.text
        rotations.append(after.rotated)
        position = after.end
    assert seen == b"two\nwithout endthree\n"
    assert rotations == [False, False, True]


def test_a_new_empty_file_is_noticed_and_one_that_was_emptied_begins_anew(tmp_path: Path) -> None:
    path = write(tmp_path, "one\n")
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    path.rename(tmp_path / "app.app.log.1")
    path.touch()
    fresh = log_files.following(tmp_path, "app.app", piece.end)
    assert fresh is not None
    assert (fresh.text, fresh.rotated, fresh.end.offset) == (b"", True, 0)
    write(tmp_path, "a long line\n")
    there = log_files.following(tmp_path, "app.app", fresh.end)
    assert there is not None
    os.truncate(path, 0)
    write(tmp_path, "b\n")
    again = log_files.following(tmp_path, "app.app", there.end)
    assert again is not None
    assert (again.text, again.rotated) == (b"b\n", True)


def test_large_files_are_read_from_their_end_and_page_by_page_to_their_beginning(tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(60_000)]
    write(tmp_path, "".join(lines))
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    text, first = piece.text, piece.first
    assert len(text) <= log_files.PIECE
    while first:
        earlier = log_files.before(tmp_path, "app.app", first)
        assert earlier is not None
        text, first = earlier.text + text, earlier.first
    assert text.decode() == "".join(lines)
    assert b"".join(log_files.pieces(tmp_path, "app.app")).decode() == "".join(lines)


def test_who_falls_behind_is_told_how_much_was_left_out(tmp_path: Path) -> None:
    write(tmp_path, "one\n")
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    write(tmp_path, "x" * 99 + "\n")
    write(tmp_path, ("y" * 99 + "\n") * 60_000)
    after = log_files.following(tmp_path, "app.app", piece.end)
    assert after is not None
    assert after.skipped + len(after.text) == 100 * 60_001
    assert after.text.startswith(b"yyy")


def test_a_line_that_never_ends_is_given_out_in_parts(tmp_path: Path) -> None:
    write(tmp_path, "one\n")
    piece = log_files.tail(tmp_path, "app.app")
    assert piece is not None
    write(tmp_path, "z" * (log_files.PIECE + 5))
    after = log_files.following(tmp_path, "app.app", piece.end)
    assert after is not None
    assert len(after.text) == log_files.PIECE
