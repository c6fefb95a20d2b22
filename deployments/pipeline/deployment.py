"""What a deployment works out once and all its steps use."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.db.models import Max

from deployments.enums import StepState
from deployments.models import Release
from deployments.pipeline import quieting, specs
from deployments.pipeline.context import Context
from deployments.pipeline.failures import Failure
from environments import repositories, slugs
from environments.backing import fitness
from environments.manifest import Manifest
from environments.models import Environment
from environments.routing import ResolvedRoute
from environments.runtimes.base import ReleaseSpec

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASS|AUTH|KEY|CREDENTIAL", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"://[^/@\s]*:(?P<password>[^/@\s]+)@")


class Deployment:
    """Everything is read again from the database and the commit when asked for, so another worker can go on from any
    step. Release `number` is settled with the configuration: activities of one environment never run side by side."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.environment = context.environment
        self.repository = settings.HOME.repository(context.project.pk)
        # Whether the configuration was found good: by this worker, or by one that was lost after it.
        self.checked = context.activity.steps.filter(name="check", state=StepState.SUCCEEDED).exists()

    @cached_property
    def commit(self) -> repositories.Commit:
        sha = self.context.activity.parameters.get("commit") or self.environment.head_commit
        known = repositories.types(self.repository, [sha]) if sha else {}
        if known.get(sha) != "commit":
            raise Failure("commit-missing", f"The commit {sha[:7]} is not in the repository any more.")
        return repositories.commits(self.repository, "", sha, limit=1)[0]

    @cached_property
    def manifest(self) -> Manifest:
        return specs.manifest_of(self.context.project.pk, self.commit.sha)

    @cached_property
    def routes(self) -> tuple[ResolvedRoute, ...]:
        return specs.routes_of(self.environment, self.manifest)

    @cached_property
    def route_warnings(self) -> list[str]:
        """What routes.yaml asks for and does not get."""
        _, warnings = fitness.examine(self.manifest, self.context.runtime)
        own = [problem for problem in [*self.manifest.warnings, *warnings] if problem.file.endswith("routes.yaml")]
        return [str(problem) for problem in own] + self.unreachable

    @property
    def unreachable(self) -> list[str]:
        """Hosts of routes that nobody can come by, and why."""
        named = dict.fromkeys(route.host for route in self.routes if not route.wildcard)
        remedy = "is no domain of this project, so it is not served. Add it on the Routes page of Production."
        return [f"{host} {remedy}" for host in named if host not in self.hosts]

    @cached_property
    def hosts(self) -> list[str]:
        return specs.hosts_of(self.environment, self.routes)

    @cached_property
    def number(self) -> int:
        if self.release is not None:
            return self.release.number
        return (Release.objects.filter(environment=self.environment).aggregate(last=Max("number"))["last"] or 0) + 1

    @property
    def release(self) -> Release | None:
        """The one that this activity made."""
        made = Release.objects.select_related("environment__project").filter(activity=self.context.activity)
        return made.order_by("-number").first()

    @cached_property
    def spec(self) -> ReleaseSpec:
        """Only once the release is recorded."""
        release = self.release
        assert release is not None
        self.hide_secrets()
        return specs.release_spec(release, self.manifest)

    @cached_property
    def replaces(self) -> int | None:
        """Number of the release that serves until this one does."""
        if self.release is not None:
            number: int | None = self.release.configuration.get("replaces")
            return number
        live = Release.objects.filter(environment=self.environment, state=Release.State.LIVE)
        return live.values_list("number", flat=True).first()

    @cached_property
    def quiets(self) -> bool:
        """Whether crons have to be paused: whether the release that it replaces has any."""
        replaced = Release.objects.filter(environment=self.environment, number=self.replaces or 0).first()
        return replaced is not None and any(True for _ in quieting.crons_of(replaced.configuration))

    @cached_property
    def trees(self) -> dict[str, str]:
        """Git's hash of each app's folder without its configuration."""
        return {
            app.name: repositories.tree_id(self.repository, self.commit.sha, app.source_root)
            for app in self.manifest.apps
        }

    @cached_property
    def slugs(self) -> dict[str, str]:
        """Slug id by app: made of what it is built from and how."""
        project = self.context.project.pk
        return {
            app.name: slugs.slug_id(project, app.name, self.trees[app.name], slugs.config_id(app, {}))
            for app in self.manifest.apps
        }

    @property
    def workspace(self) -> Path:
        return settings.HOME.build(self.context.activity.pk)

    def hide_secrets(self) -> None:
        self.context.hide(secrets_of(self.environment))


def secrets_of(environment: Environment) -> Iterator[str]:
    """What must not be shown of whatever runs there, or is built for it."""
    yield environment.project.entropy
    yield from build_secrets(settings.BUILD_ENVIRONMENT)
    for service in specs.service_specs(environment).values():
        yield from texts_in(service.secrets)


def build_secrets(variables: Mapping[str, str]) -> Iterator[str]:
    """What must not be shown of the operator's variables for builds: passwords in URLs, and values named as secrets."""
    for name, value in variables.items():
        if _SECRET_NAME.search(name):
            yield value
        for found in _URL_PASSWORD.finditer(value):
            yield unquote(found["password"])


def texts_in(value: Any) -> Iterator[str]:
    """Every text anywhere in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from texts_in(entry)
    elif isinstance(value, Sequence):
        for entry in value:
            yield from texts_in(entry)
