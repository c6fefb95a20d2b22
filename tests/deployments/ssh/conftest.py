"""A project with a repository, a running server, and people with keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments.actions import push_check
from portal.enums import ProjectRole
from portal.models import Project, User
from portal.paths import Home
from tests import factories
from tests.deployments import git_server
from tests.deployments.git_server import Client


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, settings: object) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.run.mkdir()
    settings.HOME = home  # type: ignore[attr-defined]
    return home


@pytest.fixture
def project(transactional_db: None, home: Home, tmp_path: Path) -> Project:
    project = factories.ProjectFactory()
    commit = git_server.make_repository(home.repository(project.pk), tmp_path / "starter")
    for environment in factories.tree(project).values():
        environment.head_commit = commit
        environment.save()
    return project


@pytest.fixture
def owner(project: Project) -> User:
    return factories.MembershipFactory(project=project, role=ProjectRole.OWNER).user


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runtime of these tests has."""
    has = SimpleNamespace(languages=lambda: {"python": ["3.11"]}, engines=lambda: {"mariadb": ["10.11"]})
    monkeypatch.setattr(push_check.runtimes, "get", lambda: has, raising=False)


@pytest.fixture
def port(home: Home, transactional_db: None) -> Iterator[int]:
    with git_server.running() as port:
        yield port


@pytest.fixture
def client_of(port: int, tmp_path: Path) -> Callable[..., Client]:
    def make(user: User | None, name: str = "client") -> Client:
        return git_server.new_client(tmp_path / name, port, user)

    return make


@pytest.fixture
def client(client_of: Callable[..., Client], owner: User) -> Client:
    return client_of(owner)
