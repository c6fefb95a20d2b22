"""Repositories as people have them, made for Platform.sh and Magento Cloud, pushed unmodified and asked over HTTP.

One project; each repository is a branch of its own, pushed with `-o environment.status=active`.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.instance import Instance, wait_for
from tests.e2e.people import Person

pytestmark = pytest.mark.e2e

REPOSITORIES = Path(__file__).parent / "repos"
# The slowest to build first: two are built at a time.
BRANCHES = ("gunicorn-static", "flask", "express", "magento", "php-front", "multi")


@dataclass
class Site:
    """A pushed repository: what Git printed, and the way to its pages as the signed-in owner."""

    person: Person
    project: str
    branch: str
    checkout: Path
    output: str

    @property
    def host(self) -> str:
        sql = "SELECT machine_name FROM environments_environment WHERE project_id = ? AND branch = ?"
        found = self.person.instance.rows(sql, self.project, self.branch)
        return f"{found[0]['machine_name']}-{self.project}.localhost"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.person.instance.port}/"

    def get(self, path: str = "/") -> httpx.Response:
        return self.person.get(self.url + path.removeprefix("/"))

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:2000]}\n{self.output}"
        return answer.json()

    def push(self, message: str, *, who: str = "mara") -> str:
        """Commit everything in the checkout and push it; the printed log of the deployment."""
        git = self.person.instance.git
        git("add", "-A", cwd=self.checkout)
        git("commit", "-q", "--allow-empty", "-m", message, cwd=self.checkout)
        refs = f"HEAD:refs/heads/{self.branch}"
        pushed = git("push", "-o", "environment.status=active", "origin", refs, cwd=self.checkout, check=False)
        self.output = pushed.stdout + pushed.stderr
        assert pushed.returncode == 0, self.output
        return self.output


@pytest.fixture(scope="module")
def sites(instance: Instance, mara: Person) -> dict[str, Site]:
    project = mara.new_project("Repositories", "store")

    def deploy(branch: str) -> Site:
        checkout = instance.clone(project, f"repositories-{branch}")
        for path in checkout.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(REPOSITORIES / branch, checkout, dirs_exist_ok=True)
        site = Site(mara, project, branch, checkout, "")
        site.push("Add everything")
        return site

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BRANCHES, pool.map(deploy, BRANCHES), strict=True))


@pytest.fixture
def site(sites: dict[str, Site]) -> Callable[[str], Site]:
    def of(branch: str) -> Site:
        found = sites[branch]
        assert f"is live at {found.url}" in found.output, found.output
        return found

    return of


def test_a_flask_app_without_locations_is_read_right_by_platformshconfig(site: Callable[[str], Site]) -> None:
    flask = site("flask")
    assert flask.get().text == "hello from flask\n"
    found = flask.json("/conformance")
    build, now = found["build"], found["runtime"]
    assert (build["valid"], build["in_build"], build["color"], build["app"]) == (True, True, "blue", "app")
    hidden = {"error": "BuildTimeVariableAccessException"}
    assert [build[key] for key in ("branch", "primary", "upstreams", "database")] == [hidden] * 4
    assert (now["valid"], now["in_build"], now["on_production"]) == (True, False, False)
    assert (now["project"], now["app"], now["branch"], now["color"]) == (flask.project, "app", "flask", "blue")
    assert f"{now['environment']}-{flask.project}.localhost" == flask.host
    assert now["port"].isdigit()
    assert (now["primary"], now["main"]) == ("https://{default}/", "https://{default}/")
    assert (now["upstreams"], now["database"]) == ([flask.url], "mysql")


def test_the_credentials_open_mariadb_and_redis(site: Callable[[str], Site]) -> None:
    first, second = (site("flask").json("/conformance") for _ in range(2))
    assert "MariaDB" in first["mysql"][1]
    assert second["mysql"][0] == first["mysql"][0] + 1
    assert second["redis"] == first["redis"] + 1


def test_versions_that_are_not_here_are_replaced_with_a_warning_that_names_both(site: Callable[[str], Site]) -> None:
    said = site("flask").output
    asked = {"python:3.12": "python:3", "mysql:10.4": "mariadb:10", "redis:6.2": "redis:7"}
    for wanted, used in asked.items():
        line = next((line for line in said.splitlines() if f"{wanted} is not installed" in line), "")
        assert used in line, said


def test_a_redirecting_route_leads_to_the_other_host(site: Callable[[str], Site]) -> None:
    flask = site("flask")
    answer = flask.person.http.get(flask.url.replace("://", "://www."))
    assert (answer.status_code, answer.headers["location"]) == (301, flask.url)


def test_an_express_app_is_read_right_by_platformsh_config(site: Callable[[str], Site]) -> None:
    express = site("express")
    assert express.get().text == "Hello from Express"
    found = express.json("/conformance")
    build, now = found["build"], found["runtime"]
    assert (build["valid"], build["inBuild"], build["currency"]) == (True, True, "EUR")
    assert build["primary"] == build["port"] == {"error": "BuildTimeVariableAccessError"}
    assert "error" in build["database"]
    assert (now["inBuild"], now["inRuntime"], now["onProduction"]) == (False, True, False)
    assert (now["app"], now["primary"], now["upstreams"]) == ("web", express.url, [express.url])
    assert (now["database"], found["asked"]["name"]) == ("pgsql", found["given"]["name"])


def test_locations_serve_files_by_their_rules_and_the_app_the_rest(site: Callable[[str], Site]) -> None:
    static = site("gunicorn-static")
    home = static.get()
    assert "From the file" in home.text
    assert (home.headers["cache-control"], home.headers["x-frame-options"]) == ("max-age=300", "SAMEORIGIN")
    style = static.get("/look.css")
    assert (style.headers["cache-control"], style.headers["x-kind"]) == ("max-age=1209600", "style")
    assert static.get("/plan.secret").status_code == 403
    note = static.get("/static/note.txt")
    assert (note.text, note.headers["cache-control"]) == ("plain text\n", "no-cache")
    assert static.get("/static/none.txt").status_code == 404
    assert static.json("/report-2024") == {"path": "/report-2024"}
    assert static.json("/anything/else") == {"path": "/anything/else"}


def test_mounts_are_writable_and_the_rest_is_not(site: Callable[[str], Site]) -> None:
    static = site("gunicorn-static")
    written = static.json("/write")
    assert written.pop("new.txt") == "Read-only file system"
    assert set(written.values()) == {"written"}
    assert static.get("/uploads/seen.txt").text.startswith("x")


def test_data_and_mounts_outlive_a_deployment_that_reuses_the_build(site: Callable[[str], Site]) -> None:
    static = site("gunicorn-static")
    before = static.json("/conformance")
    assert before["build"] == {"in_build": True, "database": "BuildTimeVariableAccessException", "app": "site"}
    assert (before["in_build"], before["scheme"], before["app_dir"]) == (False, "pgsql", "/app")
    assert "PostgreSQL" in before["version"]
    assert before["log"][-1] == "opened"
    assert "Reusing existing build" in static.push("Change nothing")
    after = static.json("/conformance")
    assert after["deploys"] == before["deploys"] + 1
    assert after["log"] == [*before["log"], before["log"][-2], "opened"]


def test_php_behind_a_front_controller_with_an_environment_file(site: Callable[[str], Site]) -> None:
    front = site("php-front")
    assert "composer" in front.output
    found = front.json("/some/page?x=1")
    assert (found["uri"], found["site"], found["memory_limit"]) == ("/some/page?x=1", "harbour-php-front", "200M")
    assert found["note"] == "secret of harbour-php-front"
    assert "MariaDB" in found["version"]
    assert (found["slug_writable"], found["mount_writable"]) == (False, True)
    assert front.get("/files/hello.txt").text == "hello"
    assert front.get("/built.txt").text.strip() == "built by 8"
    assert "must not run" not in front.get("/hidden.inc").text


def test_several_apps_share_routes_relationships_and_a_worker(site: Callable[[str], Site]) -> None:
    multi = site("multi")
    assert multi.json("/")["app"] == "front"
    assert (multi.json("/api")["app"], multi.json("/api/v1")["path"]) == ("api", "/api/v1")
    assert multi.json("/apiary")["app"] == "front"
    asked = multi.json("/ask")["api"]
    assert (asked["app"], asked["path"]) == ("api", "/inside")
    wait_for("the worker's word", lambda: "worker of api" in multi.json("/api")["worked"], 15)


def test_partial_redirects_are_answered_before_the_app(site: Callable[[str], Site]) -> None:
    multi = site("multi")
    plain = multi.person.http.get(multi.url + "old")
    assert (plain.status_code, plain.headers["location"]) == (302, "/new")
    captured = multi.person.http.get(multi.url + "catalogue/shoes/7")
    assert (captured.status_code, captured.headers["location"]) == (301, "/products/shoes/7")


def test_a_magento_repository_finds_its_own_names(site: Callable[[str], Site]) -> None:
    magento = site("magento")
    found = magento.json("/some/product.html")
    assert (found["uri"], found["redis"], found["same"], found["etc"]) == ("/some/product.html", True, True, True)
    needed = ("RELATIONSHIPS", "ROUTES", "VARIABLES", "APPLICATION", "APP_DIR", "ENVIRONMENT", "BRANCH", "PROJECT")
    assert {f"MAGENTO_CLOUD_{name}" for name in needed} <= set(found["names"])
    assert found["build"] == {"app": "/app", "relationships": False}
    assert found["channel"] == "Magento_Enterprise_Cloud_BT"
    assert "MariaDB" in found["version"]
    assert magento.get("/media/catalog/x.png").text == "made on demand: /media/catalog/x.png"


def test_a_broken_manifest_is_refused_with_its_place_and_changes_nothing(site: Callable[[str], Site]) -> None:
    multi = site("multi")
    file = multi.checkout / "api" / ".platform.app.yaml"
    good = file.read_text()
    file.write_text(good.replace("relationships:", "relationship:"))
    with pytest.raises(AssertionError, match=r"(?s)api/\.platform\.app\.yaml:4: relationship.*relationships"):
        multi.push("Mistype a key")
    file.write_text(good)
    assert multi.json("/api")["app"] == "api"


def test_strangers_see_nothing_of_an_integration_environment(site: Callable[[str], Site]) -> None:
    flask = site("flask")
    answer = flask.person.instance.get(flask.url)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{flask.person.instance.url}/-/visit/start")


def test_crons_run_on_their_minute(site: Callable[[str], Site]) -> None:
    static = site("gunicorn-static")
    wait_for("a run of the cron", lambda: static.json("/conformance")["ticks"] > 0, 75)
