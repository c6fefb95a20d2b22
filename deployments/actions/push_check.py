"""What a push must be in order to be let in: rights, names, objects, configuration; every reason at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments import push_options
from deployments.actions.possible import check_room
from deployments.push_options import shown
from environments import access, manifest, names, repositories, runtimes
from environments.backing import fitness
from environments.models import Environment
from environments.repositories import ZERO, TreeSource
from portal import access as portal_access
from portal import titles
from portal.enums import EnvironmentType
from portal.errors import Conflict, Denied, Invalid, Missing
from portal.models import Project, User
from portal.permissions import Permission

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_CONFIG = (".platform.app.yaml", ".magento.app.yaml")
_FOLDERS = (".platform/", ".magento/")
_MAX_LINES = 80


@dataclass(frozen=True)
class RefUpdate:
    ref: str
    old: str  # 40 hex digits; zeros: the ref is new
    new: str  # zeros: the ref is to be deleted


class PushRefused(Exception):
    """`lines` are for the pusher's terminal."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


class Check:
    """One push under examination. `notes` are lines for the pusher that stop nothing."""

    def __init__(
        self, project: Project, by: User, repository: Path, options: Sequence[str], objects: Mapping[str, str] | None
    ) -> None:
        self.project, self.by, self.repository, self.objects = project, by, repository, objects
        self.wishes = push_options.parse(options)
        self.notes = list(self.wishes.warnings)
        self.problems = list(self.wishes.problems)
        self.environments = {each.branch: each for each in project.environments.select_related("parent", "project")}
        self.names = {each.name: each.branch for each in self.environments.values()}

    def all(self, updates: Sequence[RefUpdate]) -> list[dict[str, Any]]:
        """What is to be recorded for each ref, as plain data. Raises PushRefused."""
        plans = [self._one(update) for update in updates]
        found = [plan for plan in plans if plan is not None]
        if not self.problems:
            self._look_at_objects(found)
        if self.problems:
            raise PushRefused(self._refusal())
        return found

    def _refusal(self) -> list[str]:
        lines = [line for problem in dict.fromkeys(self.problems) for line in problem.split("\n")]
        more = [f"... and {len(lines) - _MAX_LINES} lines more."] if len(lines) > _MAX_LINES else []
        return ["", "The push was refused. Nothing was changed.", "", *lines[:_MAX_LINES], *more, ""]

    # Rights and names

    def _one(self, update: RefUpdate) -> dict[str, Any] | None:
        try:
            if update.ref.startswith(_TAGS):
                return self._tag(update)
            if not update.ref.startswith(_HEADS):
                raise Invalid("only branches and tags can be pushed")
            branch = update.ref.removeprefix(_HEADS)
            if update.new == ZERO:
                return self._delete(update, branch)
            names.check_branch(branch)
            return self._head(update, branch)
        except (Denied, Missing, Invalid, Conflict) as error:
            self.problems.append(f"{shown(update.ref.removeprefix(_HEADS), 200)}: {error.message}")
            return None

    def _tag(self, update: RefUpdate) -> dict[str, Any]:
        names.check_branch(update.ref.removeprefix(_TAGS))
        base = self._default()
        access.check(self.by, base, Permission.PUSH if update.old == ZERO else Permission.FORCE_PUSH)
        return {"kind": "tag", "ref": update.ref, "old": update.old, "new": update.new}

    def _delete(self, update: RefUpdate, branch: str) -> dict[str, Any]:
        environment = self.environments.get(branch)
        access.check(self.by, environment or self._default(), Permission.DELETE)
        if environment is not None:
            if branch == self.project.default_branch or environment.environment_type is not EnvironmentType.INTEGRATION:
                raise Conflict(f"{environment.title} is part of every project and cannot be deleted.")
            if environment.status != Environment.Status.INACTIVE:
                raise Conflict("its environment is active. Deactivate it first.")
            children = sorted(child.branch for child in self.environments.values() if child.parent_id == environment.pk)
            if children:
                raise Conflict(f"its environment has children: {', '.join(children)}. Delete them first.")
        return {"kind": "delete", "ref": update.ref, "old": update.old, "new": update.new}

    def _head(self, update: RefUpdate, branch: str) -> dict[str, Any]:
        environment = self.environments.get(branch)
        plan = {"kind": "head", "ref": update.ref, "old": update.old, "new": update.new, "activate": False}
        plan["empty"] = self.wishes.empty
        if environment is None:
            return plan | self._new_environment(branch)
        access.check(self.by, environment, Permission.PUSH)
        if environment.environment_type is not EnvironmentType.INTEGRATION:
            access.check(self.by, environment, Permission.OPERATE)
        if environment.status == Environment.Status.DELETING:
            raise Conflict("its environment is being deleted")
        if self.wishes.placing:
            self.notes.append(f"Warning: {branch} exists; its title, parent and type are not changed by push options.")
        if self.wishes.activate and not environment.is_active:
            access.check(self.by, environment, Permission.OPERATE)
            check_room(self.project, environment)
            plan["activate"] = True
        return plan

    def _new_environment(self, branch: str) -> dict[str, Any]:
        name = names.environment_id(branch)
        other = self.names.get(name)
        if other is not None and other != branch:
            raise Conflict(f"its environment would be called {name}, as that of {other} is. Choose another name")
        parent = self._parent()
        access.check(self.by, parent, Permission.BRANCH)
        type = self.wishes.type
        if type is EnvironmentType.STAGING:
            portal_access.check_project(self.by, self.project, Permission.MANAGE_PROJECT)
        title = titles.check(self.wishes.title or branch, longest=names.MAX_BRANCH_BYTES)
        if self.wishes.activate:
            check_room(self.project, Environment(project=self.project, type=type))
        self.names[name] = branch
        return {"parent": parent.pk, "type": type.value, "title": title, "activate": self.wishes.activate}

    def _parent(self) -> Environment:
        wanted = self.wishes.parent
        if not wanted:
            return self._default()
        found = self.environments.get(wanted) or self.environments.get(self.names.get(wanted.lower(), ""))
        if found is None or not access.can(self.by, found, Permission.SEE):
            raise Invalid(f"environment.parent: there is no environment {shown(wanted)}, or you have no access to it")
        if found.status == Environment.Status.DELETING:
            raise Conflict(f"environment.parent: {shown(wanted)} is being deleted")
        return found

    def _default(self) -> Environment:
        found = self.environments.get(self.project.default_branch)
        if found is None:
            raise Conflict("the project is still being made. Try again in a moment")
        return found

    # What the refs would point at

    def _look_at_objects(self, plans: Sequence[Mapping[str, Any]]) -> None:
        news = {plan["new"] for plan in plans if plan["kind"] == "head"}
        kinds = repositories.types(self.repository, sorted(news), self.objects) if news else {}
        seen: dict[str, list[str]] = {}
        for plan in plans:
            if plan["kind"] != "head":
                continue
            branch = plan["ref"].removeprefix(_HEADS)
            if kinds.get(plan["new"]) != "commit":
                self.problems.append(f"{branch}: a branch can only point at a commit.")
                continue
            self._check_history(plan, branch)
            seen.setdefault(plan["new"], []).append(branch)
        for commit, branches in seen.items():
            self._check_files(commit, branches, plans)

    def _check_history(self, plan: Mapping[str, Any], branch: str) -> None:
        if plan["old"] == ZERO or repositories.is_ancestor(self.repository, plan["old"], plan["new"], self.objects):
            return
        environment = self.environments.get(branch) or self._default()
        try:
            access.check(self.by, environment, Permission.FORCE_PUSH)
        except (Denied, Missing) as error:
            self.problems.append(
                f"{branch}: this push takes commits away from the branch (a force push). {error.message}"
            )

    def _check_files(self, commit: str, branches: Sequence[str], plans: Sequence[Mapping[str, Any]]) -> None:
        with TreeSource(self.repository, commit, self.objects) as source:
            trouble = submodule_problem(source)
            if trouble:
                self.problems.append(f"{', '.join(branches)}: {trouble}")
                return
            if not has_configuration(source):
                activating = {plan["ref"].removeprefix(_HEADS) for plan in plans if plan.get("activate")}
                self._without_configuration(branches, activating)
                return
            try:
                loaded = manifest.load(source)
            except manifest.ManifestError as error:
                self._add_problems(branches, error.problems)
                return
        errors, warnings = fitness.examine(loaded, runtimes.get())
        self._add_problems(branches, errors)
        self.notes += [f"Warning: {warning}" for warning in [*loaded.warnings, *warnings]]

    def _add_problems(self, branches: Sequence[str], problems: Sequence[object]) -> None:
        if problems:
            self.problems.append(f"{', '.join(branches)}: the configuration cannot be used.")
            self.problems += [f"  {problem}".replace("\n", "\n  ") for problem in problems]

    def _without_configuration(self, branches: Sequence[str], activating: set[str]) -> None:
        for branch in branches:
            environment = self.environments.get(branch)
            if branch in activating or (environment is not None and environment.is_active):
                self.problems.append(
                    f"{branch}: there is no .platform.app.yaml (or .magento.app.yaml), which says what to run. "
                    "An active environment needs one."
                )
            else:
                self.notes.append(f"Warning: {branch} has no .platform.app.yaml; it cannot be activated without one.")


def has_configuration(source: TreeSource) -> bool:
    return any(path.rpartition("/")[2] in _CONFIG or path.startswith(_FOLDERS) for path in source.files())


def submodule_problem(source: TreeSource) -> str:
    """A lone carriage return in .gitmodules makes old Git clients write outside the submodule; fsck lets it pass."""
    try:
        text = source.read(".gitmodules")
    except manifest.ManifestError as error:
        return str(error)
    if text and (b"\r" in text.replace(b"\r\n", b"\n") or b"\0" in text):
        return ".gitmodules holds a control character. Remove it."
    return ""
