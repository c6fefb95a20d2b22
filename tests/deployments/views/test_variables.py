"""The pages of variables, as browsers without JavaScript use them."""

import re
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from deployments.enums import Kind
from deployments.models import Activity
from environments.models import Environment, Variable
from environments.variables import MAX_BYTES
from portal.enums import EnvironmentRole, ProjectRole
from tests.factories import MembershipFactory, ProjectFactory, ReleaseFactory, member, tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def made() -> dict[str, Environment]:
    return tree(ProjectFactory(), "child", "second")


@pytest.fixture
def client(made: dict[str, Environment]) -> Client:
    return _client(MembershipFactory(project=made["master"].project, role=ProjectRole.OWNER).user)


def _client(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(environment: Environment | None, project: Any = None) -> str:
    if environment is None:
        return f"/projects/{project.pk}/variables"
    return f"/projects/{environment.project_id}/environments/{environment.name}/variables"


def form_of(response: Any) -> dict[str, Any]:
    """What a browser would send of the table's form."""
    page = response.content.decode()
    form = page[page.rindex('/variables/save"') :]
    form = form[: form.index("</form>")]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        attributes = dict(re.findall(r'(\w[\w-]*)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox":
            if " checked" in tag:
                found[attributes["name"]] = unescape(attributes.get("value", "on"))
        elif "name" in attributes:
            found[attributes["name"]] = unescape(attributes.get("value", ""))
    for name, text in re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>\n?([^<]*)</textarea>', form):
        found[name] = unescape(text).replace("\n", "\r\n")
    return found


def put(environment: Environment, name: str, text: str, **flags: bool) -> Variable:
    row = Variable(project=environment.project, environment=environment, name=name, **flags)
    row.text = text
    row.save()
    return row


def save(client: Client, where: str, form: dict[str, Any], **changes: Any) -> HttpResponse:
    return client.post(f"{where}/save", {**form, **changes})  # type: ignore[return-value]


def test_a_row_is_added_and_the_environment_redeployed_once(client: Client, made: dict[str, Environment]) -> None:
    where = url(made["master"])
    form = form_of(client.get(where))
    answer = save(client, where, form, **{"r0-name": "env:api", "r0-value": "a\r\nb", "save": "1"})
    activity = Activity.objects.get()
    assert (activity.kind, answer["Location"]) == (
        Kind.REDEPLOY,
        f"/projects/{activity.project_id}/activities/{activity.pk}/",
    )
    row = Variable.objects.get()
    assert (row.name, row.text, row.visible_runtime, row.visible_build) == ("env:API", "a\nb", True, False)


def test_saving_what_was_not_touched_changes_nothing(client: Client, made: dict[str, Environment]) -> None:
    before = put(made["master"], "env:A", " x\n\ny '\"<é> ")
    put(made["master"], "env:T", "hush", is_sensitive=True)
    where = url(made["master"])
    form = form_of(client.get(where))
    form.pop("redeploy")
    save(client, where, form)
    after = Variable.objects.get(name="env:A")
    assert (after.changed_at, after.text) == (before.changed_at, before.text)
    assert not Activity.objects.exists()


def test_sensitive_values_are_never_on_the_page(client: Client, made: dict[str, Environment]) -> None:
    put(made["master"], "env:T", "hush-hush", is_sensitive=True)
    for environment in ("master", "child"):
        assert b"hush-hush" not in client.get(url(made[environment])).content
    assert b"hush-hush" not in client.get(url(made["master"]) + "/export").content
    form = form_of(client.get(url(made["master"])))
    answer = save(client, url(made["master"]), form, preview="1", **{"r0-visible_build": "on"})
    assert answer.status_code == 200
    assert b"hush-hush" not in answer.content
    save(client, url(made["master"]), form, **{"r0-visible_build": "on"})
    assert (Variable.objects.get().text, Variable.objects.get().visible_build) == ("hush-hush", True)


def test_a_preview_shows_the_effective_set_and_which_children_change(
    client: Client, made: dict[str, Environment]
) -> None:
    put(made["staging"], "env:A", "of-staging")
    put(made["second"], "env:B", "own")
    where = url(made["master"])
    form = form_of(client.get(where))
    answer = save(client, where, form, preview="1", **{"r0-name": "env:B", "r0-value": "new"})
    page = answer.content.decode()
    preview = page[page.index('id="preview"') :]
    preview = preview[: preview.index("</fieldset>")]
    assert "of-staging" in preview
    assert "child" in preview
    assert "second" not in preview  # it sets its own
    assert not Variable.objects.filter(environment=made["master"]).exists()
    assert form_of(answer)["r0-value"] == "new"


def test_the_second_of_two_people_is_told_and_loses_nothing(client: Client, made: dict[str, Environment]) -> None:
    put(made["master"], "env:A", "1")
    put(made["master"], "env:B", "1")
    where = url(made["master"])
    mine = form_of(client.get(where))
    other = member(made["master"].project, integration=EnvironmentRole.ADMIN)
    theirs = form_of(_client(other).get(where))
    save(_client(other), where, theirs, **{"r0-value": "theirs", "r1-value": "theirs", "r2-name": "env:C"})
    answer = save(client, where, mine, **{"r0-value": "mine", "r2-name": "env:D", "r2-value": "new"})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert f"{other} added env:C; changed env:A, env:B while you were editing" in unescape(page)
    form = form_of(answer)
    shown = {form[f"r{n}-name"]: form[f"r{n}-value"] for n in range(4)}
    assert shown == {"env:A": "mine", "env:B": "theirs", "env:D": "new", "env:C": ""}
    assert save(client, where, form).status_code == 302
    assert {row.name: row.text for row in Variable.objects.all()} == shown


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"r0-name": "env:A", "r0-value": "x" * 1024**2}, f"{MAX_BYTES:,}"),
        ({"r0-name": "a:b", "r0-value": "{\r\n 1", "r0-is_json": "on"}, "line 2, column 2"),
        ({"r0-name": "FOO", "r0-value": "1"}, "env:FOO"),
        ({"r0-name": "<script>", "r0-value": "1"}, "env:&lt;script&gt;"),
        ({"r0-name": "env:A", "r0-value": "a\0"}, "NUL"),
        ({"r0-name": "", "r0-value": "kept"}, "Give it a name"),
        ({"count": "9" * 30}, "did not arrive whole"),
        ({"count": "x"}, "did not arrive whole"),
    ],
)
def test_bad_input_is_told_beside_its_field_and_kept(
    client: Client, made: dict[str, Environment], typed: dict[str, str], said: str
) -> None:
    where = url(made["master"])
    answer = save(client, where, form_of(client.get(where)), **typed)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert said in page
    assert not Variable.objects.exists()
    if "r0-value" in typed and "count" not in typed:
        assert form_of(answer)["r0-value"].replace("\0", "") == typed["r0-value"].replace("\0", "")


