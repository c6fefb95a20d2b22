"""Setting variables, for a project or an environment: a table of them as one change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from deployments import live
from deployments.actions import environments as environment_actions
from deployments.models import Activity
from environments import access, variable_checks
from environments.inheritance import by_place, effective, line_of
from environments.models import Environment, Variable
from environments.variables import Variable as Plain
from portal import audit
from portal.access import check_project
from portal.errors import Conflict, Invalid
from portal.models import AuditEvent, Project, User
from portal.permissions import Permission

FLAGS = ("is_json", "is_sensitive", "visible_build", "visible_runtime", "is_inheritable", "is_enabled")


@dataclass(frozen=True)
class Draft:
    """A row as somebody wants it. `key` is that of the variable it changes; `text` None leaves its value as it is."""

    key: int | None
    name: str
    text: str | None
    is_json: bool = False
    is_sensitive: bool = False
    visible_build: bool = False
    visible_runtime: bool = True
    is_inheritable: bool = True
    is_enabled: bool = True
    remove: bool = False


class Wrong(Invalid):
    """Some rows cannot be. `rows`: by the draft's place in the list, (field, what to do about it)."""

    def __init__(self, rows: Mapping[int, Sequence[tuple[str, str]]]) -> None:
        super().__init__("Nothing was saved. See what is said beside the rows below.", field="variables")
        self.rows = rows


class Outdated(Conflict):
    """Somebody else changed them meanwhile."""


@dataclass(frozen=True)
class Names:
    """What a change does, without any value."""

    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    removed: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        parts = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        return "; ".join(f"{word} {', '.join(names)}" for word, names in parts if names)


def own(project: Project, environment: Environment | None) -> list[Variable]:
    """What is set there itself, by name."""
    return list(Variable.objects.filter(project=project, environment=environment).select_related("changed_by"))


def version(rows: Sequence[Variable]) -> str:
    """Another one after each change."""
    return "-".join([str(len(rows)), *(f"{row.pk}.{row.changed_at.timestamp():.6f}" for row in _latest(rows))])


def _latest(rows: Sequence[Variable]) -> list[Variable]:
    """The newest and the one made last stand for all: nothing is changed, added or removed without changing them or
    the number."""
    return [max(rows, key=lambda row: row.changed_at), max(rows, key=lambda row: row.pk)] if rows else []


def planned(rows: Sequence[Variable], drafts: Sequence[Draft]) -> list[Variable]:
    """What would be set there after the change; unsaved. Raises Wrong."""
    known = {row.pk: row for row in rows}
    wrong: dict[int, list[tuple[str, str]]] = {}
    after: list[Variable] = [row for row in rows if row.pk not in {draft.key for draft in drafts}]
    for place, draft in enumerate(drafts):
        if draft.remove:
            continue
        try:
            after.append(_row(known.get(draft.key or 0), draft))
        except Invalid as error:
            wrong.setdefault(place, []).append((error.field or "name", error.message))
    _check_names(drafts, after, wrong)
    if wrong:
        raise Wrong(wrong)
    if len(after) > variable_checks.MAX_PLACE:
        raise Invalid(f"{len(after)} variables would be set here; {variable_checks.MAX_PLACE} are possible.")
    return sorted(after, key=lambda row: row.name)


def _row(known: Variable | None, draft: Draft) -> Variable:
    name = variable_checks.name(draft.name)
    if known is not None and known.is_sensitive and not draft.is_sensitive:
        text = "A sensitive variable stays sensitive. Remove it, and add one with a new value."
        raise Invalid(text, field="is_sensitive")
    if draft.text is None and known is None:
        raise Invalid("Somebody removed this variable meanwhile. Type its value to set it again.", field="value")
    if draft.is_enabled and not (draft.visible_build or draft.visible_runtime):
        raise Invalid("Nothing would see it. Choose build, run or both, or remove it.", field="visible_runtime")
    text = known.text if draft.text is None and known is not None else draft.text or ""
    if draft.is_sensitive and not text and draft.is_enabled:
        raise Invalid("A sensitive variable needs a value.", field="value")
    if draft.is_enabled or text:
        variable_checks.value(name, text, is_json=draft.is_json and draft.is_enabled)
    flags = {flag: getattr(draft, flag) for flag in FLAGS}
    row = Variable(pk=known.pk if known else None, name=name, **flags)
    if known is not None and known.text == text:
        row.sealed = known.sealed
    else:
        row.text = text
    if known is not None:
        row.changed_at, row.environment_id, row.project_id = known.changed_at, known.environment_id, known.project_id
    return row


