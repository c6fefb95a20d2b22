"""Each page and each button: works, wrong method, nobody, stranger, too small a role, bad input."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from deployments.enums import Kind, State
from deployments.models import Activity
from deployments.templatetags.slipway import ago
from deployments.views.tabs import TABS
from environments.models import Environment
from portal.enums import EnvironmentRole
from portal.models import Project
from tests import factories as make
from tests.deployments.views import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> scenes.Scene:
    return scenes.ordinary()


def signed_in(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def pages(scene: scenes.Scene) -> list[str]:
    project = f"/projects/{scene.project.pk}"
    running = f"{project}/activities/{scene.running.pk}"
    return [
        f"{project}/",
        f"{project}/side",
        f"{project}/activities/",
        f"{project}/environments/master/",
        f"{project}/environments/master/deactivate",
        f"{project}/environments/old-banner/delete",
        f"{project}/environments/master/branch",
        f"{project}/environments/staging/crons",
        f"{project}/environments/staging/crons/store/cleanup",
        f"{project}/environments/staging/cron-runs/{scene.cron_run.pk}",
        f"{project}/environments/master/merge",
        f"{project}/environments/master/merge?preview=1",
        f"{project}/environments/master/merge/preview",
        f"{project}/environments/master/synchronize",
        f"{project}/environments/master/actions",
        f"{project}/environments/master/settings",
        f"{project}/environments/old-banner/activate",
        f"{running}/",
        f"{running}/log?before=5",
        f"{running}/log.txt",
    ]


def tabs_of(scene: scenes.Scene) -> list[str]:
    """Every tab of an environment that runs, of Production and of an inactive one, and the project's own pages."""
    project = scene.project.pk
    named = [reverse(tab.view, args=[project, name]) for tab in TABS for name in ("master", "production", "old-banner")]
    card = f"/projects/{project}/environments/master/health/card"
    return [*named, card, reverse("project_settings", args=[project]), reverse("project_variables", args=[project])]


def buttons(scene: scenes.Scene) -> list[str]:
    project = f"/projects/{scene.project.pk}"
    return [
        f"{project}/retry",
        f"{project}/environments/old-banner/activate",
        f"{project}/environments/master/redeploy",
        f"{project}/activities/{scene.waiting.pk}/cancel",
        f"{project}/activities/{scene.failed.pk}/retry",
    ]


def test_every_page_has_one_h1_and_a_title_that_names_the_place(scene: scenes.Scene) -> None:
    client = signed_in(scene.owner)
    for path in ["/", "/projects/new", "/search?q=a", *pages(scene)]:
        response = client.get(path)
        assert response.status_code == 200, path
        if b"<!doctype" in response.content:
            assert response.content.count(b"<h1") == 1, path
            title = re.search(r"<title>(.+?)</title>", response.content.decode())
            assert title is not None
            assert len(title[1]) > len("Slipway"), path


