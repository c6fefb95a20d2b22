"""The page of an environment's backups, and what leaves by it."""

import io
import tarfile
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from deployments.enums import Kind
from deployments.models import Activity, Backup, BackupPlan
from deployments.views import download
from environments.models import Environment
from portal.models import AuditEvent
from tests.deployments.engine import Engine
from tests.deployments.pipeline.test_backups import child, live, take  # noqa: F401 - fixtures
from tests.factories import BackupFactory, MembershipFactory, ReleaseFactory, tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment() -> Environment:
    project = MembershipFactory().project
    return tree(project)["master"]


@pytest.fixture
def client(environment: Environment) -> Client:
    client = Client()
    client.force_login(environment.project.memberships.get().user)
    return client


def url(view: str, backup: Backup | Environment) -> str:
    if isinstance(backup, Environment):
        return reverse(view, args=[backup.project_id, backup.name])
    assert backup.environment is not None
    return reverse(view, args=[backup.project_id, backup.environment.name, backup.pk])


def test_without_backups_the_page_says_what_belongs_there(client: Client, environment: Environment) -> None:
    text = client.get(url("environment_backups", environment)).content.decode()
    assert "No backup yet" in text
    assert "Back up now" in text
    assert "one is made by itself" in text


def test_the_list_shows_what_each_holds_and_the_last_proven_one(
    client: Client, environment: Environment, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        BackupFactory(environment=environment)
    BackupFactory(environment=environment, proof="failed", proof_note="database has 3 tables, and had 4.")
    with django_assert_max_num_queries(10):
        text = client.get(url("environment_backups", environment)).content.decode()
    assert "Last proven backup" in text
    assert "412 tables with 3,918,220 rows" in text
    assert "cannot be relied on" in text
    assert "and had 4." in text


def test_what_is_wrong_is_loud_on_the_pages_of_environment_and_project(
    client: Client, environment: Environment, django_assert_max_num_queries: Any
) -> None:
    production = environment.project.environments.get(type="production")
    Environment.objects.filter(pk=production.pk).update(deployed_at=timezone.now() - timedelta(days=2))
    pages = [reverse("project", args=[environment.project_id]), url("environment", production)]
    for serves in (False, True):
        if serves:
            ReleaseFactory(environment=production)
        for page in pages:  # without a script: nothing of it is fetched afterwards
            with django_assert_max_num_queries(9):
                assert "The backup of production is overdue" in client.get(page).content.decode()
    BackupFactory(environment=production)
    for page in pages:
        assert "overdue" not in client.get(page).content.decode()
    BackupFactory(environment=production, missing_since=timezone.now())
    for page in pages:
        assert "1 backup of production cannot be relied on" in client.get(page).content.decode()


def test_back_up_now_asks_for_it(client: Client, environment: Environment) -> None:
    client.post(url("environment_backup", environment), {"note": "before the sale"})
    activity = Activity.objects.get(kind=Kind.BACKUP)
    assert activity.parameters == {"reason": "asked", "note": "before the sale"}


def test_a_restore_wants_the_name_of_where_it_goes(client: Client, environment: Environment) -> None:
    backup = BackupFactory(environment=environment)
    page = client.get(url("backup_restore", backup)).content.decode()
    assert "Restore this backup" in page
    assert "staging" not in page.partition("<select")[2].partition("</select>")[0]
    asked = {"into": "master", "code": "on", "safety": "on"}
    assert client.post(url("backup_restore", backup), asked | {"name": "other"}).status_code == 400
    assert client.post(url("backup_restore", backup), asked | {"into": "staging", "name": "staging"}).status_code == 400
    assert not Activity.objects.filter(kind=Kind.RESTORE).exists()
    client.post(url("backup_restore", backup), asked | {"name": "master"})
    activity = Activity.objects.get(kind=Kind.RESTORE)
    assert activity.parameters["backup"] == backup.pk
    assert activity.parameters["safety"] is True


def test_a_backup_of_another_environment_or_project_is_not_found(client: Client, environment: Environment) -> None:
    other = BackupFactory()
    staging = environment.project.environments.get(type="staging")
    mine = BackupFactory(environment=staging)
    for found in (other, mine):
        path = reverse("backup_restore", args=[environment.project_id, environment.name, found.pk])
        assert client.get(path).status_code == 404


def test_a_backup_is_kept_proven_again_and_deleted(client: Client, environment: Environment) -> None:
    backup = BackupFactory(environment=environment)
    client.post(url("backup_pin", backup), {"pinned": "1"})
    backup.refresh_from_db()
    assert backup.pinned
    answer = client.post(url("backup_delete", backup), {"name": "master"})
    assert answer.status_code == 400
    assert "Release it first" in answer.content.decode()
    client.post(url("backup_pin", backup), {"pinned": "0"})
    client.post(url("backup_prove", backup))
    assert Activity.objects.get(kind=Kind.BACKUP).parameters == {"prove": backup.pk}
    client.post(url("backup_delete", backup), {"name": "master"})
    backup.refresh_from_db()
    assert backup.state == "removing"
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {
        "backup.keep",
        "backup.release",
        "backup.delete",
    }


def test_plans_are_set_for_production_and_for_one_environment(client: Client, environment: Environment) -> None:
    values = {"latest": "4", "daily": "3", "weekly": "2", "monthly": "1"}
    project = reverse("project_settings_save", args=[environment.project_id, "backups"])
    own = reverse("environment_settings_save", args=[environment.project_id, environment.name, "backups"])
    client.post(project, values | {"every_hours": "12"})
    client.post(own, values | {"every_hours": "24"})
    assert BackupPlan.objects.get(environment=None).every_hours == 12
    assert BackupPlan.objects.get(environment=environment).every_hours == 24
    assert client.post(project, values | {"every_hours": "5", "latest": "0"}).status_code == 400
    client.post(own, values | {"every_hours": ""})
    assert not BackupPlan.objects.filter(environment=environment).exists()
    for page in ("environment_settings", "environment_backups"):
        assert client.get(url(page, environment)).status_code == 200


def test_a_download_is_one_tar_of_exactly_what_is_stored(live: Engine) -> None:  # noqa: F811
    backup = take(live)
    answer, data = async_to_sync(_download)(live, backup)
    assert answer.headers["Content-Length"] == str(len(data))
    assert ".tar" in answer.headers["Content-Disposition"]
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        names = found.getnames()
    assert names == [f"{backup.pk}/{name}" for name in ("manifest.json", "part-01.tar.zst", "part-02.tar.zst")]
    assert AuditEvent.objects.filter(action="backup.download").count() == 1


def test_a_download_ends_when_the_right_does(live: Engine, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    backup = take(live)
    monkeypatch.setattr(download, "LOOK_AGAIN", -1.0)
    _, data = async_to_sync(_download)(live, backup, revoke=True)
    assert data == b""


async def _download(live: Engine, backup: Backup, *, revoke: bool = False) -> tuple[Any, bytes]:  # noqa: F811
    client = AsyncClient()
    await client.aforce_login(live.by)
    path = reverse("backup_download", args=[live.project.pk, live.environment.name, backup.pk])
    answer = await client.get(path)
    if revoke:
        await live.project.memberships.all().adelete()
    return answer, b"".join([chunk async for chunk in answer.streaming_content])


def test_a_damaged_backup_cannot_be_downloaded(client: Client, environment: Environment) -> None:
    answer = client.get(url("backup_download", BackupFactory(environment=environment)))
    assert answer.status_code == 409
    assert not AuditEvent.objects.filter(action="backup.download").exists()
