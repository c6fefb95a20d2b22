import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from environments.models import Environment, Visit
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.models import Membership, Project, TypeRole, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment() -> Environment:
    project = Project.objects.create(title="Harbour", source="starter", source_name="store", state="ready")
    return Environment.objects.create(
        project=project,
        branch="master",
        name="master",
        title="master",
        machine_name="master-abcdefg",
        type=EnvironmentType.INTEGRATION,
    )


@pytest.fixture
def viewer(environment: Environment) -> User:
    user = User.objects.create_user("ilya@example.org", "lantern-otter-quay")
    member = Membership.objects.create(project=environment.project, user=user, role=ProjectRole.MEMBER)
    TypeRole.objects.create(membership=member, type=EnvironmentType.INTEGRATION, role=EnvironmentRole.VIEWER)
    return user


def token_for(client: Client, environment: Environment, to: str = "/cart?x=1") -> tuple[str, str, str]:
    """Host, token and destination of the link with which the portal sends the person on."""
    answer = client.get("/-/visit/start", {"environment": environment.pk, "to": to})
    assert answer.status_code == 302
    link = urlsplit(answer.headers["Location"])
    query = parse_qs(link.query)
    return link.hostname or "", query["token"][0], query["to"][0]


def enter(environment: Environment, token: str, to: str = "/cart?x=1") -> Client:
    """A browser on the environment's host, with whatever cookie the link gave it."""
    visitor = Client(headers={"X-Slipway-Environment": str(environment.pk)})
    visitor.get("/-/visit/enter", {"token": token, "to": to})
    return visitor


def is_let_in(visitor: Client) -> bool:
    return visitor.get("/-/visit/check").status_code == 204


def test_a_viewer_is_handed_over(client: Client, environment: Environment, viewer: User) -> None:
    client.force_login(viewer)
    host, token, to = token_for(client, environment)
    assert host == environment.host
    visitor = Client(headers={"X-Slipway-Environment": str(environment.pk)})
    assert not is_let_in(visitor)
    answer = visitor.get("/-/visit/enter", {"token": token, "to": to})
    assert answer.headers["Location"] == "/cart?x=1"
    cookie = answer.cookies["slipway_visit"]
    assert cookie["httponly"]
    assert cookie["domain"] == ""
    assert is_let_in(visitor)


def test_the_target_arrives_as_nginx_found_it(client: Client, environment: Environment, viewer: User) -> None:
    """nginx puts it last, unencoded: its own `&` and escapes belong to it."""
    client.force_login(viewer)
    answer = client.get(f"/-/visit/start?environment={environment.pk}&to=/a%20b?x=1&y=%2F")
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["to"] == ["/a%20b?x=1&y=%2F"]


def test_a_token_works_once_and_for_a_minute(client: Client, environment: Environment, viewer: User) -> None:
    client.force_login(viewer)
    _, token, _ = token_for(client, environment)
    assert is_let_in(enter(environment, token))
    assert not is_let_in(enter(environment, token))
    _, late, _ = token_for(client, environment)
    Visit.objects.filter(entered_at=None).update(created_at=timezone.now() - timedelta(seconds=61))
    assert not is_let_in(enter(environment, late))


def test_a_cookie_is_good_for_its_own_environment_only(client: Client, environment: Environment, viewer: User) -> None:
    other = Environment.objects.create(
        project=environment.project, branch="b", name="b", title="b", machine_name="b-abcdefg", type="integration"
    )
    client.force_login(viewer)
    _, token, _ = token_for(client, environment)
    assert not is_let_in(enter(other, token))
    visitor = enter(environment, token)
    assert is_let_in(visitor)
    assert visitor.get("/-/visit/check", headers={"X-Slipway-Environment": str(other.pk)}).status_code == 401


def test_the_visit_ends_with_the_right_the_sign_out_and_the_account(
    client: Client, environment: Environment, viewer: User
) -> None:
    client.force_login(viewer)
    visitor = enter(environment, token_for(client, environment)[1])
    roles = TypeRole.objects.filter(membership__user=viewer)
    roles.update(role=EnvironmentRole.NONE)
    assert not is_let_in(visitor)
    roles.update(role=EnvironmentRole.VIEWER)
    assert is_let_in(visitor)
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert not is_let_in(visitor)
    User.objects.filter(pk=viewer.pk).update(is_active=True)
    client.logout()
    assert not is_let_in(visitor)


def test_strangers_get_404_and_visitors_the_sign_in(client: Client, environment: Environment) -> None:
    assert "/account/login/" in client.get("/-/visit/start", {"environment": environment.pk}).headers["Location"]
    client.force_login(User.objects.create_user("eve@example.org", "lantern-otter-quay"))
    assert client.get("/-/visit/start", {"environment": environment.pk}).status_code == 404
    assert client.get("/-/visit/start", {"environment": "1e9; --"}).status_code == 404
    assert not Visit.objects.exists()


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil", "/a\r\nX: y", "javascript:x", ""])
def test_the_way_on_stays_on_the_host(client: Client, environment: Environment, viewer: User, to: str) -> None:
    client.force_login(viewer)
    assert token_for(client, environment, to)[2] == "/"
    _, token, _ = token_for(client, environment)
    visitor = Client(headers={"X-Slipway-Environment": str(environment.pk)})
    assert visitor.get("/-/visit/enter", {"token": token, "to": to}).headers["Location"] == "/"


def test_a_header_that_is_no_number_is_nobody() -> None:
    for value in ("", "x", "-1", "9" * 40, "1 or 1"):
        assert Client(headers={"X-Slipway-Environment": value}).get("/-/visit/check").status_code == 401


def test_a_new_password_ends_the_visits_of_other_browsers_too(
    client: Client, environment: Environment, viewer: User
) -> None:
    client.force_login(viewer)
    _, token, _ = token_for(client, environment)
    visitor = enter(environment, token)
    assert is_let_in(visitor)
    viewer.set_password("another-otter-at-the-quay")
    viewer.save()
    assert not is_let_in(visitor)


def test_a_stranger_cannot_tell_which_environments_exist(client: Client, environment: Environment) -> None:
    client.force_login(User.objects.create_user("eve@example.org", "lantern-otter-quay"))
    answers = [client.get("/-/visit/start", {"environment": pk}) for pk in (environment.pk, environment.pk + 1000)]
    assert [answer.status_code for answer in answers] == [404, 404]
    there, nowhere = (re.sub(r'(value|content)="[^"]*"', "", answer.content.decode()) for answer in answers)
    assert there == nowhere