def test_no_page_needs_more_than_ten_queries_however_much_there_is(
    scene: scenes.Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    master = scene.environments["master"]
    for number in range(40):
        branch = make.EnvironmentFactory(project=scene.project, branch=f"b{number}", parent=master)
        make.ActivityFactory(environment=branch, actor=scene.owner, state=State.RUNNING)
        make.ActivityFactory(environment=master, actor=scene.owner)
        make.MembershipFactory(user=scene.owner)
    make.write_log(scene.running, "x\n" * 5000, lines_per_chunk=20)
    reader = make.member(scene.project, integration=EnvironmentRole.VIEWER)
    for user in (scene.owner, reader):
        client = signed_in(user)
        for path in ["/", "/search?q=b", *tabs_of(scene), *pages(scene)]:
            with django_assert_max_num_queries(10, info=path):
                client.get(path)


def test_nobody_is_sent_to_the_sign_in(scene: scenes.Scene) -> None:
    for path in ["/", "/projects/new", "/search", *pages(scene)]:
        assert "/account/login/" in Client().get(path).headers["Location"], path
    for path in buttons(scene):
        assert "/account/login/" in Client().post(path).headers["Location"], path


def test_a_stranger_finds_nothing(scene: scenes.Scene) -> None:
    client = signed_in(make.MembershipFactory().user)
    for path in pages(scene):
        assert client.get(path).status_code == 404, path
    for path in buttons(scene):
        assert client.post(path).status_code == 404, path


def test_a_superuser_without_a_role_is_a_stranger_too(scene: scenes.Scene) -> None:
    client = signed_in(make.UserFactory(is_superuser=True))
    assert {client.get(path).status_code for path in pages(scene)} == {404}


def test_someone_who_sees_only_staging_finds_nothing_of_the_rest(scene: scenes.Scene) -> None:
    client = signed_in(make.member(scene.project, staging=EnvironmentRole.VIEWER))
    project = f"/projects/{scene.project.pk}"
    assert client.get(f"{project}/environments/master/").status_code == 404
    assert client.get(f"{project}/activities/{scene.running.pk}/").status_code == 404
    assert client.get(f"{project}/activities/{scene.running.pk}/log.txt").status_code == 404
    shown = client.get(f"{project}/").content + client.get(f"{project}/activities/").content
    assert b"staging" in shown
    assert b"checkout-redesign" not in shown
    assert b"checkout-redesign" not in client.get("/search?q=checkout").content.replace(b"q=checkout", b"")


def test_ids_of_another_project_find_nothing(scene: scenes.Scene) -> None:
    other = make.MembershipFactory(user=scene.owner).project
    client = signed_in(scene.owner)
    assert client.get(f"/projects/{other.pk}/activities/{scene.running.pk}/").status_code == 404
    assert client.get(f"/projects/{other.pk}/activities/{scene.running.pk}/log.txt").status_code == 404
    assert client.post(f"/projects/{other.pk}/activities/{scene.waiting.pk}/cancel").status_code == 404
    assert client.get(f"/projects/{other.pk}/environments/master/").status_code == 404


def test_buttons_answer_to_post_only_and_want_the_token(scene: scenes.Scene) -> None:
    client = signed_in(scene.owner)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(scene.owner)
    before = Activity.objects.count()
    for path in buttons(scene):
        assert client.get(path).status_code == (200 if path.endswith("/activate") else 405), path
        assert strict.post(path).status_code == 403, path
    assert Activity.objects.count() == before


def test_a_viewer_may_look_and_is_told_why_the_buttons_are_not_theirs(scene: scenes.Scene) -> None:
    client = signed_in(make.member(scene.project, integration=EnvironmentRole.VIEWER))
    shown = client.get(f"/projects/{scene.project.pk}/environments/master/").content.decode()
    assert "This needs the role admin on master" in shown
    assert "/redeploy" not in shown
    for path in buttons(scene):
        assert client.post(path).status_code == 403, path


def test_activate_starts_an_activity_and_shows_it(scene: scenes.Scene) -> None:
    path = f"/projects/{scene.project.pk}/environments/old-banner/activate"
    response = signed_in(scene.owner).post(path)
    activity = Activity.objects.get(kind=Kind.ACTIVATE)
    assert response.headers["Location"] == f"/projects/{scene.project.pk}/activities/{activity.pk}/"


def test_at_the_limit_the_button_says_so(scene: scenes.Scene) -> None:
    Project.objects.filter(pk=scene.project.pk).update(max_active_integration=5)
    path = f"/projects/{scene.project.pk}/environments/old-banner"
    client = signed_in(scene.owner)
    assert "which is its limit" in client.get(f"{path}/").content.decode()
    refused = client.post(f"{path}/activate")
    assert refused.status_code == 409
    assert "Deactivate one first" in refused.content.decode()


def test_deactivate_wants_the_name_typed(scene: scenes.Scene) -> None:
    path = f"/projects/{scene.project.pk}/environments/staging/deactivate"
    client = signed_in(scene.owner)
    shown = client.get(path).content.decode()
    assert "mariadb 10.11" in shown
    wrong = client.post(path, {"name": "stagin"})
    assert wrong.status_code == 400
    assert "That is not its name" in wrong.content.decode()
    assert not Activity.objects.filter(kind=Kind.DEACTIVATE).exists()
    assert client.post(path, {"name": "staging"}).status_code == 302
    assert Activity.objects.filter(kind=Kind.DEACTIVATE).exists()


def test_production_has_no_deactivate_button(scene: scenes.Scene) -> None:
    shown = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/environments/production/").content.decode()
    assert "Deactivate" not in shown
    assert "Redeploy" in shown


def test_a_bad_branch_name_is_refused_beside_its_field_and_nothing_is_lost(scene: scenes.Scene) -> None:
    path = f"/projects/{scene.project.pk}/environments/master/branch"
    response = signed_in(scene.owner).post(
        path, {"parent": "master", "branch": "--upload-pack=x", "title": "Kept title"}
    )
    assert response.status_code == 400
    shown = response.content.decode()
    assert "it begins with a dash" in shown
    assert "Kept title" in shown


def test_a_project_needs_a_name_and_a_source(scene: scenes.Scene) -> None:
    client = signed_in(scene.owner)
    assert client.post("/projects/new", {"source": "starter"}).status_code == 400
    refused = client.post("/projects/new", {"title": "X", "source": "git", "url": "file:///etc"})
    assert refused.status_code == 400
    assert 'value="file:///etc"' in refused.content.decode()
    assert Project.objects.count() == 2


def test_a_new_project_shows_its_creation(scene: scenes.Scene) -> None:
    client = signed_in(scene.owner)
    response = client.post(
        "/projects/new", {"title": "Shop", "source": "git", "url": "ssh://git@git.example.com/a/b.git"}
    )
    project = Project.objects.get(title="Shop")
    assert response.headers["Location"] == f"/projects/{project.pk}/"
    shown = client.get(f"/projects/{project.pk}/").content.decode()
    assert project.deploy_key_public in shown
    assert "Being created" in shown
    assert "/stream?after=" in shown


def test_a_running_activity_carries_a_stream_and_a_finished_one_does_not(scene: scenes.Scene) -> None:
    client = signed_in(scene.owner)
    project = f"/projects/{scene.project.pk}/activities"
    assert f"{scene.running.pk}/stream" in client.get(f"{project}/{scene.running.pk}/").content.decode()
    assert "/stream" not in client.get(f"{project}/{scene.failed.pk}/").content.decode()


def test_a_waiting_activity_says_its_place_in_the_queue(scene: scenes.Scene) -> None:
    shown = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/activities/{scene.waiting.pk}/").content.decode()
    assert "2nd in line, behind “Push to checkout-redesign”" in shown


def test_a_failure_shows_its_step_its_last_lines_and_what_to_do_first(scene: scenes.Scene) -> None:
    shown = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/activities/{scene.failed.pk}/").content.decode()
    order = [shown.index(text) for text in ("Deploy hook failed", "exit code 1.", "SQLSTATE", "push again", 'id="log"')]
    assert order == sorted(order)


@pytest.mark.parametrize("line", ["0", "-1", "x", "99999999999999999999", "1e9", "٣"])
def test_a_line_that_is_none_shows_the_end(scene: scenes.Scene, line: str) -> None:
    path = f"/projects/{scene.project.pk}/activities/{scene.running.pk}/"
    assert signed_in(scene.owner).get(path, {"line": line}).status_code == 200


def test_hostile_names_are_text_everywhere() -> None:
    scene = scenes.long_names()
    Environment.objects.filter(pk=scene.environments["master"].pk).update(title='"><script>alert(1)</script>')
    client = signed_in(scene.owner)
    for path in ["/", "/search?q=<script>alert(1)</script>", *pages(scene)[:8]]:
        response = client.get(path)
        shown = response.content.decode()
        assert "<script>alert" not in shown, path
        assert "\u202e" not in shown, path
        assert not re.search(r"<[^>]+\s(on\w+|style)=", shown), path


def test_the_raw_log_is_a_download_of_plain_text(scene: scenes.Scene) -> None:
    response = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/activities/{scene.running.pk}/log.txt")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{scene.running.pk}.txt"'
    assert response.content.decode() == scenes.LOG


def test_a_first_visit_stays_under_100_kilobytes(scene: scenes.Scene) -> None:
    import gzip

    from django.contrib.staticfiles import finders

    page = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/").content
    total = len(gzip.compress(page))
    for asset in re.findall(r'(?:src|href)="/static/([^"]+)"', page.decode()):
        found = finders.find(asset)
        assert found, asset
        with open(found, "rb") as file:
            total += len(gzip.compress(file.read()))
    assert total < 100_000


def test_programs_are_told_what_may_be_asked_for_and_why_not(scene: scenes.Scene) -> None:
    path = f"/projects/{scene.project.pk}/environments/master/actions"
    told = signed_in(scene.owner).get(path).json()["actions"]
    assert told["redeploy"] == {"allowed": True, "reason": ""}
    assert told["delete"] == {"allowed": False, "reason": "master is part of every project and cannot be deleted."}
    viewer = make.member(scene.project, integration=EnvironmentRole.VIEWER)
    told = signed_in(viewer).get(path).json()["actions"]
    assert told["merge"]["reason"].startswith("This needs the role admin on master")
    assert not any(each["allowed"] for name, each in told.items() if name != "resume")


def test_what_a_page_fetches_when_it_is_loaded_takes_the_whole_answer() -> None:
    """Around it stands what takes only a part of the page when something happens, which htmx would inherit."""
    tags = [
        tag
        for path in (settings.BASE_DIR / "templates").rglob("*.html")
        for tag in re.findall(r"<[a-z]+ [^>]*hx-trigger=\"load[^>]*>", path.read_text())
    ]
    assert tags
    assert all('hx-select="' in tag for tag in tags)


def test_a_paused_environment_has_one_primary_button_and_says_that_connecting_wakes_it(scene: scenes.Scene) -> None:
    Environment.objects.filter(project=scene.project, branch="staging").update(paused_at=timezone.now())
    page = signed_in(scene.owner).get(f"/projects/{scene.project.pk}/environments/staging/").content.decode()
    assert "staging is paused: whoever connects wakes it." in page
    assert "did not wake up" not in page
    main = page.partition("<main")[2]
    assert re.findall(r'class="button button-primary" id="(\w+)"', main) == ["environment_resume"]


def test_each_card_of_the_settings_is_reached_from_the_list_beside_them(scene: scenes.Scene) -> None:
    project = f"/projects/{scene.project.pk}"
    for path in (f"{project}/settings", f"{project}/environments/production/settings"):
        page = signed_in(scene.owner).get(path).content.decode()
        listed = re.findall(r'<li><a href="#([\w-]+)">', page)
        assert listed
        assert listed == re.findall(r'<section class="card section" id="([\w-]+)"', page)


@pytest.mark.parametrize(
    ("seconds", "style", "words"),
    [(5, "span", "a moment"), (5, "long", "just now"), (600, "span", "10 min"), (600, "long", "10 min ago")],
)
def test_times_say_how_long_ago_or_for_how_long(seconds: int, style: str, words: str) -> None:
    assert f">{words}</time>" in ago(timezone.now() - timedelta(seconds=seconds), style)
