"""Someone at a running instance: a signed-in browser without JavaScript, and a key for Git."""

from collections.abc import Mapping

import httpx

from tests.e2e.instance import PASSWORD, Instance, Loopback, wait_for

CSRF = "slipway_csrf"


class Person:
    def __init__(self, instance: Instance, name: str) -> None:
        self.instance = instance
        self.name = name  # also the name of the key, see Instance.key
        self.http = httpx.Client(base_url=instance.url, transport=Loopback(verify=instance.trusted), timeout=30)

    def get(self, url: str) -> httpx.Response:
        """A page of the portal by its path, or of an environment by its URL; redirects are followed."""
        return self.http.get(url, follow_redirects=True)

    def post(self, url: str, data: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a form. Redirects are not followed: where it leads is the answer."""
        if CSRF not in self.http.cookies:
            self.http.get(url, follow_redirects=True)
        token = self.http.cookies.get(CSRF, "")
        origin = {"Origin": self.instance.url}
        return self.http.post(url, data={**(data or {}), "csrfmiddlewaretoken": token}, headers=origin)

    def new_project(self, title: str, starter: str = "node") -> str:
        """The id of a new project, once its repository is there. Its first activation may still run."""
        answer = self.post("/projects/new", {"title": title, "source": "starter", "starter": starter})
        assert answer.status_code == 302, answer.text
        project = answer.headers["location"].strip("/").removeprefix("projects/")
        state = "SELECT state FROM portal_project WHERE id = ?"
        wait_for("the project", lambda: self.instance.rows(state, project)[0]["state"] == "ready")
        return str(project)


def first_owner(instance: Instance, name: str = "Mara Lindqvist") -> Person:
    """The first visitor of a fresh instance: makes the first account and adds a key."""
    person = Person(instance, name.split()[0].lower())
    form = {"name": name, "email": f"{person.name}@example.org", "password": PASSWORD}
    answer = person.post("/welcome/", form)
    assert answer.status_code == 302, answer.text
    public = instance.key(person.name).with_suffix(".pub").read_text()
    answer = person.post("/account/keys/", {"title": "laptop", "key": public})
    assert answer.status_code == 302, answer.text
    return person
