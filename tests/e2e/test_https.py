"""An instance that speaks TLS itself, with certificates of its own authority: the portal and a private environment."""

import ssl

import httpx
import pytest

from tests.e2e.ground import prepare
from tests.e2e.instance import ROOT, free_ports, installed, running, wait_for
from tests.e2e.people import first_owner

pytestmark = pytest.mark.e2e

ROUTES = """
"https://{default}/":
    type: upstream
    upstream: "app:http"
    tls: {strict_transport_security: {enabled: true, include_subdomains: true}}
    redirects: {paths: {"/old": {to: "/new", code: 301}}}
"https://www.{default}/": {type: redirect, to: "https://{default}/"}
"""


def test_an_environment_is_served_by_https_alone_and_says_so() -> None:
    port, _ = free_ports()
    with running(installed(ROOT / "var"), SLIPWAY_HTTPS_PORT=str(port), SLIPWAY_TLS="internal") as instance:
        root = instance.home / "certificates" / "pki" / "authorities" / "local" / "root.crt"
        wait_for("the authority", root.exists, 30)
        insecure, instance.url = instance.url, f"https://localhost:{port}"
        instance.trusted = ssl.create_default_context(cafile=str(root))

        assert instance.get(f"{insecure}/account/login/").headers["location"] == f"{instance.url}/account/login/"
        mara = first_owner(instance)
        ground = prepare(instance, mara, mara.new_project("Locked", "node"), "locked")
        (ground.checkout / ".platform").mkdir(exist_ok=True)
        (ground.checkout / ".platform" / "routes.yaml").write_text(ROUTES)
        push = ground.push()
        assert push.row["state"] == "succeeded", push.output
        host = httpx.URL(ground.url).host
        site = f"https://{host}:{port}"
        assert site in push.output

        plain = instance.get(f"http://{host}:{instance.port}/page?x=1")
        assert (plain.status_code, plain.headers["location"]) == (301, f"{site}/page?x=1")
        assert "strict-transport-security" not in plain.headers

        stranger = instance.get(f"{site}/")
        assert stranger.status_code == 302
        assert stranger.headers["location"].startswith(f"{instance.url}/-/visit/start?")

        page = mara.get(f"{site}/")
        assert (page.status_code, page.text) == (200, "locked 2")
        assert page.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        moved = mara.http.get(f"{site}/old", follow_redirects=False)
        assert (moved.status_code, httpx.URL(site).join(moved.headers["location"])) == (301, httpx.URL(f"{site}/new"))
        assert all(cookie.secure for cookie in mara.http.cookies.jar if cookie.name == "slipway_visit")
        www = mara.get(f"https://www.{host}:{port}/")
        assert (www.status_code, str(www.url)) == (200, f"{site}/")

        with pytest.raises(httpx.ConnectError):  # no certificate for what is not served
            instance.get(f"https://nobody.localhost:{port}/")
        instance.check_sound()
