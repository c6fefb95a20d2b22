"""Every URL, asked by every kind of person; a URL that is missing from the table fails the guard."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from deployments.enums import State
from deployments.models import Activity, Backup, CronRun, Message, SSHSession
from environments.models import Environment
from portal.enums import EnvironmentRole, ProjectRole
from portal.models import Project, SSHKey, User
from tests.deployments.mail.letters import letter, put
from tests.factories import (
    PASSWORD,
    ActivityFactory,
    BackupFactory,
    CronRunFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    ReleaseFactory,
    UserFactory,
    member,
    tree,
)

pytestmark = pytest.mark.django_db

ROLES = ("anonymous", "stranger", "nobody", "viewer", "contributor", "env admin", "project admin", "owner")
EVERYBODY = set(ROLES)
SIGNED_IN = EVERYBODY - {"anonymous"}
OWNERS = {"project admin", "owner"}
IN_PROJECT = SIGNED_IN - {"stranger"}
SEE = IN_PROJECT - {"nobody"}
PUSH = SEE - {"viewer"}
OPERATE = PUSH - {"contributor"}


@dataclass
class World:
    project: Project
    environment: Environment  # Integration, inactive, without children
    active: Environment
    failed: Activity
    running: Activity
    backup: Backup
    people: dict[str, User | None]
    key: SSHKey

    def client(self, role: str) -> Client:
        client = Client()
        user = self.people[role]
        if user is not None:
            client.force_login(user)
        return client


@dataclass(frozen=True)
class Door:
    """One method of one URL, and who is let in."""

    name: str
    who: set[str]
    arguments: Callable[[World], list[Any]] = field(default=lambda world: [])
    method: str = "GET"
    data: Callable[[World], dict[str, Any]] = field(default=lambda world: {})
    refused: int = 403  # what a person gets who may see the thing but not do this


def on_project(world: World) -> list[Any]:
    return [world.project.pk]


def on_environment(world: World) -> list[Any]:
    return [world.project.pk, world.environment.name]


def on_active(world: World) -> list[Any]:
    return [world.project.pk, world.active.name]


def on_failed(world: World) -> list[Any]:
    return [world.project.pk, world.failed.pk]


def on_running(world: World) -> list[Any]:
    return [world.project.pk, world.running.pk]


def on_backup(world: World) -> list[Any]:
    return [*on_active(world), world.backup.pk]


def on_title(world: World) -> list[Any]:
    return [*on_active(world), "title"]


def on_http_access(world: World) -> list[Any]:
    return [*on_active(world), "http-access"]


def on_ssh_session(world: World) -> list[Any]:
    owner = world.people["owner"]
    session, _ = SSHSession.objects.get_or_create(
        environment=world.active, user=owner, kind="shell", program="app", address="127.0.0.1"
    )
    return [*on_active(world), session.pk]


def on_log(world: World) -> list[Any]:
    return [*on_active(world), "app.app"]


def on_certificate(world: World) -> list[Any]:
    return [*on_active(world), "0" * 64]


def on_domain(world: World) -> list[Any]:
    return [*on_active(world), "shop.example"]


def on_message(world: World) -> list[Any]:
    return [*on_active(world), put(world.active).pk]


def on_attachment(world: World) -> list[Any]:
    return [*on_active(world), put(world.active, letter(attachment=b"abc")).pk, 0]


def on_failed_message(world: World) -> list[Any]:
    Environment.objects.filter(pk=world.active.pk).update(sends_mail=True)
    message = put(world.active)
    Message.objects.filter(pk=message.pk).update(state=Message.State.FAILED)
    return [*on_active(world), message.pk]


def on_parent(world: World) -> list[Any]:
    return [*on_active(world), "parent"]


def on_lifetime(world: World) -> list[Any]:
    return [*on_active(world), "lifetime"]


def on_merged(world: World) -> list[Any]:
    return [*on_project(world), "merged"]


def on_general(world: World) -> list[Any]:
    return [*on_project(world), "general"]


def on_cron(world: World) -> list[Any]:
    return [*on_active(world), "store", "tick"]


def on_worker(world: World) -> list[Any]:
    return [*on_active(world), "store--mail"]


def on_run(world: World) -> list[Any]:
    return [*on_active(world), CronRun.objects.get().pk]


def confirm(world: World) -> dict[str, Any]:
    return {"confirm": world.environment.name, "name": world.environment.name}


def confirm_active(world: World) -> dict[str, Any]:
    return {"confirm": world.active.name, "name": world.active.name}


def branch(world: World) -> dict[str, Any]:
    return {"branch": "brand-new", "title": "", "parent": world.active.name}


def variable_table(world: World) -> dict[str, Any]:
    return {"version": "0", "count": "1", "r0-name": "env:A", "r0-value": "1", "r0-visible_runtime": "on"}


DOORS = [
    Door("projects", SIGNED_IN),
    Door("search", SIGNED_IN),
    Door("project_new", SIGNED_IN),
    Door("project_new", SIGNED_IN, method="POST"),
    Door("project", IN_PROJECT, on_project),
    Door("project_side", IN_PROJECT, on_project),
    Door("project_inactive", IN_PROJECT, on_project),
    Door("project_retry", OWNERS, on_project, "POST"),
    Door("activities", IN_PROJECT, on_project),
    Door("activity", SEE, on_failed),
    Door("activity_log", SEE, on_failed),
    Door("activity_log_raw", SEE, on_failed),
    Door("activity_cancel", OPERATE, on_running, "POST"),
    Door("activity_retry", OPERATE, on_failed, "POST"),
    Door("environment", SEE, on_environment),
    Door("environment_actions", SEE, on_environment),
    Door("environment_keep", OPERATE, on_active, "POST"),
    Door("environment_merge", SEE, on_active),
    Door("environment_merge", OPERATE, on_active, "POST"),
    Door("environment_merge_preview", SEE, on_active),
    Door("environment_synchronize", SEE, on_active),
    Door("environment_synchronize", OPERATE, on_active, "POST"),
    Door("environment_synchronize_preview", SEE, on_active),
    Door("environment_activate", SEE, on_environment),
    Door("environment_activate", OPERATE, on_environment, "POST"),
    Door("environment_redeploy", OPERATE, on_active, "POST"),
    Door("environment_health", SEE, on_active),
    Door("environment_health_card", SEE, on_active),
    Door("environment_pause", OPERATE, on_active, "POST"),
    Door("environment_resume", SEE, on_active, "POST"),
    Door("environment_deactivate", SEE, on_active),
    Door("environment_deactivate", OPERATE, on_active, "POST", confirm_active),
    Door("environment_delete", SEE, on_environment),
    Door("environment_delete", OPERATE, on_environment, "POST", confirm),
    Door("environment_branch", SEE, on_active),
    Door("environment_branch", PUSH, on_active, "POST", branch, refused=400),
    Door("environment_logs", SEE, on_active),
    Door("environment_files", SEE, on_active),
    Door("ssh_session_close", OPERATE, on_ssh_session, "POST"),
    Door("environment_log", SEE, on_log, data=lambda world: {"find": "x"}),
    Door("environment_mail", SEE, on_active),
    Door("mail_message", SEE, on_message),
    Door("mail_html", SEE, lambda world: [*on_active(world), put(world.active, letter(html="<p>x</p>")).pk]),
    Door("mail_source", SEE, on_message),
    Door("mail_attachment", SEE, on_attachment),
    Door("mail_retry", OPERATE, on_failed_message, "POST"),
    Door("mail_delete", SEE, on_active),
    Door("mail_delete", OPERATE, on_active, "POST"),
    Door("environment_backups", SEE, on_active),
    Door("environment_backup", OPERATE, on_active, "POST"),
    Door("backup_restore", SEE, on_backup),
    Door("backup_restore", OPERATE, on_backup, "POST", confirm_active),
    Door("backup_delete", SEE, on_backup),
    Door("backup_delete", OPERATE, on_backup, "POST", confirm_active),
    Door("backup_pin", OPERATE, on_backup, "POST", lambda world: {"pinned": "1"}),
    Door("backup_prove", OPERATE, on_backup, "POST"),
    Door("backup_download", PUSH, on_backup),
    Door("environment_variables", SEE, on_active),
    Door("environment_variables_save", OPERATE, on_active, "POST", variable_table),
    Door("environment_variables_import", OPERATE, on_active, "POST", lambda world: {"text": "A=1"}),
    Door("environment_variables_export", OPERATE, on_active),
    Door("project_variables", IN_PROJECT, on_project),
    Door("project_variables_save", OWNERS, on_project, "POST", variable_table),
    Door("project_variables_import", OWNERS, on_project, "POST", lambda world: {"text": "A=1"}),
    Door("project_variables_export", OWNERS, on_project),
    Door("environment_settings", SEE, on_active),
    Door("environment_settings_save", OPERATE, on_title, "POST", lambda world: {"title": "New title"}),
    Door("environment_settings_save", OPERATE, on_http_access, "POST", lambda world: {"mode": "off"}),
    Door("environment_crons", SEE, on_active),
    Door("environment_workers", SEE, on_active),
    Door("environment_cron", SEE, on_cron),
    Door("cron_run", PUSH, on_cron, "POST"),
    Door("cron_output", SEE, on_run),
    Door("cron_stop", PUSH, on_run, "POST"),
    Door("worker_restart", PUSH, on_worker, "POST"),
    Door("environment_settings_save", OPERATE, on_parent, "POST", lambda world: {"parent": "master"}),
    Door("environment_settings_save", OPERATE, on_lifetime, "POST", lambda world: {"lifetime": "7"}),
    Door("project_settings_save", OWNERS, on_merged, "POST", lambda world: {"on": "on"}),
    Door("project_settings", IN_PROJECT, on_project),
    Door("project_settings_save", OWNERS, on_general, "POST", lambda world: {"title": "x"}, refused=403),
    Door("environment_routes", SEE, on_active),
    Door("domain_check", set(), on_domain, refused=404),
    Door("domain_add", OPERATE, on_active, "POST", lambda world: {"domain": "not a domain"}),
    Door("domain_default", OPERATE, on_domain, "POST"),
    Door("domain_remove", set(), on_domain, refused=404),
    Door("domain_remove", OPERATE, on_domain, "POST"),
    Door("certificate_add", OPERATE, on_active, "POST", lambda world: {"chain": "x", "key": "y"}),
    Door("certificate_remove", OPERATE, on_certificate, "POST"),
    Door("edge_allowed", set(), refused=404),
    Door("edge_certificate", set(), refused=404),
    Door("visit_start", SEE, data=lambda world: {"environment": world.environment.pk, "to": "/"}),
    Door("visit_enter", set()),
    Door("visit_login", set()),
    Door("visit_check", set(), refused=401),
    Door("account_login", EVERYBODY),
    Door("account_signup", EVERYBODY),
    Door("account_inactive", EVERYBODY),
    Door("account_logout", SIGNED_IN),
    Door("theme", EVERYBODY, method="POST", data=lambda world: {"theme": "dark"}),
    Door("account", SIGNED_IN),
    Door("account_profile", SIGNED_IN, method="POST", data=lambda world: {"name": "New name"}),
    Door("account_change_password", SIGNED_IN),
    Door("account_set_password", SIGNED_IN),
    Door("account_reauthenticate", SIGNED_IN),
    Door("keys_add", SIGNED_IN, method="POST", data=lambda world: {"key": "not a key"}),
    Door("keys_delete", {"owner"}, lambda world: [world.key.pk], "POST", refused=404),
]
# Redirects to a page that asks by itself.
OPEN = {"account_set_password"}
# Asked elsewhere: the streams by an asynchronous client (tests/deployments/views/test_streams.py), and the first-run
# page, which leads to the sign-in once anybody has an account (tests/portal/test_people.py).
ELSEWHERE = {"project_events", "activity_stream", "environment_log_stream", "environment_log_raw", "welcome"}


@pytest.fixture
def world() -> World:
    project = ProjectFactory(title="Harbour Coffee")
    environments = tree(project, "feature", "sprint")
    feature = environments["feature"]
    feature.status = Environment.Status.INACTIVE
    feature.save()
    roles = {role: EnvironmentRole(role) for role in ("viewer", "contributor")}
    people: dict[str, User | None] = {
        "anonymous": None,
        "stranger": MembershipFactory(role=ProjectRole.OWNER).user,
        "nobody": member(project),
        "env admin": member(project, integration=EnvironmentRole.ADMIN),
        "project admin": MembershipFactory(project=project, role=ProjectRole.ADMIN).user,
        "owner": MembershipFactory(project=project, role=ProjectRole.OWNER).user,
        **{name: member(project, integration=role) for name, role in roles.items()},
    }
    owner = people["owner"]
    assert owner is not None
    cron = {"spec": "H/15 * * * *", "commands": {"start": "true"}, "timeout": 60}
    apps = {"store": {"crons": {"tick": cron}, "workers": {"mail": {}}}}
    ReleaseFactory(environment=environments["sprint"], configuration={"apps": apps})
    CronRunFactory(environment=environments["sprint"], app="store", cron="tick", outcome="running", ended_at=None)
    return World(
        project=project,
        environment=feature,
        active=environments["sprint"],
        failed=ActivityFactory(environment=environments["sprint"], state=State.FAILED, kind="environment.redeploy"),
        running=ActivityFactory(environment=environments["sprint"], state=State.PENDING),
        backup=BackupFactory(environment=environments["sprint"]),
        people=people,
        key=SSHKey.objects.create(
            user=owner, title="laptop", kind="ssh-ed25519", bits=256, public_key="x", fingerprint="SHA256:x"
        ),
    )


def ask(world: World, door: Door, role: str) -> HttpResponse:
    url = reverse(door.name, args=door.arguments(world))
    client = world.client(role)
    answer: HttpResponse = getattr(client, door.method.lower())(url, door.data(world))
    return answer


def verdict(door: Door, answer: HttpResponse) -> str:
    if answer.status_code in (301, 302) and "/account/login/" in answer.headers["Location"]:
        return "sign in"
    if answer.status_code == door.refused and door.refused != 404:
        return "refused"
    return {403: "refused", 404: "hidden", 405: "wrong method"}.get(answer.status_code, "in")


def expected(world: World, door: Door, role: str) -> str:
    if role in door.who or door.name in OPEN:
        return "in"
    if door.name.startswith("visit_") and door.name != "visit_start":
        return "refused"
    if door.name.startswith("edge_"):
        return "hidden"
    if role == "anonymous":
        return "sign in"
    takes_environment = door.arguments in (
        on_environment,
        on_active,
        on_title,
        on_parent,
        on_lifetime,
        on_http_access,
        on_failed,
        on_running,
        on_cron,
        on_run,
        on_worker,
        on_backup,
        on_log,
        on_ssh_session,
    ) or door.name.startswith(("visit_start", "domain_", "certificate_", "environment_mail", "mail_"))
    if role == "stranger" or (role == "nobody" and takes_environment) or door.refused == 404:
        return "hidden"
    return "refused"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.name}")
def test_each_door_lets_in_whom_the_table_says(world: World, door: Door, role: str) -> None:
    assert verdict(door, ask(world, door, role)) == expected(world, door, role)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.name}")
def test_no_door_answers_with_a_server_error_to_odd_ids(world: World, door: Door) -> None:
    client = world.client("owner")
    width = len(door.arguments(world))
    for odd in ("x" * 300, "%00", "-1", "ünï", "..", "' or 1=1 --"):
        if width and isinstance(door.arguments(world)[0], str):
            url = reverse(door.name, args=[odd] * width)
            assert getattr(client, door.method.lower())(url).status_code in (301, 302, 400, 404)


def test_ids_of_another_project_are_hidden(world: World) -> None:
    elsewhere = MembershipFactory(role=ProjectRole.OWNER, user=world.people["owner"]).project
    client = world.client("owner")
    EnvironmentFactory(project=elsewhere, branch="only-there")
    assert client.get(reverse("environment", args=[world.project.pk, "only-there"])).status_code == 404
    assert client.get(reverse("activity", args=[elsewhere.pk, world.failed.pk])).status_code == 404
    assert client.get(reverse("activity_log_raw", args=[elsewhere.pk, world.failed.pk])).status_code == 404


def _names(patterns: list[URLPattern | URLResolver]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found |= _names(pattern.url_patterns)
        else:
            assert pattern.name, f"{pattern.pattern} has no name"
            found.add(pattern.name)
    return found


def test_every_url_is_in_the_table() -> None:
    unclassified = _names(get_resolver().url_patterns) - {door.name for door in DOORS} - ELSEWHERE
    assert not unclassified, f"say who may use them in {__name__}.DOORS: {sorted(unclassified)}"


UNSAFE_ONLY = sorted({door.name for door in DOORS} - {door.name for door in DOORS if door.method == "GET"})


@pytest.mark.parametrize("name", UNSAFE_ONLY)
def test_a_get_changes_nothing(world: World, name: str) -> None:
    if name == "keys_delete":
        return  # its GET asks for confirmation
    door = next(door for door in DOORS if door.name == name)
    assert world.client("owner").get(reverse(name, args=door.arguments(world))).status_code == 405


@pytest.mark.parametrize("door", [door for door in DOORS if door.method == "POST"], ids=lambda door: door.name)
def test_a_cross_site_post_is_refused(world: World, door: Door) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["owner"])  # type: ignore[arg-type]
    answer = client.post(reverse(door.name, args=door.arguments(world)), door.data(world))
    assert answer.status_code == 403


def test_signing_in_makes_a_new_session(client: Client) -> None:
    user = UserFactory(password=PASSWORD)
    client.get(reverse("account_login"))
    client.session["planted"] = True
    before = client.session.session_key
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert client.session.session_key != before
    old = client.session.session_key
    client.post(reverse("account_logout"))
    revived = Client()
    revived.cookies["slipway_portal"] = old
    assert revived.get(reverse("account")).status_code == 302


@pytest.mark.parametrize("path", ["/.git/config", "/.env", "/static/../portal/settings.py", "/static/%2e%2e/manage.py"])
def test_files_of_the_checkout_are_not_served(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"Traceback" not in answer.content
