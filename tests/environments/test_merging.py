"""Joining commits in a real repository, without a ref that moves."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from environments import comparing, repositories
from environments.repositories import Person
from portal.errors import Conflict

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAM = Person("Sam Lee", "sam@example.com", AT)
APP = b"name: store\ntype: 'python:3.11'\nweb: {commands: {start: run}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in {"a.txt": b"1\n2\n3\n4\n5\n", "b.txt": b"b\n", ".platform.app.yaml": APP}.items():
        (folder / name).write_bytes(content)
    path = tmp_path / "project.git"
    repositories.create_from_folder(path, folder, message="Begin", author="Ada", branches=["master"], at=AT)
    return path


def begin(path: Path) -> str:
    return repositories.head(path, "master") or ""


def commit(path: Path, parent: str, message: str = "Change", author: str = "Ada", **files: bytes) -> str:
    named = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
    return repositories.commit_change(
        path, parent, named, message=message, author=author, email="ada@example.com", at=AT
    )


def git(path: Path, *arguments: str) -> str:
    argv = ["git", "--git-dir", str(path), *arguments]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip()


def test_what_does_not_collide_is_joined(path: Path) -> None:
    ours = commit(path, begin(path), a_dot_txt=b"one\n2\n3\n4\n5\n")
    theirs = commit(path, begin(path), a_dot_txt=b"1\n2\n3\n4\nfive\n", c_dot_txt=b"c\n")
    joined = repositories.join(path, ours, theirs)
    assert joined.collisions == ()
    made = repositories.write_commit(path, joined.tree, [ours, theirs], "Merge", SAM)
    assert git(path, "show", f"{made}:a.txt") == "one\n2\n3\n4\nfive"
    assert git(path, "log", "-1", "--format=%an %ae %cn %P", made) == f"Sam Lee sam@example.com Sam Lee {ours} {theirs}"
    assert made == repositories.write_commit(path, joined.tree, [ours, theirs], "Merge", SAM)
    assert begin(path) not in (ours, theirs, made)


def test_collisions_name_each_file_and_why(path: Path) -> None:
    ours = commit(path, begin(path), a_dot_txt=b"ours\n", new=b"ours\n", **{"odd\nname": b"1"})
    theirs = commit(path, begin(path), a_dot_txt=b"theirs\n", new=b"theirs\n", **{"odd\nname": b"2"})
    found = {each.path: each.why for each in repositories.join(path, ours, theirs).collisions}
    assert found["a.txt"] == "both sides changed the same lines"
    assert found["new"] == found["odd\nname"] == "both sides added it, differently"
    assert len(found) == 3


def test_histories_without_a_common_commit_are_refused(path: Path, tmp_path: Path) -> None:
    tree = git(path, "rev-parse", f"{commit(path, begin(path), z=b'z')}^{{tree}}")
    other = repositories.write_commit(path, tree, [], "Another beginning", SAM)
    with pytest.raises(Conflict, match="no commit in common"):
        repositories.join(path, begin(path), other)
    with pytest.raises(Conflict, match="no commit in common"):
        repositories.rebase(path, other, begin(path), SAM)
    assert comparing.preview(path, begin(path), other).way == "impossible"


def test_a_rebase_keeps_authors_and_messages_and_leaves_out_what_is_there_already(path: Path) -> None:
    one = commit(path, begin(path), "First\n\nWith a body.\n", author="Björn", a_dot_txt=b"one\n2\n3\n4\n5\n")
    head = commit(path, one, "Second", b_dot_txt=b"B\n")
    onto = commit(path, begin(path), "The same as First", a_dot_txt=b"one\n2\n3\n4\n5\n")
    onto = commit(path, onto, "Third", c_dot_txt=b"c\n")
    done = repositories.rebase(path, head, onto, SAM)
    assert done.collisions == ()
    assert git(path, "log", "--format=%s", f"{onto}..{done.commit}") == "Second"
    assert git(path, "show", f"{done.commit}:c.txt") == "c"
    again = repositories.rebase(path, head, commit(path, begin(path), "Other", d=b"d"), SAM)
    told = git(path, "log", "--format=%an|%cn|%B|", "--reverse", "-2", again.commit).replace("\n", " ")
    assert told.startswith("Björn|Sam Lee|First  With a body.")


def test_a_rebase_says_which_commit_does_not_fit(path: Path) -> None:
    one = commit(path, begin(path), "Fits", b_dot_txt=b"B\n")
    head = commit(path, one, "Does not fit", a_dot_txt=b"ours\n")
    onto = commit(path, begin(path), a_dot_txt=b"theirs\n")
    done = repositories.rebase(path, head, onto, SAM)
    assert (done.at, [each.path for each in done.collisions]) == ("Does not fit", ["a.txt"])
    assert comparing.rebase_collision(path, head, onto)[0] == "Does not fit"


def test_a_branch_moves_only_from_where_it_was_seen(path: Path) -> None:
    start = begin(path)
    one, two = commit(path, start, b_dot_txt=b"1"), commit(path, start, b_dot_txt=b"2")
    assert repositories.move(path, "master", start, one, "merge")
    assert not repositories.move(path, "master", start, two, "merge")
    assert begin(path) == one


def test_whether_another_branch_holds_a_commit(path: Path) -> None:
    tip = commit(path, begin(path), b_dot_txt=b"1")
    repositories.create_branch(path, "next", tip)
    assert not repositories.held_elsewhere(path, tip, "next")
    assert repositories.held_elsewhere(path, begin(path), "next")
    repositories.create_branch(path, "last", tip)
    assert repositories.held_elsewhere(path, tip, "next")


def test_a_preview_tells_commits_files_by_area_and_configuration(path: Path) -> None:
    base = commit(path, begin(path), "On the other side", b_dot_txt=b"B\n")
    services = b"db:\n  type: mariadb:10.11\n"
    head = commit(
        path, begin(path), "Add a database", src__one=b"1", src__two=b"2", _dot_platform__services_dot_yaml=services
    )
    head = commit(path, head, "Change it", a_dot_txt=b"new\n")
    seen = comparing.preview(path, base, head)
    assert (seen.ahead, seen.behind, seen.way, seen.files) == (2, 1, "merge", 4)
    assert [each.subject for each in seen.commits] == ["Change it", "Add a database"]
    assert {(area.name, area.added, area.changed) for area in seen.areas} == {
        ("src", 2, 0), ("", 0, 1), (".platform", 1, 0),
    }  # fmt: skip
    assert list(seen.configuration) == ["service db added"]
    assert seen.broken == ""
    assert git(path, "for-each-ref", "--format=%(refname)") == "refs/heads/master"


def test_a_preview_tells_what_is_wrong_with_the_configuration_that_comes_out(path: Path) -> None:
    head = commit(path, begin(path), _dot_platform_dot_app_dot_yaml=APP.replace(b"web:", b"wep:"))
    seen = comparing.preview(path, begin(path), head)
    assert seen.way == "fast-forward"
    assert ".platform.app.yaml" in seen.broken
    assert "wep" in seen.broken


def test_a_comment_in_the_configuration_is_no_difference(path: Path) -> None:
    head = commit(path, begin(path), _dot_platform_dot_app_dot_yaml=APP + b"# a note\n")
    assert comparing.configuration(path, begin(path), head) == []
    changed = commit(path, head, _dot_platform_dot_app_dot_yaml=APP + b"timezone: Europe/Berlin\n")
    assert comparing.configuration(path, begin(path), changed) == ["app store changed"]
