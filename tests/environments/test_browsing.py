"""Folders of mounts as they are listed: page by page, and never through a link."""

import os
from pathlib import Path

import pytest

from environments import browsing
from portal.errors import Missing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("x")
    root = tmp_path / "volume"
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data" / "a file").write_bytes(b"12345")
    (root / "data" / "out").symlink_to(tmp_path / "secret")
    (root / "data" / "loop").symlink_to(".")
    os.mkfifo(root / "data" / "pipe")
    (root / "data" / "sub" / "deep").write_bytes(b"x" * 10_000)
    return root


def test_a_folder_is_listed_with_what_each_entry_is(root: Path) -> None:
    found = browsing.listing(root, "data", "")
    assert [(each.name, each.kind, each.size) for each in found.entries] == [
        ("a file", "file", 5), ("loop", "link", 0), ("out", "link", 0), ("pipe", "other", 0), ("sub", "folder", 0),
    ]  # fmt: skip
    assert [each.name for each in browsing.listing(root, "data", "sub").entries] == ["deep"]


@pytest.mark.parametrize(
    "path", ["out", "out/key", "..", "sub/../..", "loop", "a file", "pipe", "none", "sub/\0", "/etc"]
)
def test_nothing_leads_out(root: Path, path: str) -> None:
    with pytest.raises(Missing):
        browsing.listing(root, "data", path)


def test_a_mount_that_is_a_link_itself_is_not_followed(root: Path) -> None:
    (root / "other").symlink_to(root.parent / "secret")
    with pytest.raises(Missing):
        browsing.listing(root, "other", "")
    assert browsing.measure(root, "other") == (0, 0)
    assert browsing.measure(root / "missing", "") == (0, 0)


def test_large_folders_come_in_pages(root: Path) -> None:
    for number in range(browsing.PAGE + 5):
        (root / "data" / "sub" / f"f{number:05}").touch()
    first, second = (browsing.listing(root, "data", "sub", page) for page in (1, 2))
    assert (len(first.entries), len(second.entries), first.total, first.pages) == (1000, 6, 1006, 2)
    names = [each.name for each in [*first.entries, *second.entries]]
    assert names == sorted(names)
    assert browsing.listing(root, "data", "sub", 9).entries == []


def test_odd_names_survive_and_sizes_are_those_on_the_disk(root: Path) -> None:
    os.mkdir(os.fsencode(root) + b"/data/\xff\n")
    names = [each.name for each in browsing.listing(root, "data", "").entries]
    odd = next(name for name in names if "\n" in name)
    assert browsing.listing(root, "data", odd).entries == []
    files, size = browsing.measure(root, "data")
    assert files == 3  # links are none
    assert size >= 12_288
