"""Domains of projects: taken once, applied by a deployment, given up at once."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from deployments.actions import domains as actions
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import domains
from environments.actions import hosts
from environments.models import Certificate, Domain, Environment, Host
from portal.enums import EnvironmentRole, ProjectRole
from portal.errors import Conflict, Denied, Invalid, Missing
from portal.models import AuditEvent, User
from tests.environments.test_certificates import Authority
from tests.factories import MembershipFactory, ProjectFactory, ReleaseFactory, member, tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def production() -> Environment:
    made = tree(ProjectFactory(title="Harbour Coffee"))["production"]
    ReleaseFactory(environment=made)
    return made


@pytest.fixture
def owner(production: Environment) -> User:
    return MembershipFactory(project=production.project, role=ProjectRole.OWNER).user


@pytest.fixture
def rival() -> tuple[Environment, User]:
    made = tree(ProjectFactory(title="Rival Roasters"))["production"]
    return made, MembershipFactory(project=made.project, role=ProjectRole.OWNER).user


@pytest.fixture(autouse=True)
def no_dns(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """What is proven in DNS: (project, name)."""
    proven: set[tuple[str, str]] = set()
    monkeypatch.setattr(domains, "is_proven", lambda project, name: (project, name) in proven)
    return proven


def redeployments(environment: Environment) -> int:
    return Activity.objects.filter(environment=environment, kind=Kind.REDEPLOY).count()


def test_the_first_domain_is_the_default_and_asks_for_one_deployment(production: Environment, owner: User) -> None:
    actions.add(production, name="Shop.Example", by=owner)
    actions.add(production, name="shop2.example", by=owner)
    assert [(each.name, each.is_default) for each in Domain.objects.all()] == [
        ("shop.example", True),
        ("shop2.example", False),
    ]
    assert redeployments(production) == 1  # the second is deployed with it
    Activity.objects.update(state=State.SUCCEEDED)
    actions.make_default(production, name="shop2.example", by=owner)
    assert hosts.domain_names(production) == ["shop2.example", "shop.example"]
    assert redeployments(production) == 2
    assert AuditEvent.objects.filter(action="domain.add").count() == 2


def test_a_domain_is_taken_once_and_whose_it_is_is_not_told(
    production: Environment, owner: User, rival: tuple[Environment, User], no_dns: set[tuple[str, str]]
) -> None:
    actions.add(production, name="shop.example", by=owner)
    other, boss = rival
    for name in ("shop.example", "SHOP.example.", "www.shop.example", "a.b.shop.example"):
        with pytest.raises(Conflict) as caught:
            actions.add(other, name=name, by=boss)
        assert caught.value.field == "domain"
        for secret in ("Harbour", production.project_id, production.host):
            assert secret not in caught.value.message
    with pytest.raises(Conflict, match="a domain of this project already"):
        actions.add(production, name="shop.example", by=owner)
    actions.add(production, name="www.old.example", by=owner)
    with pytest.raises(Conflict, match=r"TXT record _slipway\.old\.example"):
        actions.add(other, name="old.example", by=boss)
    no_dns.add((other.project_id, "old.example"))
    actions.add(other, name="old.example", by=boss)
    no_dns.add((other.project_id, "shop.example"))
    with pytest.raises(Conflict):  # not even with a proof while it is served for another
        actions.add(other, name="shop.example", by=boss)


@pytest.mark.parametrize("name", ["localhost", "../x", "192.0.2.1", "*.example.com", "x" * 300])
def test_what_is_no_domain_is_refused(production: Environment, owner: User, name: str) -> None:
    with pytest.raises(Invalid):
        actions.add(production, name=name, by=owner)
    assert not Domain.objects.exists()


def test_another_environments_host_is_no_domain(
    production: Environment, owner: User, rival: tuple[Environment, User]
) -> None:
    Host.objects.create(environment=rival[0], name="served.example")
    with pytest.raises(Conflict):
        actions.add(production, name="served.example", by=owner)
    with pytest.raises(Invalid):
        actions.add(production, name=f"www.{rival[0].host}", by=owner)


def test_only_admins_of_production_and_only_production(production: Environment, owner: User) -> None:
    project = production.project
    contributor = member(project, production=EnvironmentRole.CONTRIBUTOR, staging=EnvironmentRole.ADMIN)
    with pytest.raises(Denied):
        actions.add(production, name="shop.example", by=contributor)
    with pytest.raises(Missing):
        actions.add(production, name="shop.example", by=MembershipFactory().user)
    with pytest.raises(Conflict, match="Only Production"):
        actions.add(project.environments.get(branch="staging"), name="shop.example", by=owner)
    admin = member(project, production=EnvironmentRole.ADMIN)
    assert actions.add(production, name="shop.example", by=admin)


def test_a_removed_domain_is_served_no_more_at_once(
    production: Environment, owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    socket = settings.HOME.sockets(production.pk) / "1" / "front.sock"
    served = ["shop.example", "www.shop.example", "kept.example", "x.kept.example", production.host]
    for name in ("shop.example", "kept.example"):
        actions.add(production, name=name, by=owner)
    settings.HOME.edge.mkdir(parents=True, exist_ok=True)
    for name in served:
        Host.objects.create(environment=production, name=name)
        (settings.HOME.edge / name).symlink_to(socket)
    with django_capture_on_commit_callbacks(execute=True):
        actions.remove(production, name="shop.example", by=owner)
    left = {path.name for path in Path(settings.HOME.edge).iterdir() if path.name in served}
    assert left == {"kept.example", "x.kept.example", production.host}
    assert set(Host.objects.values_list("name", flat=True)) == left
    assert Domain.objects.get().is_default
    with pytest.raises(Missing):
        actions.remove(production, name="shop.example", by=owner)


def test_hosts_are_reachable_by_domains_of_the_project_alone(
    production: Environment, owner: User, rival: tuple[Environment, User], no_dns: set[tuple[str, str]]
) -> None:
    actions.add(production, name="shop.example", by=owner)
    no_dns.add((rival[0].project_id, "their.shop.example"))
    actions.add(rival[0], name="their.shop.example", by=rival[1])
    names = hosts.domain_names(production)
    asked = ["shop.example", "www.shop.example", "their.shop.example", "unshop.example", "x.example", production.host]
    assert hosts.reachable(production, [*asked, f"www.{production.host}"], names) == [
        "shop.example",
        "www.shop.example",
        production.host,
        f"www.{production.host}",
    ]
    assert hosts.domain_names(production.project.environments.get(branch="staging")) == []


def test_a_certificate_is_kept_with_its_key_encrypted(production: Environment, owner: User) -> None:
    actions.add(production, name="shop.example", by=owner)
    chain, key = Authority().site("shop.example")
    made = actions.add_certificate(production, chain=chain, key=key, by=owner)
    assert "PRIVATE" not in made.key
    event = AuditEvent.objects.get(action="certificate.add")
    assert event.details["fingerprint"] == made.fingerprint
    with pytest.raises(Invalid, match="given already"):
        actions.add_certificate(production, chain=chain, key=key, by=owner)
    with pytest.raises(Denied):
        actions.remove_certificate(
            production, fingerprint=made.fingerprint, by=member(production.project, production=EnvironmentRole.VIEWER)
        )
    actions.remove_certificate(production, fingerprint=made.fingerprint, by=owner)
    assert not Certificate.objects.exists()


def test_the_page_adds_and_refuses_beside_the_field(client: Client, production: Environment, owner: User) -> None:
    client.force_login(owner)
    where = [production.project_id, production.name]
    assert client.post(reverse("domain_add", args=where), {"domain": "shop.example"}).status_code == 302
    wrong = client.post(reverse("domain_add", args=where), {"domain": "http://shop.example/"})
    assert (wrong.status_code, b"is not a domain name" in wrong.content) == (400, True)
    chain, key = Authority().site("shop.example")
    kept = client.post(reverse("certificate_add", args=where), {"chain": chain, "key": key})
    assert kept.status_code == 302
    _, other = Authority().site("shop.example")
    refused = client.post(reverse("certificate_add", args=where), {"chain": chain, "key": other})
    assert (refused.status_code, b"not the key of the certificate" in refused.content) == (400, True)
    page = client.get(reverse("environment_routes", args=where)).content.decode()
    assert "PRIVATE KEY-----\n" not in page
    assert "shop.example" in page
    assert client.get(reverse("domain_remove", args=[*where, "shop.example"])).status_code == 200
    assert client.post(reverse("domain_remove", args=[*where, "shop.example"])).status_code == 302
    for missing in ("shop.example", "..", "x" * 200):
        assert client.get(reverse("domain_remove", args=[*where, missing])).status_code == 404
