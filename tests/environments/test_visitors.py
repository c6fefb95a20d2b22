"""HTTP access with the database: what is set holds for the next request, and nobody gets around it."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from environments import marks
from environments.actions import http_access, visits
from environments.actions.http_access import Change, Mode
from environments.actions.visits import COOKIE, admits
from environments.models import Environment, Host, HttpAccess
from environments.runtimes.base import ASKED, UNLISTED
from portal.enums import EnvironmentRole, ProjectRole
from portal.errors import Conflict, Denied, Invalid, Missing
from portal.models import AuditEvent, User
from tests.factories import MembershipFactory, ProjectFactory, UserFactory, member, tree

pytestmark = pytest.mark.django_db

OUTSIDE, INSIDE = "198.51.100.7", "192.0.2.7"
PASSWORD = "lantern otter quay"


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def family() -> dict[str, Environment]:
    return tree(ProjectFactory(), "feature")


@pytest.fixture
def owner(family: dict[str, Environment]) -> User:
    return MembershipFactory(project=family["master"].project, role=ProjectRole.OWNER).user


def basic(name: str = "shop", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def comes(environment: Environment, *, address: str = OUTSIDE, authorization: str = "", cookie: str = "") -> bool:
    return admits(environment.pk, cookie=cookie, authorization=authorization, address=address)


def switch_on(environment: Environment, by: User, **change: Any) -> None:
    http_access.save(environment, Change(Mode.ON, **change), by=by)


def test_without_it_production_is_open_and_the_others_are_not(family: dict[str, Environment]) -> None:
    assert comes(family["production"])
    assert not comes(family["staging"])
    assert not admits(0, cookie="", authorization="", address=OUTSIDE)


def test_a_login_or_an_address_lets_in_at_once_and_no_longer(family: dict[str, Environment], owner: User) -> None:
    for environment in (family["production"], family["feature"]):
        switch_on(environment, owner, rules="allow 192.0.2.0/24", added=("shop", PASSWORD))
        assert comes(environment, address=INSIDE)
        assert not comes(environment)
        assert comes(environment, authorization=basic())
        assert not comes(environment, authorization=basic(password="lantern otter"))
        assert not comes(environment, authorization=basic(name="Shop"))
        switch_on(environment, owner, rules="allow 192.0.2.0/24", removed=["shop"])
        assert not comes(environment, authorization=basic())
        switch_on(environment, owner, rules="allow 203.0.113.0/24")
        assert not comes(environment, address=INSIDE)


def test_children_have_their_parents_until_they_set_their_own(family: dict[str, Environment], owner: User) -> None:
    switch_on(family["staging"], owner, added=("shop", PASSWORD))
    assert comes(family["feature"], authorization=basic())
    assert not comes(family["feature"])
    http_access.save(family["master"], Change(Mode.OFF), by=owner)
    assert not comes(family["feature"], authorization=basic())
    assert comes(family["staging"], authorization=basic())
    switch_on(family["feature"], owner, rules="allow 192.0.2.7")
    assert not comes(family["feature"], authorization=basic())  # its own replaces what it would inherit
    assert comes(family["feature"], address=INSIDE)
    http_access.save(family["master"], Change(Mode.INHERIT), by=owner)
    http_access.save(family["feature"], Change(Mode.INHERIT), by=owner)
    assert comes(family["feature"], authorization=basic())
    assert http_access.holding(family["feature"]).source == family["staging"]


def test_passwords_are_kept_hashed_and_told_nowhere(family: dict[str, Environment], owner: User) -> None:
    switch_on(family["staging"], owner, added=("shop", PASSWORD))
    stored = HttpAccess.objects.get()
    assert PASSWORD not in str(stored.logins)
    event = AuditEvent.objects.get(action="environment.http_access")
    assert event.details["after"] == {"mode": "on", "rules": [], "logins": ["shop"]}
    assert stored.logins["shop"] not in str(event.details)


def test_a_new_password_ends_the_old_one(family: dict[str, Environment], owner: User) -> None:
    staging = family["staging"]
    switch_on(staging, owner, added=("shop", PASSWORD))
    assert comes(staging, authorization=basic())
    switch_on(staging, owner, passwords={"shop": "another otter quay"})
    assert not comes(staging, authorization=basic())
    assert comes(staging, authorization=basic(password="another otter quay"))


def test_locking_everybody_out_must_be_said_twice_and_members_still_pass(
    family: dict[str, Environment], owner: User
) -> None:
    production = family["production"]
    with pytest.raises(Conflict) as caught:
        switch_on(production, owner, rules="deny 0.0.0.0/0\ndeny ::/0")
    assert caught.value.field == "confirmed"
    assert comes(production)
    switch_on(production, owner, rules="deny 0.0.0.0/0\ndeny ::/0", confirmed=True)
    assert not comes(production)
    browser = Client()
    browser.force_login(owner)
    link = browser.get("/-/visit/start", {"environment": production.pk, "to": "/"}).headers["Location"]
    secret = visits.enter(production.pk, link.partition("token=")[2].partition("&")[0])
    assert comes(production, cookie=secret or "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rules": "allow nonsense"}, "rules"),
        ({"added": ("shop", "short")}, "password"),
        ({"added": ("a:b", PASSWORD)}, "name"),
    ],
)
def test_what_is_wrong_changes_nothing(
    family: dict[str, Environment], owner: User, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        switch_on(family["staging"], owner, **change)
    assert caught.value.field == field
    assert not HttpAccess.objects.exists()
    switch_on(family["staging"], owner, added=("shop", PASSWORD))
    with pytest.raises(Invalid, match="already"):
        switch_on(family["staging"], owner, added=("shop", PASSWORD))


def test_only_who_may_operate_changes_it(family: dict[str, Environment]) -> None:
    contributor = member(family["feature"].project, integration=EnvironmentRole.CONTRIBUTOR)
    with pytest.raises(Denied):
        switch_on(family["feature"], contributor, rules="allow 192.0.2.7")
    with pytest.raises(Missing):
        switch_on(family["feature"], UserFactory(), rules="allow 192.0.2.7")
    with pytest.raises(Missing):
        http_access.list_in_search(family["production"], unlisted=True, by=contributor)


def test_wrong_passwords_are_limited_and_the_right_one_known_before_still_works(
    family: dict[str, Environment], owner: User
) -> None:
    staging = family["staging"]
    switch_on(staging, owner, added=("shop", PASSWORD))
    assert comes(staging, authorization=basic())
    for number in range(visits.WRONG_BY_ADDRESS):
        assert not comes(staging, authorization=basic(password=f"wrong wrong {number}"))
    verdict = visits.judge(staging.pk, cookie="", authorization=basic(password="wrong again"), address=OUTSIDE)
    assert verdict.ask == "wait"
    assert comes(staging, authorization=basic())
    switch_on(staging, owner, added=("office", "quay otter lantern"))
    fresh = basic("office", "quay otter lantern")
    assert not comes(staging, authorization=fresh)  # not even looked at
    assert comes(staging, authorization=fresh, address=INSIDE)
    for number in range(visits.WRONG_BY_ALL):
        comes(staging, authorization=basic(password=f"spread wrong {number}"), address=f"203.0.113.{number}")
    spread = visits.judge(staging.pk, cookie="", authorization=basic("x", "unseen"), address="203.0.113.250")
    assert spread.ask == "wait"


def test_the_same_wrong_password_counts_once(family: dict[str, Environment], owner: User) -> None:
    """A browser sends it with every picture of a page."""
    switch_on(family["staging"], owner, added=("shop", PASSWORD))
    for _ in range(visits.WRONG_BY_ADDRESS * 2):
        assert not comes(family["staging"], authorization=basic(password="wrong wrong wrong"))
    assert comes(family["staging"], authorization=basic())


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic " + "A" * 5000, "Bearer x", "Basic c2hvcA==", "Basic /////w=="]
)
def test_odd_headers_are_nobody(family: dict[str, Environment], owner: User, header: str) -> None:
    switch_on(family["staging"], owner, added=("shop", PASSWORD))
    assert not comes(family["staging"], authorization=header)


def test_the_check_tells_nginx_what_it_needs(family: dict[str, Environment], owner: User) -> None:
    staging = family["staging"]
    switch_on(staging, owner, rules="allow 192.0.2.0/24", added=("shop", PASSWORD))
    nginx = Client(headers={"X-Slipway-Environment": str(staging.pk), "X-Forwarded-For": OUTSIDE})
    refused = nginx.get("/-/visit/check")
    assert (refused.status_code, refused.headers["X-Slipway-Ask"]) == (401, "login")
    by_login = nginx.get("/-/visit/check", headers={"Authorization": basic()})
    assert (by_login.status_code, by_login.headers["X-Slipway-Login"]) == (204, "1")
    by_address = nginx.get("/-/visit/check", headers={"Authorization": basic(), "X-Forwarded-For": INSIDE})
    assert by_address.status_code == 204
    assert "X-Slipway-Login" not in by_address.headers  # what it brings is for the app


def test_a_browser_trades_a_login_for_a_cookie_that_ends_with_it(family: dict[str, Environment], owner: User) -> None:
    staging = family["staging"]
    switch_on(staging, owner, added=("shop", PASSWORD))
    browser = Client(headers={"X-Slipway-Environment": str(staging.pk), "X-Forwarded-For": OUTSIDE})
    asked = browser.get("/-/visit/login", {"to": "/cart"})
    assert asked.status_code == 401
    assert asked.headers["WWW-Authenticate"].startswith("Basic ")
    entered = browser.get("/-/visit/login", {"to": "/cart"}, headers={"Authorization": basic()})
    assert (entered.status_code, entered.headers["Location"]) == (302, "/cart")
    cookie = entered.cookies[COOKIE].value
    assert comes(staging, cookie=cookie)
    assert not comes(family["feature"], cookie=cookie)
    assert not comes(staging, cookie=cookie[:-2] + "xx")
    away = browser.get("/-/visit/login", {"to": "//evil.example"}, headers={"Authorization": basic()})
    assert away.headers["Location"] == "/"
    switch_on(staging, owner, passwords={"shop": "another otter quay"})
    assert not comes(staging, cookie=cookie)


def test_the_sign_in_offers_the_sites_logins_to_who_knows_its_name(
    client: Client, family: dict[str, Environment], owner: User
) -> None:
    staging = family["staging"]
    Host.objects.create(environment=staging, name=staging.host)
    asked = {"environment": staging.pk, "host": staging.host, "to": "/cart"}
    assert client.get("/-/visit/start", asked).status_code == 302
    switch_on(staging, owner, added=("shop", PASSWORD))
    page = client.get("/-/visit/start", asked).content.decode()
    assert f"{staging.host}{settings.PORT_SUFFIX}/.slipway/login?to=%2Fcart" in page
    assert "/account/login/?next=" in page
    assert client.get("/-/visit/start", {**asked, "host": "evil.example"}).status_code == 302
    client.force_login(UserFactory())
    assert "/.slipway/login" in client.get("/-/visit/start", asked).content.decode()
    assert client.get("/-/visit/start", {**asked, "host": "evil.example"}).status_code == 404


def test_productions_nginx_finds_its_marks(
    family: dict[str, Environment], owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    production = family["production"]
    folder = settings.HOME.marks(production.pk)
    with django_capture_on_commit_callbacks(execute=True):
        switch_on(production, owner, added=("shop", PASSWORD))
        assert (folder / ASKED).exists()  # before it is committed
    with django_capture_on_commit_callbacks(execute=True):
        http_access.list_in_search(production, unlisted=True, by=owner)
    assert {path.name for path in folder.iterdir()} == {ASKED, UNLISTED}
    (folder / ASKED).unlink()
    marks.refresh(production)
    assert (folder / ASKED).exists()
    with django_capture_on_commit_callbacks(execute=True):
        http_access.save(production, Change(Mode.OFF), by=owner)
        http_access.list_in_search(production, unlisted=False, by=owner)
    assert not list(folder.iterdir())
    switch_on(family["staging"], owner, rules="allow 192.0.2.7")
    assert not settings.HOME.marks(family["staging"].pk).exists()