def _check_names(drafts: Sequence[Draft], after: Sequence[Variable], wrong: dict[int, list[tuple[str, str]]]) -> None:
    counted = [row.name for row in after]
    for place, draft in enumerate(drafts):
        if draft.remove or place in wrong:
            continue
        name = variable_checks.name(draft.name)
        if counted.count(name) > 1:
            wrong[place] = [("name", f"{name} stands in more than one row. Leave one of them.")]


def difference(before: Sequence[Variable], after: Sequence[Variable]) -> Names:
    kept = {row.pk: row for row in before}
    staying = {row.pk for row in after}
    return Names(
        added=[row.name for row in after if row.pk is None],
        changed=[row.name for row in after if row.pk is not None and not same(kept[row.pk], row)],
        removed=[row.name for row in before if row.pk not in staying],
    )


def same(one: Variable, other: Variable) -> bool:
    return one is other or (
        one.sealed == other.sealed
        and one.name == other.name
        and all(getattr(one, flag) == getattr(other, flag) for flag in FLAGS)
    )


def save(
    project: Project,
    environment: Environment | None,
    drafts: Sequence[Draft],
    *,
    seen: str,
    by: User,
    redeploy: Sequence[Environment] = (),
    address: str = "",
) -> tuple[Names, list[Activity]]:
    """Carry all of it out, or nothing, and ask for the redeployments.

    `seen` is the version that the person looked at. Raises Missing or Denied by the role, Wrong, Outdated, Invalid.
    """
    check_may(project, environment, by=by)
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        rows = own(locked, environment)
        if version(rows) != seen:
            raise Outdated(told_of_others(project, environment))
        after = planned(rows, drafts)
        if environment is not None:
            _check_together(locked, environment, after)
        else:
            variable_checks.together([row.plain() for row in after])
        names = difference(rows, after)
        if names:
            _write(locked, environment, rows, after, by)
            _record(locked, environment, names, rows, after, by=by, address=address)
        asked = [environment_actions.redeploy(each, by=by, address=address) for each in redeploy]
        transaction.on_commit(lambda: live.publish(f"project:{project.pk}", "environment"))
    return names, asked


def check_may(project: Project, environment: Environment | None, *, by: User) -> None:
    if environment is None:
        check_project(by, project, Permission.MANAGE_PROJECT)
    else:
        access.check(by, environment, Permission.OPERATE)


def told_of_others(project: Project, environment: Environment | None) -> str:
    last = last_change(project, environment)
    who = f"{last.actor_name} {last.details.get('said') or 'changed them'}" if last else "Somebody changed them"
    return f"{who} while you were editing. Nothing of yours was saved or lost: look it over and save again."


def last_change(project: Project, environment: Environment | None) -> AuditEvent | None:
    """The audit event of it, or None."""
    target = environment.pk if environment else 0
    action = "environment.variables" if environment else "project.variables"
    events = AuditEvent.objects.filter(project_id=project.pk, action=action, details__environment=target)
    return events.order_by("-id").first()


def _check_together(project: Project, environment: Environment, after: Sequence[Variable]) -> None:
    everyone = {each.pk: each for each in project.environments.all()}
    settings = by_place(Variable.objects.filter(project=project)) | {environment.pk: list(after)}
    found = effective(line_of(everyone[environment.pk], everyone), settings)
    plain: list[Plain] = [each.setting.plain() for each in found.values()]
    variable_checks.together(plain)


def _write(
    project: Project, environment: Environment | None, before: Sequence[Variable], after: Sequence[Variable], by: User
) -> None:
    known, staying = {row.pk: row for row in before}, {row.pk for row in after}
    Variable.objects.filter(pk__in=[row.pk for row in before if row.pk not in staying]).delete()
    changed = [row for row in after if row.pk is None or not same(known[row.pk], row)]
    # Names that are swapped meet the constraint on the way: such rows are made anew.
    renamed = [row for row in changed if row.pk is not None and row.name != known[row.pk].name]
    Variable.objects.filter(pk__in=[row.pk for row in renamed]).delete()
    for row in changed:
        row.project, row.environment, row.changed_by = project, environment, by
        row.save(force_insert=row.pk is None or row in renamed)


def _record(
    project: Project,
    environment: Environment | None,
    names: Names,
    before: Sequence[Variable],
    after: Sequence[Variable],
    *,
    by: User,
    address: str,
) -> None:
    """Names and flags before and after; never a value."""
    audit.record(
        "environment.variables" if environment else "project.variables",
        by=by,
        project=project,
        target=environment.title if environment else project.title,
        address=address,
        environment=environment.pk if environment else 0,
        said=str(names),
        before={row.name: _flags(row) for row in before if row.name in {*names.changed, *names.removed}},
        after={row.name: _flags(row) for row in after if row.name in {*names.changed, *names.added}},
    )


def _flags(row: Variable) -> list[str]:
    return [flag for flag in FLAGS if getattr(row, flag)]
