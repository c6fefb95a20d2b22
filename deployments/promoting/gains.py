"""What a target gains by a promotion, read from the repository alone: commits, files, configuration, migrations.

Commits never change, so neither does what is worked out here: it is kept. It takes as long as Git does, so it is for
parts of pages that come after the page, and for workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from deployments.pipeline.deployment import seen_by_builds
from deployments.promoting import areas
from deployments.promoting.areas import AppFolder, Area
from environments import comparing, repositories, schema_changes, slugs
from environments.manifest import ManifestError
from environments.process import ProcessError
from environments.repositories import Collision, Commit, Counted
from environments.variables import Variable
from portal.errors import Missing, SlipwayError
from portal.models import Project

_COMMITS = 50
_FILES = 20_000  # are sorted into areas
_DIFFERENCES = 20  # configuration files whose lines are shown
_LINES = 200  # of one of them
_WIDTH = 400  # characters of a line
_TOO_LARGE = 512 * 1024  # bytes of a configuration file
_NO_MIGRATIONS = schema_changes.Found(())
_READ = 4 * 1024 * 1024  # bytes of migrations, all together


@dataclass(frozen=True)
class Line:
    sign: str  # "+", "-", " " or "@" for where in the file the next lines are
    text: str


@dataclass(frozen=True)
class Difference:
    """How a configuration file differs. `note`: why not all of it is here; empty when it is."""

    path: str
    lines: Sequence[Line]
    note: str = ""


@dataclass(frozen=True)
class Gains:
    """`outcome`: the commit that would be deployed; "" where there is none. `problem`: why nothing can be compared."""

    outcome: str = ""
    ahead: int = 0
    behind: int = 0
    commits: Sequence[Commit] = ()
    files: int = 0
    added: int = 0  # lines
    removed: int = 0
    areas: Sequence[Area] = ()
    configuration: Sequence[str] = ()  # "app store changed", "service cache added"
    differences: Sequence[Difference] = ()
    more_differences: int = 0
    migrations: schema_changes.Found = _NO_MIGRATIONS
    collisions: Sequence[Collision] = ()
    broken: str = ""  # what is wrong with the configuration that comes out
    problem: str = ""

    @property
    def more_commits(self) -> int:
        return self.ahead - len(self.commits)

    @property
    def is_nothing(self) -> bool:
        return not self.problem and not self.ahead and not self.files


def of(path: Path, base: str, commit: str, *, joins: bool = True) -> Gains:
    """What `commit` brings to `base`. `joins`: it is merged into it; else it takes its place, as a push's does."""
    if not base.strip("0"):
        return Gains(problem="There is nothing yet that it could be compared with.")
    try:
        return _of(path, base, commit, joins)
    except (ProcessError, Missing):
        return Gains(problem="One of the two commits is not in the repository any more.")
    except SlipwayError as error:
        return Gains(problem=error.message)


@lru_cache(maxsize=32)
def _of(path: Path, base: str, commit: str, joins: bool) -> Gains:
    ahead, behind = repositories.count_between(path, base, commit)
    commits = repositories.commits(path, base, commit, _COMMITS)
    begun = Gains(ahead=ahead, behind=behind, commits=commits)
    if not joins or not behind:
        return _compared(path, base, commit, replace(begun, outcome=commit))
    joined = comparing.joined(path, base, commit)
    if joined:
        return _compared(path, base, joined, replace(begun, outcome=joined))
    common = repositories.merge_base(path, base, commit) or base
    collisions = comparing.preview(path, base, commit).collisions
    return _compared(path, common, commit, replace(begun, collisions=collisions))


def _compared(path: Path, old: str, new: str, begun: Gains) -> Gains:
    files = repositories.counted(path, old, new)
    found = areas.areas(files[:_FILES], _apps(path, new))
    configured = [file.path for file in files if areas.is_configuration(file.path)]
    return replace(
        begun,
        files=len(files),
        added=sum(file.added or 0 for file in files),
        removed=sum(file.removed or 0 for file in files),
        areas=found,
        configuration=comparing.configuration(path, old, new),
        differences=_differences(path, old, new, configured[:_DIFFERENCES]),
        more_differences=max(0, len(configured) - _DIFFERENCES),
        migrations=_migrations(path, old, new, files),
        broken=comparing.broken(path, new),
    )


def _apps(path: Path, commit: str) -> list[AppFolder]:
    try:
        return [AppFolder(app.name, app.source_root, app.language) for app in comparing.load(path, commit).apps]
    except ManifestError:
        return []


def _differences(path: Path, old: str, new: str, names: Sequence[str]) -> list[Difference]:
    sizes = [repositories.sizes(path, commit, names) for commit in (old, new)]
    large = {name for found in sizes for name, size in found.items() if size > _TOO_LARGE}
    return [
        Difference(name, (), "It is too large to be shown here.")
        if name in large
        else _difference(name, repositories.unified(path, old, new, name))
        for name in names
    ]


def _difference(name: str, text: str) -> Difference:
    if not text:
        return Difference(name, (), "Git takes it for binary, or only its mode differs.")
    every = text.removesuffix("\n").split("\n")
    kept = [each for each in every if not each.startswith("\\")]  # "\ No newline at end of file"
    lines = [Line(each[:1] or " ", each[:_WIDTH] if each.startswith("@") else each[1:_WIDTH]) for each in kept[:_LINES]]
    more = len(kept) - len(lines)
    return Difference(name, lines, f"{more} more lines are not shown." if more else "")


def _migrations(path: Path, old: str, new: str, files: Sequence[Counted]) -> schema_changes.Found:
    listed = [file for file in files if schema_changes.kind_of(file.path)]
    names = [file.path for file in islice(listed, schema_changes.MOST)]
    limit = 4 * schema_changes.MAX_CHARACTERS
    after = repositories.texts(path, new, names, limit, _READ)
    before = repositories.texts(path, old, names, limit, _READ)
    return schema_changes.read(
        schema_changes.Changed(
            path=file.path,
            new=after.get(file.path),
            old=before.get(file.path, ""),
            deleted=file.how == "D",
        )
        for file in listed
    )


def slugs_of(path: Path, commit: str, project: Project, variables: Sequence[Variable]) -> Mapping[str, str]:
    """Slug id by app of what would be deployed with these variables; empty when its configuration is broken."""
    seen = seen_by_builds(variables, project.entropy)
    try:
        apps = comparing.load(path, commit).apps
        trees = {app.name: repositories.tree_id(path, commit, app.source_root) for app in apps}
    except (ManifestError, ProcessError, Missing):
        return {}
    return {app.name: slugs.slug_id(project.pk, app.name, trees[app.name], slugs.config_id(app, seen)) for app in apps}
