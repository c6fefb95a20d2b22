"""HTTP access of an environment: what is set, what holds, and changing it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.contrib.auth.hashers import make_password
from django.db import transaction

from environments import access, http_access, marks
from environments.http_access import Policy
from environments.models import Environment, HttpAccess
from portal import audit
from portal.errors import Conflict, Invalid
from portal.models import User
from portal.permissions import Permission

_DEEPEST = 100


class Mode(StrEnum):
    INHERIT = "inherit"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class Holding:
    """What holds for an environment, and which one set it (None: nobody did)."""

    policy: Policy | None
    source: Environment | None
    own: HttpAccess | None = None  # what it sets itself


def holding(environment: Environment) -> Holding:
    """One query when it sets anything itself; else another for all above it, and one for each that is not loaded."""
    own = HttpAccess.objects.filter(environment=environment).first()
    if own is not None:
        return Holding(own.policy if own.enabled else None, environment, own)
    above: list[Environment] = []
    parent = environment.parent
    while parent is not None and len(above) < _DEEPEST:
        above.append(parent)
        parent = parent.parent
    rows = {row.environment_id: row for row in HttpAccess.objects.filter(environment__in=above)} if above else {}
    for each in above:
        if each.pk in rows:
            row = rows[each.pk]
            return Holding(row.policy if row.enabled else None, each)
    return Holding(None, None)


@dataclass(frozen=True)
class Change:
    """What a person wants. Passwords are plain here, and nowhere after `save`."""

    mode: Mode
    rules: str = ""  # one a line
    passwords: Mapping[str, str] = field(default_factory=dict)  # new ones of logins that are there
    removed: Collection[str] = ()
    added: tuple[str, str] | None = None  # name, password
    confirmed: bool = False  # that nobody but members is let in


def save(environment: Environment, change: Change, *, by: User, address: str = "") -> None:
    """Raises Missing, Denied, Invalid (rules, name or password), Conflict (field confirmed) when nobody gets in."""
    access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        Environment.objects.select_for_update().get(pk=environment.pk)
        own = HttpAccess.objects.filter(environment=environment).first()
        before = _told(own)
        if change.mode is Mode.INHERIT:
            after = None
            HttpAccess.objects.filter(environment=environment).delete()
        else:
            after = own or HttpAccess(environment=environment)
            after.enabled = change.mode is Mode.ON
            after.rules = [[rule.allow, str(rule.network)] for rule in http_access.read_rules(change.rules)]
            after.logins = _logins(after.logins, change)
            _check_somebody(environment, after, change)
            after.save()
            if after.enabled:
                marks.ask(environment)
        told = _told(after)
        if told != before or change.passwords:
            audit.record(
                "environment.http_access",
                by=by,
                project=environment.project,
                target=environment.title,
                address=address,
                before=before,
                after=told,
                passwords=sorted(change.passwords),
            )
        transaction.on_commit(lambda: marks.refresh(environment))


def list_in_search(environment: Environment, *, unlisted: bool, by: User, address: str = "") -> None:
    """Whether search engines are asked to stay away from Production; from all others they always are."""
    access.check(by, environment, Permission.OPERATE)
    if not environment.is_public:
        raise Conflict("Only Production can be found by search engines; the others never are.")
    with transaction.atomic():
        if not Environment.objects.filter(pk=environment.pk, unlisted=not unlisted).update(unlisted=unlisted):
            return
        audit.record(
            "environment.unlisted" if unlisted else "environment.listed",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
        )
        transaction.on_commit(lambda: marks.refresh(environment))
    environment.unlisted = unlisted


def _logins(known: Mapping[str, str], change: Change) -> dict[str, str]:
    logins = {name: hashed for name, hashed in known.items() if name not in change.removed}
    for name, password in change.passwords.items():
        if name in logins:
            http_access.check_login(name, password)
            logins[name] = make_password(password)
    if change.added is not None:
        name, password = change.added
        http_access.check_login(name, password)
        if name in logins:
            raise Invalid(f"There is a login {name} already. Give it a new password instead.", field="name")
        logins[name] = make_password(password)
    if len(logins) > http_access.MAX_LOGINS:
        raise Invalid(f"At most {http_access.MAX_LOGINS} logins can be kept.", field="name")
    return logins


def _check_somebody(environment: Environment, after: HttpAccess, change: Change) -> None:
    if after.enabled and not change.confirmed and http_access.nobody(after.policy, public=environment.is_public):
        raise Conflict(
            "With this, nobody gets in but members of the project: there is no login, and no address is allowed. "
            "If that is what you want, say so and save again.",
            field="confirmed",
        )


def _told(own: HttpAccess | None) -> dict[str, object]:
    """For the audit: no hash is in it."""
    if own is None:
        return {"mode": Mode.INHERIT}
    mode = Mode.ON if own.enabled else Mode.OFF
    return {"mode": mode, "rules": list(map(str, own.policy.rules)), "logins": sorted(own.logins)}
