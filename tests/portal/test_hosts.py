from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.hosts import own

pytestmark = pytest.mark.django_db

SITE = "main-abc1234-projectid0000.localhost:8000"


def test_the_portal_does_not_answer_at_the_name_of_a_site(client: Client) -> None:
    for path in (reverse("account_login"), "/", "/-/visit/check", "/-/visit/start"):
        answer = client.get(path, headers={"Host": SITE})
        assert answer.status_code == 421, path
        assert not answer.cookies


def test_streams_neither() -> None:
    async def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse("data: secret")

    request = RequestFactory().get("/projects/abc/events", headers={"Host": SITE})
    wrapped: Any = own(answer)
    assert async_to_sync(wrapped)(request).status_code == 421


def test_visitors_of_a_site_are_let_in_there(client: Client) -> None:
    assert client.get("/-/visit/enter", headers={"Host": SITE}).status_code != 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_the_portal_answers_at_its_own_names(client: Client, host: str) -> None:
    assert client.get(reverse("account_login"), headers={"Host": host}).status_code in (200, 302)
