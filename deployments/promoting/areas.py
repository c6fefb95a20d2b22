"""What a changed file is, told by its name: what people look for first when they decide about a change."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from environments import comparing, schema_changes
from environments.repositories import Counted

LISTED = 30  # files of an area that are told one by one

_TESTS = re.compile(r"(?:.*/)?(?:tests?|specs?|__tests__|e2e|cypress)/|(?:.*/)?(?:test_[^/]*|conftest)\.py\Z"
                    r"|.*(?:_test|\.test|\.spec|Test|Spec)\.\w{1,4}\Z")  # fmt: skip
_DOCS = re.compile(r"(?:.*/)?docs?/|.*\.(?:md|rst|adoc)\Z|(?:.*/)?(?:LICENSE|README|CHANGELOG|COPYING)[^/]*\Z")
_LOCKS = re.compile(
    r"(?:.*/)?(?:composer\.(?:json|lock)|package(?:-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|uv\.lock"
    r"|Pipfile(?:\.lock)?|pyproject\.toml|requirements[^/]*\.(?:txt|in)|Gemfile(?:\.lock)?|go\.(?:mod|sum)"
    r"|Cargo\.(?:toml|lock))\Z"
)
_BY_ENDING = {
    "templates": "html htm twig phtml j2 jinja jinja2 mustache hbs erb liquid ejs tpl",
    "styles": "css scss sass less styl",
    "scripts": "js mjs cjs jsx ts tsx vue svelte",
    "images and fonts": "png jpg jpeg gif svg webp avif ico woff woff2 ttf otf eot",
    "code": "py php rb go java kt rs cs ex exs pl sh lua scala c h cpp",
}
_KINDS = {ending: kind for kind, endings in _BY_ENDING.items() for ending in endings.split()}
_SERVERSIDE = ("nodejs", "bun", "deno")  # whose scripts are the app's code


@dataclass(frozen=True)
class AppFolder:
    name: str
    folder: str  # without slashes around it; "" is the root of the repository
    language: str


@dataclass(frozen=True)
class Area:
    """`listed` are the files with the most changed lines; `more` are not listed."""

    name: str  # "app store", "configuration", "migrations", "templates", ..., "other"
    files: int
    added: int
    removed: int
    listed: Sequence[Counted]

    @property
    def more(self) -> int:
        return self.files - len(self.listed)


def areas(files: Iterable[Counted], apps: Sequence[AppFolder]) -> list[Area]:
    found: dict[str, list[Counted]] = {}
    for file in files:
        found.setdefault(area_of(file.path, apps), []).append(file)
    made = [_area(name, listed) for name, listed in found.items()]
    return sorted(made, key=lambda area: (area.name == "other", -(area.added + area.removed), area.name))


def _area(name: str, files: Sequence[Counted]) -> Area:
    listed = sorted(files, key=lambda file: (-(file.added or 0) - (file.removed or 0), file.path))[:LISTED]
    return Area(
        name, len(files), sum(each.added or 0 for each in files), sum(each.removed or 0 for each in files), listed
    )


def is_configuration(path: str) -> bool:
    return comparing.is_configuration(path) or path.startswith(".slipway/")


def area_of(path: str, apps: Sequence[AppFolder]) -> str:
    if is_configuration(path):
        return "configuration"
    if _TESTS.match(path):
        return "tests"
    if schema_changes.kind_of(path):
        return "migrations"
    if _LOCKS.match(path):
        return "dependencies"
    if _DOCS.match(path):
        return "docs"
    name = path.rpartition("/")[2]
    kind = _KINDS.get(name.rpartition(".")[2].lower() if "." in name else "", "other")
    app = _app_of(path, apps)
    if kind == "code" or (kind == "scripts" and app and app.language in _SERVERSIDE):
        return f"app {app.name}" if app else "code"
    return kind


def _app_of(path: str, apps: Sequence[AppFolder]) -> AppFolder | None:
    """The one in the innermost folder."""
    holding = [app for app in apps if not app.folder or path.startswith(f"{app.folder}/")]
    return max(holding, key=lambda app: len(app.folder), default=None)


def totals(found: Sequence[Area]) -> Mapping[str, int]:
    return {each: sum(getattr(area, each) for area in found) for each in ("files", "added", "removed")}