def test_a_file_is_put_into_the_table_and_saved_from_there(client: Client, made: dict[str, Environment]) -> None:
    put(made["master"], "env:A", "1")
    where = url(made["master"])
    answer: Any = client.post(f"{where}/import", {"text": "A=2\nB='two words'\n"})
    assert answer.status_code == 200
    assert Variable.objects.get().text == "1"
    save(client, where, form_of(answer))
    assert {row.name: row.text for row in Variable.objects.all()} == {"env:A": "2", "env:B": "two words"}
    exported = client.get(f"{where}/export").content.decode()
    assert exported == "A='2'\nB='two words'\n"
    for text in ("rubbish", ""):
        assert client.post(f"{where}/import", {"text": text}).status_code == 400


def test_a_projects_variables_redeploy_only_what_is_ticked(client: Client, made: dict[str, Environment]) -> None:
    project = made["master"].project
    where = url(None, project)
    form = form_of(client.get(where))
    save(client, where, form, **{"r0-name": "env:A", "r0-value": "1"})
    assert not Activity.objects.exists()
    form = form_of(client.get(where))
    save(client, where, form, **{"r0-value": "2", "redeploy": ["master", "child"]})
    assert set(Activity.objects.values_list("environment__name", flat=True)) == {"master", "child"}


def test_those_who_may_not_see_names_without_values(made: dict[str, Environment]) -> None:
    put(made["master"], "env:A", "not-for-them")
    viewer = _client(member(made["master"].project, integration=EnvironmentRole.VIEWER))
    page = viewer.get(url(made["master"])).content.decode()
    assert "env:A" in page
    assert "not-for-them" not in page
    assert "needs the role admin" in page


def test_a_page_says_what_is_not_live_yet(client: Client, made: dict[str, Environment]) -> None:
    ReleaseFactory(environment=made["master"], number=4)
    put(made["master"], "env:A", "1")
    assert "v4 runs with what was set when it was made" in client.get(url(made["master"])).content.decode()


def test_the_number_of_queries_does_not_grow(
    client: Client, made: dict[str, Environment], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        put(made["master"], f"env:A{number}", "1")
        put(made["staging"], f"env:B{number}", "1")
    with django_assert_max_num_queries(10):
        client.get(url(made["master"]))
    with django_assert_max_num_queries(10):
        client.get(url(None, made["master"].project))
