import pytest
from django.test import Client
from django.urls import reverse

from portal.actions import people
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Conflict, Denied
from portal.models import AuditEvent, Membership, Project, User
from tests.portal.test_keys import ED25519, PRIVATE

pytestmark = pytest.mark.django_db
PASSWORD = "lantern-otter-quay-71"


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("mara@example.org", PASSWORD, name="Mara Okafor")


def test_the_first_visit_makes_the_first_owner_and_signs_them_in(client: Client) -> None:
    assert client.get(reverse("account_login"), follow=True).redirect_chain == [(reverse("welcome"), 302)]
    answer = client.post(reverse("welcome"), {"name": "Mara", "email": "Mara@Example.org", "password": PASSWORD})
    assert answer.status_code == 302
    user = User.objects.get()
    assert (user.email, user.is_superuser) == ("mara@example.org", True)
    assert client.get(reverse("account")).status_code == 200
    assert AuditEvent.objects.filter(action="account.create_first", actor=user).exists()


def test_the_first_run_page_is_gone_afterwards(client: Client, owner: User) -> None:
    assert client.get(reverse("welcome")).headers["Location"] == reverse("account_login")
    client.post(reverse("welcome"), {"name": "Eve", "email": "eve@example.org", "password": PASSWORD})
    assert User.objects.count() == 1
    with pytest.raises(Conflict):
        people.create_first_owner(name="Eve", email="eve@example.org", password=PASSWORD)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": "", "email": "a@b.org", "password": PASSWORD}, "required"),
        ({"name": "A", "email": "nobody", "password": PASSWORD}, "valid email"),
        ({"name": "A", "email": "a@b.org", "password": "short"}, "at least 10"),
        ({"name": "A", "email": "a@b.org", "password": "password123"}, "too common"),
    ],
)
def test_a_bad_first_run_form_says_why(client: Client, data: dict[str, str], says: str) -> None:
    answer = client.post(reverse("welcome"), data)
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert not User.objects.exists()


def test_sign_in_and_out(client: Client, owner: User) -> None:
    wrong = client.post(reverse("account_login"), {"login": owner.email, "password": "wrong"})
    assert "not correct" in wrong.content.decode()
    right = client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    assert right.headers["Location"] == "/"
    assert client.post(reverse("account_logout")).status_code == 302
    assert client.get(reverse("account")).headers["Location"].startswith(reverse("account_login"))


def test_next_never_leaves_the_portal(client: Client, owner: User) -> None:
    for target in ("//evil.example", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"):
        answer = client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD, "next": target})
        assert "evil" not in answer.headers.get("Location", "")
        assert "javascript" not in answer.headers.get("Location", "")
        client.logout()


def test_accounts_cannot_be_made_by_strangers(client: Client, owner: User) -> None:
    client.post(reverse("account_signup"), {"email": "eve@example.org", "password1": PASSWORD, "password2": PASSWORD})
    assert User.objects.count() == 1


def test_a_key_is_added_shown_and_removed(client: Client, owner: User) -> None:
    client.force_login(owner)
    answer = client.post(reverse("keys_add"), {"title": "", "key": f"{ED25519} mara@laptop"}, follow=True)
    assert "mara@laptop" in answer.content.decode()
    key = owner.ssh_keys.get()
    assert key.fingerprint in answer.content.decode()
    assert client.get(reverse("keys_delete", args=[key.pk])).status_code == 200
    client.post(reverse("keys_delete", args=[key.pk]))
    assert not owner.ssh_keys.exists()
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["ssh_key.add", "ssh_key.delete"]


def test_a_private_key_is_refused_and_not_sent_back(client: Client, owner: User) -> None:
    client.force_login(owner)
    answer = client.post(reverse("keys_add"), {"title": "laptop", "key": PRIVATE})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "This is a private key" in page
    assert PRIVATE.splitlines()[1] not in page
    assert not owner.ssh_keys.exists()


def test_a_known_key_is_refused_with_a_plain_reason(client: Client, owner: User) -> None:
    client.force_login(owner)
    client.post(reverse("keys_add"), {"title": "laptop", "key": ED25519})
    again = client.post(reverse("keys_add"), {"title": "other", "key": ED25519})
    assert again.status_code == 400
    assert "already, as “laptop”" in again.content.decode()
    other = User.objects.create_user("ilya@example.org", PASSWORD)
    client.force_login(other)
    assert "belongs to another account" in client.post(reverse("keys_add"), {"key": ED25519}).content.decode()


