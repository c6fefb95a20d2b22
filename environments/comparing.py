"""What one commit would bring to another: commits, files, configuration, and where both collide.

Two commits never change, so neither does what lies between them: whatever is worked out here may be kept. It knows no
database, and takes as long as Git does: for workers, and for parts of pages that come after the page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from environments import manifest, repositories
from environments.manifest.base import Model
from environments.repositories import Collision, Commit, Person, TreeSource

_COMMITS = 50  # of a preview are told one by one
_AREAS = 30
_FILES = 2000  # of a preview are counted into areas
_CONFIG_NAMES = (".platform.app.yaml", ".magento.app.yaml")
_CONFIG_FOLDERS = (".platform/", ".magento/")


@dataclass(frozen=True)
class Area:
    """A folder of the repository (or its root, which has no name), and how many of its files change how."""

    name: str
    added: int
    changed: int
    deleted: int


@dataclass(frozen=True)
class Preview:
    """What `commit` brings to `base`. `ahead`: its commits that the base lacks; `behind`: the base's that it lacks."""

    ahead: int
    behind: int
    commits: Sequence[Commit]
    files: int
    areas: Sequence[Area]
    configuration: Sequence[str]
    collisions: Sequence[Collision]
    problem: str = ""  # why nothing can be joined at all
    broken: str = ""  # what is wrong with the configuration that comes out

    @property
    def way(self) -> str:
        """ "nothing", "impossible", "collision", "fast-forward" or "merge"."""
        if self.problem:
            return "impossible"
        if not self.ahead:
            return "nothing"
        if self.collisions:
            return "collision"
        return "merge" if self.behind else "fast-forward"

    @property
    def more_commits(self) -> int:
        return self.ahead - len(self.commits)


@lru_cache(maxsize=128)
def preview(path: Path, base: str, commit: str) -> Preview:
    """Raises ProcessError and Missing when the repository does not hold both."""
    ahead, behind = repositories.count_between(path, base, commit)
    commits = repositories.commits(path, base, commit, _COMMITS)
    common = repositories.merge_base(path, base, commit)
    if common is None:
        problem = "The two branches have no commit in common: they cannot be merged."
        return Preview(ahead, behind, commits, 0, (), (), (), problem=problem)
    changed = repositories.changes(path, common, commit)
    joined = repositories.join(path, base, commit)
    configuration, broken = _coming(path, base, commit, "" if joined.collisions else joined.tree)
    return Preview(
        ahead=ahead,
        behind=behind,
        commits=commits,
        files=len(changed),
        areas=areas(changed),
        configuration=configuration,
        collisions=joined.collisions,
        broken=broken,
    )


@lru_cache(maxsize=128)
def rebase_collision(path: Path, head: str, onto: str) -> tuple[str, Sequence[Collision]]:
    """(subject of the commit that does not fit, files) when `head` is put on top of `onto`; ("", ()) when all fit.

    Raises Conflict with the reason when it cannot be done at all.
    """
    nobody = Person("Slipway", "slipway@localhost", repositories.commits(path, "", onto, 1)[0].at)
    done = repositories.rebase(path, head, onto, nobody)
    return done.at, done.collisions


def _coming(path: Path, base: str, commit: str, tree: str) -> tuple[list[str], str]:
    """How the base's configuration changes, and what is wrong with what comes out. Without a tree: as it is there."""
    after = _written(path, base, commit, tree) if tree else commit
    return configuration(path, base, after), broken(path, after)


def joined(path: Path, base: str, commit: str) -> str:
    """A commit, known to no branch, of what comes out when `commit` is merged into `base`; "" where they collide.

    Raises Conflict when they have no commit in common.
    """
    found = repositories.join(path, base, commit)
    return "" if found.collisions else _written(path, base, commit, found.tree)


def _written(path: Path, base: str, commit: str, tree: str) -> str:
    at = repositories.commits(path, "", commit, 1)[0].at
    return repositories.write_commit(path, tree, [base, commit], "preview", Person("Slipway", "", at))


def areas(changed: Sequence[tuple[str, str]]) -> list[Area]:
    """The files by the folder that they are in, the most changed first."""
    counted: dict[str, Counter[str]] = {}
    for how, name in changed[:_FILES]:
        folder, slash, _ = name.partition("/")
        counted.setdefault(folder if slash else "", Counter())[how if how in "AD" else "M"] += 1
    made = [Area(name, count["A"], count["M"], count["D"]) for name, count in counted.items()]
    return sorted(made, key=lambda area: (-(area.added + area.changed + area.deleted), area.name))[:_AREAS]


def is_configuration(name: str) -> bool:
    return name.rpartition("/")[2] in _CONFIG_NAMES or name.startswith(_CONFIG_FOLDERS)


def configuration(path: Path, base: str, commit: str) -> list[str]:
    """How `commit` is configured otherwise than `base`: ["app store changed", "service cache added", ...]."""
    files = [name for _, name in repositories.changes(path, base, commit) if is_configuration(name)]
    if not files:
        return []
    try:
        before, after = load(path, base), load(path, commit)
    except manifest.ManifestError:
        return [f"{name} changed" for name in sorted(files)[:20]]
    told = _differing("app", {app.name: app for app in before.apps}, {app.name: app for app in after.apps})
    told += _differing("service", before.services, after.services)
    return told + _differing(
        "route", {route.url: route for route in before.routes}, {route.url: route for route in after.routes}
    )


def _differing(what: str, before: Mapping[str, Model], after: Mapping[str, Model]) -> list[str]:
    told = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            told.append(f"{what} {name} removed")
        elif name not in before:
            told.append(f"{what} {name} added")
        elif _values(before[name]) != _values(after[name]):
            told.append(f"{what} {name} changed")
    return told


def _values(model: Model) -> dict[str, Any]:
    return model.model_dump(exclude={"config_file"})


def load(path: Path, commit: str) -> manifest.Manifest:
    """Raises ManifestError."""
    with TreeSource(path, commit) as source:
        return manifest.load(source)


def has_configuration(path: Path, commit: str) -> bool:
    with TreeSource(path, commit) as source:
        return any(is_configuration(name) for name in source.files())


def broken(path: Path, commit: str) -> str:
    """What is wrong with the configuration of a commit that has one; empty when nothing is."""
    if not has_configuration(path, commit):
        return ""
    try:
        load(path, commit)
    except manifest.ManifestError as error:
        return str(error)
    return ""
