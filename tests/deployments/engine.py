"""A project with a repository on the fake runtime, and activities that are run in the test's own process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from deployments.actions import activities
from deployments.enums import Kind
from deployments.models import Activity
from deployments.pipeline import runner
from environments import repositories, runtimes
from environments.models import Environment
from environments.runtimes.fake import FakeRuntime
from portal.enums import EnvironmentType
from portal.models import Project, User
from tests.factories import EnvironmentFactory, MembershipFactory, ProjectFactory, UserFactory

APP = """
name: app
type: 'python:3.11'
web:
    commands:
        start: python serve.py
hooks:
    build: |
        echo building
    deploy: |
        echo deploying
"""
FILES: dict[str, str] = {".platform.app.yaml": APP, "serve.py": "print('hello')\n"}


class Engine:
    """`environment` is master, inactive at first; `by` owns the project."""

    def __init__(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        runtime = runtimes.get()
        assert isinstance(runtime, FakeRuntime)
        self.runtime = runtime
        self.by: User = UserFactory()
        self.project: Project = ProjectFactory()
        MembershipFactory(project=self.project, user=self.by)
        commit = self._commit_all(files or FILES)
        parent = None
        for branch, type in (
            ("production", EnvironmentType.PRODUCTION),
            ("staging", EnvironmentType.STAGING),
            ("master", EnvironmentType.INTEGRATION),
        ):
            parent = EnvironmentFactory(
                project=self.project,
                branch=branch,
                type=type,
                parent=parent,
                status=Environment.Status.INACTIVE,
                head_commit=commit,
            )
        assert parent is not None
        self.environment: Environment = parent

    @property
    def repository(self) -> Path:
        return settings.HOME.repository(self.project.pk)

    def commit(self, files: Mapping[str, str], branch: str = "master") -> str:
        """Move a branch to a new commit that holds these files (and only these)."""
        other = self.repository.with_name("next.git")
        sha = repositories.create_from_folder(
            other, self._write(files), message="Change", author="Mara", branches=["x"]
        )
        repositories.plumbing.git(self.repository, "fetch", "--quiet", str(other), f"+refs/heads/x:refs/heads/{branch}")
        return sha

    def branch(self, name: str, parent: Environment | None = None) -> Environment:
        """An inactive one, at its parent's commit."""
        above = parent or self.environment
        above.refresh_from_db()
        repositories.create_branch(self.repository, name, above.head_commit)
        return EnvironmentFactory(
            project=self.project,
            branch=name,
            parent=above,
            status=Environment.Status.INACTIVE,
            head_commit=above.head_commit,
            created_by=self.by,
        )

    def add(self, environment: Environment, files: Mapping[str, str], message: str = "Change") -> str:
        """One commit more on a branch, recorded as a push would be; returns it."""
        environment.refresh_from_db()
        sha = repositories.commit_change(
            self.repository,
            environment.head_commit,
            {name: text.encode() for name, text in files.items()},
            message=message,
            author="Mara",
            email="mara@example.com",
            at=timezone.now(),
        )
        assert repositories.move(self.repository, environment.branch, environment.head_commit, sha, "push")
        Environment.objects.filter(pk=environment.pk).update(head_commit=sha)
        environment.refresh_from_db()
        return sha

    def push(self, files: Mapping[str, str]) -> Activity:
        sha = self.commit(files)
        Environment.objects.filter(pk=self.environment.pk).update(head_commit=sha)
        return self.ask(Kind.PUSH, commit=sha, commits=[{"sha": sha, "subject": "Change", "author": "Mara"}])

    def ask(self, kind: Kind, environment: Environment | None = None, **parameters: Any) -> Activity:
        environment = environment or self.environment
        environment.refresh_from_db()
        if kind in (Kind.ACTIVATE, Kind.REDEPLOY):
            parameters.setdefault("commit", environment.head_commit)
        return activities.create(
            kind=kind, project=self.project, environment=environment, by=self.by, parameters=parameters
        )

    def run(self, activity: Activity) -> Activity:
        runner.run(activity.pk, "here")
        activity.refresh_from_db()
        self.environment.refresh_from_db()
        return activity

    def served_by(self, environment: Environment | None = None) -> int | None:
        """Number of the release that the environment's own host leads to."""
        link = settings.HOME.edge / (environment or self.environment).host
        return int(link.readlink().parent.name) if link.is_symlink() else None

    def _commit_all(self, files: Mapping[str, str]) -> str:
        return repositories.create_from_folder(self.repository, self._write(files), message="Begin", author="Mara")

    def _write(self, files: Mapping[str, str]) -> Path:
        folder = self._folder / f"tree-{len(list(self._folder.iterdir()))}"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder


def log_of(activity: Activity) -> str:
    return "".join(activity.log.order_by("number").values_list("text", flat=True))


def steps_of(activity: Activity) -> list[tuple[str, str]]:
    return list(activity.steps.order_by("position").values_list("title", "state"))
