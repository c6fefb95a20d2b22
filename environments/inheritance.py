"""Which variables an environment has: the project's, then those of its parents from the top down, then its own.

Live: a change above is in the next deployment of everything below, without being copied anywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from environments import variables
from environments.models import Environment, Variable
from portal.models import Project


@dataclass(frozen=True)
class Found:
    setting: Variable
    source: int | None  # key of the environment that sets it; None: the project
    replaces: "Found | None" = None  # what would be in its place


def line_of(environment: Environment, everyone: Mapping[int, Environment]) -> list[int]:
    """Keys of its parents from the top of the tree down to itself. `everyone`: the project's, by key."""
    line, at = [environment.pk], environment
    while at.parent_id is not None and at.parent_id in everyone and at.parent_id not in line:
        at = everyone[at.parent_id]
        line.append(at.pk)
    return line[::-1]


def effective(line: Sequence[int], settings: Mapping[int | None, Iterable[Variable]]) -> dict[str, Found]:
    """By name, those that only hide another included. `settings` by who sets them; None is the project."""
    found: dict[str, Found] = {}
    for place in (None, *line):
        for setting in settings.get(place, ()):
            if setting.is_inheritable or place is None or place == line[-1]:
                found[setting.name] = Found(setting, place, found.get(setting.name))
    return dict(sorted(found.items()))


def by_place(rows: Iterable[Variable]) -> dict[int | None, list[Variable]]:
    places: dict[int | None, list[Variable]] = {}
    for row in rows:
        places.setdefault(row.environment_id, []).append(row)
    return places


def variables_of(environment: Environment) -> list[variables.Variable]:
    """As they are now, in plain text: what the next deployment pins to its release."""
    everyone = {each.pk: each for each in Environment.objects.filter(project=environment.project_id)}
    rows = by_place(Variable.objects.filter(project=environment.project_id))
    found = effective(line_of(everyone[environment.pk], everyone), rows)
    return [each.setting.plain() for each in found.values()]


def below(environment: Environment | None, project: Project, everyone: Iterable[Environment]) -> list[Environment]:
    """Everything that inherits from the environment; from the project, when there is none."""
    known = {each.pk: each for each in everyone}
    if environment is None:
        return list(known.values())
    return [each for each in known.values() if each.pk != environment.pk and environment.pk in line_of(each, known)]
