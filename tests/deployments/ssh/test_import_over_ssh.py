"""Importing over SSH with a deploy key: our own server plays the other Git host."""

from collections.abc import Callable
from pathlib import Path

import pytest

from environments import imports, repositories
from environments.imports import ImportFailed
from environments.process import Watch
from portal.models import Project, SSHKey
from portal.paths import Home
from tests.deployments.git_server import Client


def fetch(project: Project, client: Client, to: Path, key: str) -> imports.Imported:
    return imports.import_remote(
        client.url(project),
        to,
        watch=Watch(output=lambda _: None, total=30),
        known_hosts=to.parent / "known hosts",
        private_key=key,
        max_bytes=10**8,
        allow_private=True,
    )


def test_a_repository_comes_with_the_deploy_key(client: Client, project: Project, home: Home, tmp_path: Path) -> None:
    to = tmp_path / "copy" / "project.git"
    imported = fetch(project, client, to, client.key.read_text())
    assert imported.commit == repositories.head(home.repository(project.pk), "master")
    assert repositories.head(to, "production") == imported.commit
    assert "127.0.0.1" in (to.parent / "known hosts").read_text()
    assert sorted(each.name for each in to.parent.iterdir()) == ["known hosts", "project.git"]  # no key is left


def test_without_the_right_key_the_answer_says_what_to_do(
    client: Client, client_of: Callable[..., Client], project: Project, tmp_path: Path
) -> None:
    wrong = client_of(None, "wrong").key.read_text()
    for key in (wrong, ""):
        with pytest.raises(ImportFailed, match="Add the project's deploy key there"):
            fetch(project, client, tmp_path / "copy" / "project.git", key)


def test_a_host_whose_key_has_changed_is_not_trusted(client: Client, project: Project, tmp_path: Path) -> None:
    to = tmp_path / "copy" / "project.git"
    fetch(project, client, to, client.key.read_text())
    known = to.parent / "known hosts"
    other = SSHKey.objects.get().public_key.split()[1]
    known.write_text(known.read_text().replace(known.read_text().split()[2], other))
    with pytest.raises(ImportFailed, match="not the one seen before"):
        fetch(project, client, to, client.key.read_text())
