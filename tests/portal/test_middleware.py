import pytest
from django.test import Client
from django.urls import reverse

from portal.enums import EnvironmentRole
from portal.models import AuditEvent
from tests.factories import ProjectFactory, UserFactory, member, tree

pytestmark = pytest.mark.django_db


def test_what_a_viewer_may_not_do_is_refused_and_noted(client: Client) -> None:
    project = ProjectFactory()
    tree(project)
    viewer = member(project, integration=EnvironmentRole.VIEWER)
    client.force_login(viewer)
    assert client.post(reverse("environment_activate", args=[project.pk, "master"])).status_code == 403
    event = AuditEvent.objects.get(action="access.denied")
    assert (event.actor, event.project_id, event.outcome) == (viewer, project.pk, "refused")
    assert event.target == f"POST /projects/{project.pk}/environments/master/activate"


def test_a_fragment_leads_back_to_its_page_when_the_sign_in_has_expired(client: Client) -> None:
    page = "/projects/abc/environments/master/"
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
    answer = client.get("/projects/abc/side", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == f"{reverse('account_login')}?next={page}"


@pytest.mark.parametrize("url", ["/projects/a%00b/", "/search?q=%00", "/-/visit/start?host=%00"])
def test_an_address_with_a_nul_is_none(client: Client, url: str) -> None:
    client.force_login(UserFactory())
    assert client.get(url).status_code == 404
