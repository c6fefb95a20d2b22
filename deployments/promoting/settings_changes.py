"""Which variables a target's next deployment has otherwise than its live release, and otherwise than the source has.

Three queries. Values of sensitive ones are in nothing that is returned, but for `Settings.variables`, which is for
those who make slugs and digests of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deployments.models import Release
from environments.inheritance import Found, by_place, effective, line_of
from environments.models import Environment, Variable
from environments.variables import Variable as Plain

_SHOWN = 120  # characters of a value


@dataclass(frozen=True)
class VariableChange:
    """`change`: "added", "changed" or "removed". Values are empty for sensitive ones and where there is none."""

    name: str
    change: str
    where: str  # "this environment", "an environment above", "the project"; empty: nowhere any more
    before: str = ""
    after: str = ""
    is_sensitive: bool = False


@dataclass(frozen=True)
class Settings:
    """`coming`: what the deployment changes for the target. `unlike_source`: what the code has not run with before;
    there `before` is the source's."""

    coming: Sequence[VariableChange]
    unlike_source: Sequence[VariableChange]
    variables: Sequence[Plain] = field(repr=False)


def of(target: Environment, source: Environment | None) -> Settings:
    everyone = {each.pk: each for each in Environment.objects.filter(project=target.project_id)}
    places = by_place(Variable.objects.filter(project=target.project_id))
    found = effective(line_of(target, everyone), places)
    now = {name: each.setting.plain() for name, each in found.items()}
    live = Release.objects.filter(environment=target, state=Release.State.LIVE).select_related("variable_set").first()
    pinned = {each.name: each for each in live.variable_set.variables} if live and live.variable_set else {}
    theirs = _plain(effective(line_of(source, everyone), places)) if source else {}
    return Settings(
        coming=_changes(pinned, now, found, target) if live else (),
        unlike_source=_changes(theirs, now, found, target) if source else (),
        variables=list(now.values()),
    )


def _plain(found: Mapping[str, Found]) -> dict[str, Plain]:
    return {name: each.setting.plain() for name, each in found.items()}


def _changes(
    before: Mapping[str, Plain], after: Mapping[str, Plain], found: Mapping[str, Found], target: Environment
) -> list[VariableChange]:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [_change(name, before.get(name), after.get(name), found.get(name), target) for name in names]


def _change(
    name: str, before: Plain | None, after: Plain | None, found: Found | None, target: Environment
) -> VariableChange:
    sensitive = any(each.is_sensitive for each in (before, after) if each)
    return VariableChange(
        name=name,
        change="added" if before is None else "removed" if after is None else "changed",
        where=_where(found, target),
        before="" if sensitive else _shown(before),
        after="" if sensitive else _shown(after),
        is_sensitive=sensitive,
    )


def _where(found: Found | None, target: Environment) -> str:
    if found is None:
        return ""
    if found.source is None:
        return "the project"
    return "this environment" if found.source == target.pk else "an environment above"


def _shown(variable: Plain | None) -> str:
    if variable is None or not variable.is_enabled:
        return ""
    text = str(variable.value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
