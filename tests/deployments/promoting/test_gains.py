"""What a target gains, in a real repository."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.promoting import areas, gains
from deployments.promoting.areas import AppFolder
from environments import repositories
from environments.repositories import Counted

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
APP = b"name: store\ntype: 'python:3.11'\ndisk: 2048\nweb: {commands: {start: run}}\n"
BEGUN = {
    "store/.platform.app.yaml": APP,
    "store/shop.py": b"a\nb\nc\n",
    "store/migrations/0001_initial.py": b"class Migration: operations = []\n",
    "README.md": b"Store\n",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name, content in BEGUN.items():
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    path = tmp_path / "project.git"
    repositories.create_from_folder(path, tmp_path / "files", message="Begin", author="Ada", branches=["master"], at=AT)
    return path


def begin(path: Path) -> str:
    return repositories.head(path, "master") or ""


def commit(path: Path, parent: str, files: dict[str, bytes], message: str = "Change") -> str:
    return repositories.commit_change(
        path, parent, files, message=message, author="Mara", email="mara@example.com", at=AT
    )


def named(found: gains.Gains) -> dict[str, tuple[int, int, int]]:
    return {area.name: (area.files, area.added, area.removed) for area in found.areas}


def test_commits_files_and_lines_are_told_by_area(path: Path) -> None:
    new = commit(
        path,
        begin(path),
        {
            "store/shop.py": b"a\nB\nc\nd\n",
            "store/templates/cart.html": b"<p>\n",
            "store/static/cart.css": b"p {}\n",
            "store/static/cart.js": b"1\n",
            "store/static/cart.png": b"\x89PNG\0\0",
            "store/tests/test_shop.py": b"x\n",
            "README.md": b"Store\nMore\n",
            "requirements.txt": b"flask\n",
            "Makefile": b"all:\n",
        },
        "Hold carts",
    )
    found = gains.of(path, begin(path), new)
    assert [each.subject for each in found.commits] == ["Hold carts"]
    assert (found.ahead, found.behind, found.outcome, found.problem) == (1, 0, new, "")
    assert (found.files, found.added, found.removed) == (9, 9, 1)
    assert named(found) == {
        "app store": (1, 2, 1),
        "templates": (1, 1, 0),
        "styles": (1, 1, 0),
        "scripts": (1, 1, 0),
        "images and fonts": (1, 0, 0),
        "tests": (1, 1, 0),
        "docs": (1, 1, 0),
        "dependencies": (1, 1, 0),
        "other": (1, 1, 0),
    }
    assert found.areas[0].listed == [Counted("store/shop.py", "M", 2, 1)]
    assert found.areas[-1].name == "other"


def test_configuration_is_shown_line_by_line(path: Path) -> None:
    new = commit(
        path,
        begin(path),
        {
            "store/.platform.app.yaml": APP.replace(b"2048", b"4096"),
            ".slipway/deploy.yaml": b"hold: true\n",
        },
    )
    found = gains.of(path, begin(path), new)
    assert found.configuration == ["app store changed"]
    assert [each.path for each in found.differences] == [".slipway/deploy.yaml", "store/.platform.app.yaml"]
    assert [(line.sign, line.text) for line in found.differences[1].lines] == [
        ("@", "@@ -1,4 +1,4 @@"),
        (" ", "name: store"),
        (" ", "type: 'python:3.11'"),
        ("-", "disk: 2048"),
        ("+", "disk: 4096"),
        (" ", "web: {commands: {start: run}}"),
    ]
    assert named(found) == {"configuration": (2, 2, 1)}


def test_long_and_large_configuration_is_cut_and_says_so(path: Path) -> None:
    new = commit(
        path,
        begin(path),
        {".slipway/a.yaml": b"a: 1\n" * 900, ".slipway/b.yaml": b"b" * 600_000, ".slipway/c.bin": b"\0\1"},
    )
    a, b, c = gains.of(path, begin(path), new).differences
    assert (len(a.lines), a.note) == (200, "701 more lines are not shown.")
    assert (len(b.lines), b.note) == (0, "It is too large to be shown here.")
    assert c.note.startswith("Git takes it for binary")


def test_names_that_look_like_patterns_mean_only_themselves(path: Path) -> None:
    new = commit(path, begin(path), {".slipway/*": b"star\n", ".slipway/:(top)x": b"top\n", ".slipway/x": b"plain\n"})
    found = gains.of(path, begin(path), new)
    assert [[line.text for line in each.lines][1:] for each in found.differences] == [["star"], ["top"], ["plain"]]


def test_migrations_are_found_with_what_they_did_before(path: Path) -> None:
    new = commit(
        path,
        begin(path),
        {
            "store/migrations/0002_drop.py": b"class Migration:\n  o = [migrations.RemoveField('product', 'sku')]\n",
            "sql/a.sql": b"DROP TABLE a;\n",
        },
    )
    found = gains.of(path, begin(path), new).migrations
    assert [each.name for each in found.migrations] == ["a", "0002_drop"]
    assert found.destructive == 2
    newer = commit(path, new, {"sql/a.sql": b"DROP TABLE a;\nCREATE TABLE b (c int);\n"})
    assert [each.text for each in gains.of(path, new, newer).migrations.migrations[0].statements] == [
        "creates the table b"
    ]


def test_a_migration_that_is_too_large_is_told_unread(path: Path) -> None:
    new = commit(path, begin(path), {"dump.sql": b"DROP TABLE a;\n" * 100_000})
    (migration,) = gains.of(path, begin(path), new).migrations.migrations
    assert migration.unread == "It is too large to be read here."


def test_of_two_lines_only_what_the_target_lacks_is_gained(path: Path) -> None:
    base = commit(path, begin(path), {"README.md": b"Changed on the target\n", "both.txt": b"same\n"})
    new = commit(path, begin(path), {"store/shop.py": b"a\nb\nc\nd\n", "both.txt": b"same\n"})
    found = gains.of(path, base, new)
    assert (found.ahead, found.behind) == (1, 1)
    assert [file.path for area in found.areas for file in area.listed] == ["store/shop.py"]
    assert found.outcome not in ("", base, new)


def test_a_push_takes_the_place_of_what_was_there(path: Path) -> None:
    base = commit(path, begin(path), {"README.md": b"Changed on the target\n"})
    new = commit(path, begin(path), {"store/shop.py": b"a\n"})
    found = gains.of(path, base, new, joins=False)
    assert found.outcome == new
    assert sorted(named(found)) == ["app store", "docs"]


def test_collisions_are_told_and_nothing_comes_out(path: Path) -> None:
    base, new = (commit(path, begin(path), {"store/shop.py": text}) for text in (b"one\n", b"other\n"))
    found = gains.of(path, base, new)
    assert [each.path for each in found.collisions] == ["store/shop.py"]
    assert (found.outcome, found.files) == ("", 1)


def test_a_broken_configuration_is_told(path: Path) -> None:
    new = commit(path, begin(path), {"store/.platform.app.yaml": b"name: [\n"})
    found = gains.of(path, begin(path), new)
    assert "store/.platform.app.yaml" in found.broken
    assert found.differences


def test_nothing_is_gained_from_the_same_commit(path: Path) -> None:
    assert gains.of(path, begin(path), begin(path)).is_nothing


@pytest.mark.parametrize(
    ("base", "words"),
    [("", "nothing yet"), ("0" * 40, "nothing yet"), ("a" * 40, "not in the repository"), ("--all", "not in the")],
)
def test_what_cannot_be_compared_says_why(path: Path, base: str, words: str) -> None:
    assert words in gains.of(path, base, begin(path)).problem


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("store/shop.py", "app store"),
        ("store/api/x.ts", "app api"),
        ("store/x.ts", "scripts"),
        ("lib/x.php", "code"),
        (".magento/services.yaml", "configuration"),
        ("store/migrations/0001_x.py", "migrations"),
        ("src/CartTest.php", "tests"),
        ("docs/x.py", "docs"),
        ("composer.lock", "dependencies"),
        ("view/cart.phtml", "templates"),
        ("x.PNG", "images and fonts"),
        ("weird\nname", "other"),
    ],
)
def test_files_are_sorted_by_name(name: str, area: str) -> None:
    apps = [AppFolder("store", "store", "python"), AppFolder("api", "store/api", "nodejs")]
    assert areas.area_of(name, apps) == area
