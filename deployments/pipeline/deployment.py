"""What a deployment works out once and all its steps use."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.db.models import Max

from deployments import state
from deployments.enums import StepState
from deployments.models import Activity, Release, VariableSet
from deployments.pipeline import quieting, specs
from deployments.pipeline.context import Context
from deployments.pipeline.failures import Failure
from environments import inheritance, repositories, slugs
from environments.backing import fitness
from environments.manifest import Manifest
from environments.models import Environment
from environments.routing import ResolvedRoute
from environments.runtimes.base import ReleaseSpec
from environments.variables import Variable

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
        seen = seen_by_builds(self.variables, self.context.project.entropy)
        return {
            app.name: slugs.slug_id(project, app.name, self.trees[app.name], slugs.config_id(app, seen))
            for app in self.manifest.apps
        }

    @cached_property
    def variables(self) -> list[Variable]:
        """Those that are set for the environment: looked up once in the activity, then pinned to it."""
        return self.variable_set.variables

    @cached_property
    def variable_set(self) -> VariableSet:
        activity = self.context.activity
        if activity.variable_set is None:
            found = inheritance.variables_of(self.environment)
            with state.fenced(activity):
                activity.variable_set = _recorded(self.environment, found)
                Activity.objects.filter(pk=activity.pk).update(variable_set=activity.variable_set)
        return activity.variable_set

    @property
    def workspace(self) -> Path:
        return settings.HOME.build(self.context.activity.pk)

    def hide_secrets(self) -> None:
        self.context.hide(secrets_of(self.environment))
        self.context.hide(specs.sensitive(self.variables))


def secrets_of(environment: Environment) -> Iterator[str]:
    """What must not be shown of whatever runs there, or is built for it."""
    yield environment.project.entropy
    yield from build_secrets(settings.BUILD_ENVIRONMENT)
    for service in specs.service_specs(environment).values():
        yield from specs.texts_in(service.secrets)
    live = Release.objects.filter(environment=environment, state=Release.State.LIVE).select_related("variable_set")
    for release in live:
        yield from specs.sensitive(specs.variables_of(release))


def build_secrets(variables: Mapping[str, str]) -> Iterator[str]:
    """What must not be shown of the operator's variables for builds: passwords in URLs, and values named as secrets."""
    for name, value in variables.items():
        if _SECRET_NAME.search(name):
            yield value
        for found in _URL_PASSWORD.finditer(value):
            yield unquote(found["password"])


def seen_by_builds(variables: Iterable[Variable], key: str) -> dict[str, Any]:
    """What of them names a slug. Slug ids are shown, so sensitive values go in under the project's secret `key`."""
    seen: dict[str, Any] = {}
    for variable in variables:
        if variable.visible_build:
            text = json.dumps([variable.value, variable.is_enabled], sort_keys=True)
            digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
            seen[variable.name] = [digest] if variable.is_sensitive else text
    return seen


def _recorded(environment: Environment, found: Sequence[Variable]) -> VariableSet:
    """The newest one when it holds the same."""
    last = VariableSet.objects.filter(environment=environment).last()
    if last is not None and last.variables == found:
        return last
    return VariableSet.objects.create(environment=environment, sealed=VariableSet.seal(found))