def test_nobody_removes_the_key_of_another(client: Client, owner: User) -> None:
    client.force_login(owner)
    client.post(reverse("keys_add"), {"title": "laptop", "key": ED25519})
    client.force_login(User.objects.create_user("ilya@example.org", PASSWORD))
    assert client.post(reverse("keys_delete", args=[owner.ssh_keys.get().pk])).status_code == 404
    assert owner.ssh_keys.exists()


def test_the_theme_is_remembered(client: Client, owner: User) -> None:
    assert client.post(reverse("theme"), {"theme": "dark"}).cookies["slipway_theme"].value == "dark"
    client.force_login(owner)
    client.post(reverse("theme"), {"theme": "light"})
    owner.refresh_from_db()
    assert owner.theme == "light"
    assert client.post(reverse("theme"), {"theme": "pink"}).status_code == 400


def test_roles_are_given_by_those_who_may(owner: User) -> None:
    project = Project.objects.create(title="Harbour", source="starter", source_name="store")
    Membership.objects.create(project=project, user=owner, role=ProjectRole.OWNER)
    ilya = User.objects.create_user("ilya@example.org", PASSWORD)
    people.set_role(project, ilya, ProjectRole.ADMIN, by=owner)
    with pytest.raises(Denied):
        people.set_role(project, ilya, ProjectRole.OWNER, by=ilya)
    with pytest.raises(Conflict, match="at least one owner"):
        people.set_role(project, owner, ProjectRole.MEMBER, by=owner)
    people.set_role(project, ilya, ProjectRole.MEMBER, {EnvironmentType.STAGING: EnvironmentRole.VIEWER}, by=owner)
    assert project.memberships.get(user=owner).role == ProjectRole.OWNER
    assert project.memberships.get(user=ilya).type_roles.get().role == EnvironmentRole.VIEWER


def test_an_admin_cannot_make_an_owner_less(owner: User) -> None:
    project = Project.objects.create(title="Harbour", source="starter", source_name="store")
    Membership.objects.create(project=project, user=owner, role=ProjectRole.OWNER)
    admin, other = (User.objects.create_user(f"{name}@example.org", PASSWORD) for name in ("ilya", "noor"))
    Membership.objects.create(project=project, user=admin, role=ProjectRole.ADMIN)
    Membership.objects.create(project=project, user=other, role=ProjectRole.OWNER)
    with pytest.raises(Denied, match="project role owner"):
        people.set_role(project, other, ProjectRole.MEMBER, by=admin)
    assert project.memberships.get(user=other).role == ProjectRole.OWNER
    assert people.set_role(project, other, ProjectRole.MEMBER, by=owner).role == ProjectRole.MEMBER


def test_a_name_is_changed_with_an_audit_event_and_holds_nothing_unseen(client: Client, owner: User) -> None:
    client.force_login(owner)
    assert client.post(reverse("account_profile"), {"name": "Mara O."}).status_code == 302
    event = AuditEvent.objects.get(action="account.rename")
    assert event.details == {"before": "Mara Okafor", "after": "Mara O."}
    answer = client.post(reverse("account_profile"), {"name": "Mara\x1b[2J"})
    assert answer.status_code == 400
    assert "cannot be seen" in answer.content.decode()
    assert User.objects.get().name == "Mara O."


def test_a_new_password_is_an_audit_event(client: Client, owner: User) -> None:
    client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    new = {"oldpassword": PASSWORD, "password1": "another-otter-quay-72", "password2": "another-otter-quay-72"}
    assert client.post(reverse("account_change_password"), new).status_code == 302
    assert AuditEvent.objects.get(action="account.password").actor == owner


@pytest.mark.parametrize("title", ["laptop", "x" * 200])
@pytest.mark.parametrize("much", [1, 2000])
def test_a_private_key_never_comes_back_whatever_else_is_wrong(
    client: Client, owner: User, title: str, much: int
) -> None:
    client.force_login(owner)
    answer = client.post(reverse("keys_add"), {"title": title, "key": PRIVATE + "\n" + "A" * 10 * much})
    assert answer.status_code == 400
    assert "PRIVATE KEY-" not in answer.content.decode()
