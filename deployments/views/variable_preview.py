"""What environments have of variables, now and after a change that is not saved yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deployments.actions.variables import same
from deployments.models import Release
from deployments.views.frame import Frame
from deployments.views.sections import Place
from environments.inheritance import Found, below, by_place, effective, line_of
from environments.models import Environment, Variable
from environments.variables import Variable as Plain

_SHOWN = 300  # characters of a value


@dataclass(frozen=True)
class Entry:
    """A variable that an environment has, and where from."""

    name: str
    text: str  # empty for one that is sensitive or only hides
    is_sensitive: bool
    is_enabled: bool
    source: str  # title of the environment, or "the project"; empty: this environment itself
    seen_by: str  # "build and run"
    hides: str = ""  # what it stands instead of
    change: str = ""  # "added", "changed", "removed"
    plain: Plain | None = None


@dataclass(frozen=True)
class Child:
    title: str
    active: bool
    changes: Sequence[str]


@dataclass(frozen=True)
class Preview:
    entries: Sequence[Entry]  # of the environment itself
    children: Sequence[Child]  # those that the person sees and that change
    hidden: int  # how many change besides
    any: bool


def effective_of(environment: Environment, framed: Frame, own: Sequence[Variable]) -> list[Entry]:
    """`own` stands for what is stored for it."""
    everyone, places = _all(environment.project_id)
    found = effective(line_of(everyone[environment.pk], everyone), places | {environment.pk: list(own)})
    return [_entry(name, each, environment.pk, framed) for name, each in found.items()]


def live_of(environment: Environment) -> Release | None:
    live = Release.objects.filter(environment=environment, state=Release.State.LIVE)
    return live.select_related("variable_set").first()


def pending(entries: Sequence[Entry], live: Release | None) -> list[str]:
    """Names whose values are not those of the release that is live."""
    if live is None:
        return []
    pinned = {each.name: each for each in live.variable_set.variables} if live.variable_set else {}
    now = {entry.name: entry.plain for entry in entries if entry.plain is not None}
    return sorted(name for name in pinned.keys() | now.keys() if pinned.get(name) != now.get(name))


def preview(place: Place, before: Sequence[Variable], after: Sequence[Variable]) -> Preview:
    everyone, places = _all(place.project.pk)
    environment = place.node.environment if place.node else None
    at = environment.pk if environment else None
    old, new = places | {at: list(before)}, places | {at: list(after)}
    entries = _changed(everyone[environment.pk], everyone, old, new, place.frame) if environment else []
    children, hidden = [], 0
    for child in below(environment, place.project, everyone.values()):
        names = _names(line_of(child, everyone), old, new)
        node = place.frame.node_of(child.pk)
        if names and node is not None:
            children.append(Child(child.title, child.is_active, names))
        hidden += bool(names) and node is None
    children.sort(key=lambda child: not child.active)
    changes = any(entry.change for entry in entries) or bool(children) or bool(hidden)
    return Preview(entries, children, hidden, changes)


Places = Mapping[int | None, Sequence[Variable]]


def _all(project_id: str) -> tuple[dict[int, Environment], dict[int | None, list[Variable]]]:
    everyone = {each.pk: each for each in Environment.objects.filter(project=project_id)}
    return everyone, by_place(Variable.objects.filter(project=project_id))


def _changed(
    environment: Environment, everyone: Mapping[int, Environment], old: Places, new: Places, framed: Frame
) -> list[Entry]:
    line = line_of(environment, everyone)
    before, after = effective(line, old), effective(line, new)
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        shown = other or one
        assert shown is not None
        change = "added" if one is None else "removed" if other is None else "" if _same(one, other) else "changed"
        found.append(_entry(name, shown, environment.pk, framed, change))
    return found


def _names(line: Sequence[int], old: Places, new: Places) -> list[str]:
    before, after = effective(line, old), effective(line, new)
    both = sorted(before.keys() | after.keys())
    return [name for name in both if not _same(before.get(name), after.get(name))]


def _same(one: Found | None, other: Found | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one.setting, other.setting)


def _entry(name: str, found: Found, own: int, framed: Frame, change: str = "") -> Entry:
    setting = found.setting
    plain = setting.plain()
    hidden = setting.is_sensitive or not setting.is_enabled
    seen = [word for word, sees in (("build", plain.visible_build), ("run", plain.visible_runtime)) if sees]
    return Entry(
        name=name,
        text="" if hidden else _cut(setting.text),
        is_sensitive=setting.is_sensitive,
        is_enabled=setting.is_enabled,
        source=_source(found.source, own, framed),
        seen_by=" and ".join(seen),
        hides=_source(found.replaces.source, own, framed) if found.replaces else "",
        change=change,
        plain=plain,
    )


def _source(place: int | None, own: int, framed: Frame) -> str:
    if place == own:
        return ""
    if place is None:
        return "the project"
    node = framed.node_of(place)
    return node.environment.title if node else "an environment that you cannot see"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
