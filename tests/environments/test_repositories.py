import contextlib
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from environments import repositories
from environments.manifest import ManifestError
from environments.process import ProcessError
from environments.repositories import ZERO, TreeSource
from portal.errors import Conflict, Invalid, Missing

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def git(path: Path, *arguments: str, input: bytes | None = None) -> str:
    argv = ["git", "--git-dir", str(path), *arguments]
    return subprocess.run(argv, input=input, capture_output=True, check=True).stdout.decode().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "starter"
    files = {
        "README": "hello\n", ".env.example": "A=1\n", ".platform.app.yaml": "name: app\n", "app/sub/file": "deep\n",
        ".platform/routes.yaml": "{}\n", ".gitignore": "var/\n", "var/cache": "no\n",
        ".gitattributes": "README export-ignore\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    os.symlink("README", folder / "link")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project.git"


def begin(path: Path, folder: Path) -> str:
    return repositories.create_from_folder(path, folder, message="Begin", author="Ada", at=AT)


def commit_tree(path: Path, tree: str, *parents: str, message: str = "Next") -> str:
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    argv = ["git", "--git-dir", str(path), "commit-tree", tree, "-m", message]
    argv += [part for parent in parents for part in ("-p", parent)]
    return subprocess.run(argv, env=os.environ | who, capture_output=True, check=True, text=True).stdout.strip()


def test_a_folder_becomes_one_commit_on_the_three_branches(path: Path, folder: Path) -> None:
    commit = begin(path, folder)
    assert repositories.branches(path) == dict.fromkeys(["master", "production", "staging"], commit)
    with TreeSource(path, commit) as source:
        assert set(source.files()) == {
            "README", ".env.example", ".platform.app.yaml", ".platform/routes.yaml", ".gitignore", "app/sub/file",
            ".gitattributes", "run", "link",
        }  # fmt: skip
    (only,) = repositories.commits(path, ZERO, commit)
    assert (only.subject, only.author, only.at) == ("Begin", "Ada", AT)


def test_the_same_folder_gives_the_same_commit(path: Path, folder: Path, tmp_path: Path) -> None:
    assert begin(path, folder) == begin(tmp_path / "other.git", folder) == begin(path, folder)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.git", "project.git", "starter"]


def test_init_can_be_repeated_and_repairs_the_configuration(path: Path) -> None:
    repositories.init(path)
    (path / "config").write_text("[core]\n\tbare = true\n")
    repositories.init(path)
    assert git(path, "config", "receive.fsckObjects") == "true"
    assert git(path, "config", "--get-all", "uploadpack.hideRefs").split() == ["refs", "!refs/heads", "!refs/tags"]


def test_a_repository_that_cannot_be_made_leaves_nothing(path: Path, folder: Path) -> None:
    with pytest.raises(Invalid):
        repositories.create_from_folder(path, folder, message="x", author="x", branches=["--bad"])
    assert [each.name for each in path.parent.iterdir()] == ["starter"]


def test_export_writes_every_file_as_it_was_committed(path: Path, folder: Path, tmp_path: Path) -> None:
    commit = begin(path, folder)
    to = tmp_path / "out"
    repositories.export(path, commit, "", to)
    assert (to / "README").read_text() == "hello\n"  # although its author leaves it out of archives
    assert os.access(to / "run", os.X_OK)
    assert os.readlink(to / "link") == "README"
    assert (to / "app/sub/file").read_text() == "deep\n"
    assert not list(tmp_path.glob(".index-*"))


def test_export_of_one_folder(path: Path, folder: Path, tmp_path: Path) -> None:
    repositories.export(path, begin(path, folder), "/app/", tmp_path / "out")
    written = [each.relative_to(tmp_path / "out").as_posix() for each in (tmp_path / "out").rglob("*")]
    assert written == ["sub", "sub/file"]


@pytest.mark.parametrize("directory", ["..", "app/../..", ".git", "a/.git/hooks"])
def test_a_folder_outside_the_tree_is_missing(path: Path, folder: Path, tmp_path: Path, directory: str) -> None:
    with pytest.raises(Missing):
        repositories.export(path, begin(path, folder), directory, tmp_path / "out")


def test_export_does_not_write_through_links_or_outside(path: Path, folder: Path, tmp_path: Path) -> None:
    commit = begin(path, folder)
    blob = git(path, "hash-object", "-w", "--stdin", input=b"bad\n")
    to_outside = git(path, "hash-object", "-w", "--stdin", input=str(tmp_path / "outside").encode())
    (tmp_path / "outside").mkdir()
    inner = git(path, "mktree", input=f"100644 blob {blob}\tfile\n".encode())
    raw = b"120000 way\0" + bytes.fromhex(to_outside) + b"40000 way\0" + bytes.fromhex(inner)
    raw_dots = b"40000 ..\0" + bytes.fromhex(inner)
    for tree in (raw, raw_dots):
        sha = git(path, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=tree)
        bad = commit_tree(path, sha, commit)
        with contextlib.suppress(ProcessError):
            repositories.export(path, bad, "", tmp_path / "out" / sha)
        assert not list((tmp_path / "outside").iterdir())
        assert not (tmp_path / "out" / "file").exists()


def test_tree_id_is_that_of_git_and_ignores_configuration(path: Path, folder: Path, tmp_path: Path) -> None:
    first = begin(path, folder)
    assert repositories.tree_id(path, first, exclude=()) == git(path, "rev-parse", f"{first}^{{tree}}")
    assert repositories.tree_id(path, first, "app") == git(path, "rev-parse", f"{first}:app")
    (folder / ".platform.app.yaml").write_text("name: other\n")
    (folder / ".platform/routes.yaml").unlink()
    other = tmp_path / "other.git"
    assert repositories.tree_id(path, first) == repositories.tree_id(other, begin(other, folder))
    (folder / "README").write_text("other\n")
    assert repositories.tree_id(path, first) != repositories.tree_id(other, begin(other, folder))


def test_a_tree_is_read_without_following_links(path: Path, folder: Path) -> None:
    with TreeSource(path, begin(path, folder)) as source:
        assert source.read("app/sub/file") == b"deep\n"
        for name in ("nothing", "app", "app/sub/file/x", "../README", "/README", "", "README\nx", "--help"):
            assert source.read(name) is None
        with pytest.raises(ManifestError, match="symbolic link"):
            source.read("link")


def test_a_file_that_is_too_large_is_not_read(path: Path, folder: Path) -> None:
    (folder / "huge.yaml").write_bytes(b"x" * (1024 * 1024 + 1))
    with TreeSource(path, begin(path, folder)) as source, pytest.raises(ManifestError, match="too many"):
        source.read("huge.yaml")


def test_branches_are_made_and_deleted_once(path: Path, folder: Path) -> None:
    commit = begin(path, folder)
    other = commit_tree(path, git(path, "rev-parse", f"{commit}^{{tree}}"), commit)
    for _ in range(2):
        repositories.create_branch(path, "feature/x", commit)
    with pytest.raises(Conflict):
        repositories.create_branch(path, "feature/x", other)
    with pytest.raises(Conflict):
        repositories.create_branch(path, "feature", commit)
    with pytest.raises(Conflict):
        repositories.delete_branch(path, "feature/x", other)
    for _ in range(2):
        repositories.delete_branch(path, "feature/x", commit)
    assert repositories.head(path, "feature/x") is None


@pytest.mark.parametrize("name", ["--upload-pack=x", "HEAD", "a..b", "a\nb", "x" * 300, "-d"])
def test_no_function_takes_a_name_that_is_no_branch(path: Path, folder: Path, name: str) -> None:
    commit = begin(path, folder)
    with pytest.raises(Invalid):
        repositories.head(path, name)
    with pytest.raises(Invalid):
        repositories.create_branch(path, name, commit)
    with pytest.raises(Invalid):
        repositories.delete_branch(path, name)


@pytest.mark.parametrize("sha", ["--help", "HEAD", "", "0" * 39, "A" * 40, "0" * 40 + "\n"])
def test_no_function_takes_what_is_no_commit(path: Path, folder: Path, sha: str, tmp_path: Path) -> None:
    begin(path, folder)
    for call in (
        lambda: TreeSource(path, sha),
        lambda: repositories.commits(path, "", sha),
        lambda: repositories.export(path, sha, "", tmp_path / "out"),
        lambda: repositories.tree_id(path, sha),
        lambda: repositories.count_between(path, sha, sha),
        lambda: repositories.create_branch(path, "x", sha),
    ):
        with pytest.raises(Missing):
            call()


def test_what_a_push_adds_is_told_newest_first(path: Path, folder: Path) -> None:
    first = begin(path, folder)
    tree = git(path, "rev-parse", f"{first}^{{tree}}")
    second = commit_tree(path, tree, first, message="Second\n\nwith a body")
    third = commit_tree(path, tree, second, message="Third")
    assert [each.subject for each in repositories.commits(path, first, third)] == ["Third", "Second"]
    assert [each.subject for each in repositories.commits(path, first, third, limit=1)] == ["Third"]
    assert repositories.count_between(path, first, third) == (2, 0)
    assert repositories.count_between(path, third, second) == (0, 1)
    assert repositories.is_ancestor(path, first, third)
    assert not repositories.is_ancestor(path, third, first)


def test_types_of_objects(path: Path, folder: Path) -> None:
    commit = begin(path, folder)
    tree = git(path, "rev-parse", f"{commit}^{{tree}}")
    found = repositories.types(path, [commit, tree, "1" * 40])
    assert found == {commit: "commit", tree: "tree", "1" * 40: "missing"}


def test_housekeeping_keeps_what_is_reachable(path: Path, folder: Path) -> None:
    commit = begin(path, folder)
    repositories.housekeeping(path)
    git(path, "fsck", "--strict")
    assert repositories.head(path, "master") == commit
