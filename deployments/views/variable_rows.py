"""The table of variables as a form: what is stored becomes rows, what was typed becomes rows and drafts."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from django.http import QueryDict
from django.utils.crypto import salted_hmac

from deployments.actions.variables import FLAGS, Draft
from environments import env_files, variable_checks
from environments.models import Variable
from portal.errors import Invalid

SPARE = 1  # empty rows at the end
_MOST = variable_checks.MAX_PLACE + 100
_KEY = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True)
class Row:
    """One row as it is shown. `was` is a digest of what the row held when it was shown first."""

    draft: Draft
    was: str = ""
    stored_sensitive: bool = False  # its value is set and not shown
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""

    @property
    def touched(self) -> bool:
        return self.draft.remove or _digest(self.draft) != self.was

    @property
    def empty(self) -> bool:
        return self.draft.key is None and not self.draft.name.strip() and not self.draft.text

    @property
    def is_new(self) -> bool:
        return self.draft.key is None

    @property
    def lines(self) -> int:
        return min(12, (self.draft.text or "").count("\n") + 1)


def stored(variable: Variable) -> Row:
    flags = {flag: getattr(variable, flag) for flag in FLAGS}
    draft = Draft(variable.pk, variable.name, None if variable.is_sensitive else variable.text, **flags)
    return Row(draft, _digest(draft), variable.is_sensitive)


def blank(name: str = "", *, enabled: bool = True) -> Row:
    return Row(Draft(None, name, "", is_enabled=enabled))


def typed(data: QueryDict, known: Sequence[Variable]) -> list[Row]:
    """The rows that were sent. `known`: what is stored now, to tell whose values are not shown."""
    sensitive = {variable.pk for variable in known if variable.is_sensitive}
    try:
        count = int(data.get("count", "0"))
    except ValueError:
        count = -1
    if not 0 <= count <= _MOST:
        raise Invalid("The table did not arrive whole. Load the page again.")
    rows = (_typed(data, number, sensitive) for number in range(count))
    return [row for row in rows if not row.empty]


def _typed(data: QueryDict, number: int, sensitive: set[int]) -> Row:
    def given(what: str) -> str:
        return data.get(f"r{number}-{what}", "").replace("\r\n", "\n")

    key = int(given("key")) if _KEY.match(given("key")) else None
    flags = {flag: f"r{number}-{flag}" in data for flag in FLAGS}
    hidden = key in sensitive or (key is not None and given("hidden") == "1")
    text = None if hidden and not given("value") else given("value")
    return Row(Draft(key, given("name"), text, **flags, remove=f"r{number}-remove" in data), given("was"), hidden)


def brought_up(rows: Sequence[Row], known: Sequence[Variable]) -> list[Row]:
    """What was typed, on top of what somebody else stored meanwhile."""
    by_key = {variable.pk: variable for variable in known}
    seen = {row.draft.key for row in rows}
    found = [made for row in rows if (made := _brought_up(row, by_key)) is not None]
    return found + [replace(stored(each), note="added meanwhile") for each in known if each.pk not in seen]


def _brought_up(row: Row, known: Mapping[int, Variable]) -> Row | None:
    if row.draft.key is None:
        return row
    variable = known.get(row.draft.key)
    if variable is None:
        gone = replace(row.draft, key=None, text=row.draft.text or "")
        return (
            replace(row, draft=gone, was="", stored_sensitive=False, note="removed meanwhile") if row.touched else None
        )
    now = stored(variable)
    if not row.touched:
        return now if now.was == row.was else replace(now, note="changed meanwhile")
    if now.was == row.was:
        return row
    shown = "a new value" if variable.is_sensitive else f"now {variable.name} = {variable.text[:200]}"
    return replace(row, was=now.was, note=f"changed meanwhile: {shown}")


def imported(rows: Sequence[Row], entries: Iterable[env_files.Entry]) -> list[Row]:
    """The rows with those of a file in them, unsaved."""
    found = {_name(row.draft.name): row for row in rows}
    for entry in entries:
        at = _name(entry.name)
        known = found.get(at)
        if known is None:
            found[at] = Row(Draft(None, entry.name, entry.text, **entry.flags))
            continue
        flags = entry.flags | {"is_sensitive": entry.flags["is_sensitive"] or known.draft.is_sensitive}
        found[at] = replace(known, draft=Draft(known.draft.key, known.draft.name, entry.text, **flags))
    return list(found.values())


def told(rows: Sequence[Row], wrong: Mapping[int, Sequence[tuple[str, str]]], touched: Sequence[int]) -> list[Row]:
    """With what was refused. `touched`: the row of each draft."""
    errors: dict[int, dict[str, list[str]]] = {}
    for place, found in wrong.items():
        for name, message in found:
            errors.setdefault(touched[place], {}).setdefault(name, []).append(message)
    return [replace(row, errors=errors.get(number, {})) for number, row in enumerate(rows)]


def _name(given: str) -> str:
    try:
        return variable_checks.name(given)
    except Invalid:
        return given


def _digest(draft: Draft) -> str:
    text = json.dumps(asdict(replace(draft, remove=False)), sort_keys=True)
    return salted_hmac("slipway.variables", text).hexdigest()
