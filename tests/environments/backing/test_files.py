import stat
import threading
import time
from pathlib import Path

import pytest

from environments.backing import files


def test_a_folder_is_made_once_however_many_ask(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(fresh: Path) -> None:
        made.append(fresh)
        fresh.mkdir()
        time.sleep(0.05)
        (fresh / "whole").touch()

    threads = [threading.Thread(target=files.make_whole, args=(tmp_path / "target", make)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "target" / "whole").exists()


def test_what_fails_in_the_middle_leaves_no_target_and_is_made_again(tmp_path: Path) -> None:
    def fail(fresh: Path) -> None:
        fresh.mkdir()
        (fresh / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.make_whole(tmp_path / "target", fail)
    assert not (tmp_path / "target").exists()
    files.make_whole(tmp_path / "target", lambda fresh: fresh.mkdir())
    assert not list((tmp_path / "target").iterdir())


def test_a_private_file_is_replaced_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for text in ("first", "second"):
        files.write_private(path, text)
        assert path.read_text() == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_keeps_modes_and_is_not_tied_to_its_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True, mode=0o700)
    (source / "below" / "file").write_text("text")
    files.copy(source, tmp_path / "copy")
    (source / "below" / "file").write_text("other")
    assert (tmp_path / "copy" / "below" / "file").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "copy" / "below").stat().st_mode) == 0o700
