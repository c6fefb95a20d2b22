from typing import Any

import pytest

from environments import variables
from environments.manifest import DictSource, Manifest, ManifestError, load
from environments.routing import MAX_BYTES, ResolvedRoute, platform_routes, resolve

HOST = "main-abc1234-p23456789abcd.localhost"


def manifest(routes: str = "") -> Manifest:
    files = {"a/.platform.app.yaml": "name: app\ntype: php:8.2", "b/.platform.app.yaml": "name: api\ntype: php:8.2"}
    return load(DictSource({**files, ".platform/routes.yaml": routes}))


def where(routes: str = "", **options: Any) -> dict[str, ResolvedRoute]:
    options = {"default_host": HOST, "port": 8000, **options}
    resolved = resolve(manifest(routes), **options)
    assert len({route.url for route in resolved}) == len(resolved)
    return {route.url: route for route in resolved}


APP = "{type: upstream, upstream: 'app:http'}"
BASE = f"http://{HOST}:8000"


def test_without_a_file_the_default_host_reaches_the_app() -> None:
    (route,) = where().values()
    assert (route.url, route.original_url) == (f"{BASE}/", "https://{default}/")
    assert (route.scheme, route.host, route.path, route.type) == ("http", HOST, "/", "upstream")
    assert (route.upstream, route.endpoint, route.primary) == ("app", "http", True)


def test_default_is_the_domain_on_production_only() -> None:
    routes = f"https://{{default}}/: {APP}\nhttps://www.{{default}}/: {{type: redirect, to: 'https://{{default}}/'}}\n"
    production = where(routes, production=True, domains=["shop.example.com"], port=None)
    assert list(production) == ["http://shop.example.com/", "http://www.shop.example.com/"]
    assert production["http://www.shop.example.com/"].to == "http://shop.example.com/"
    assert list(where(routes, production=True, port=80)) == [f"http://{HOST}/", f"http://www.{HOST}/"]
    elsewhere = where(routes, domains=["shop.example.com"])
    assert list(elsewhere) == [f"{BASE}/", f"http://www.{HOST}:8000/"]


def test_absolute_hosts_are_put_before_the_generated_one_outside_production() -> None:
    routes = (
        f"https://example.com/: {APP}\n"
        "https://www.example.com/: {type: redirect, to: 'https://example.com/'}\n"
        "https://old.example.com/: {type: redirect, to: 'https://elsewhere.example.org/x?a=b'}\n"
    )
    elsewhere = where(routes)
    assert list(elsewhere) == [
        f"http://{name}.{HOST}:8000/" for name in ("example.com", "www.example.com", "old.example.com")
    ]
    assert elsewhere[f"http://www.example.com.{HOST}:8000/"].to == f"http://example.com.{HOST}:8000/"
    assert elsewhere[f"http://old.example.com.{HOST}:8000/"].to == "https://elsewhere.example.org/x?a=b"
    assert next(iter(where(routes, production=True, port=None))) == "http://example.com/"


def test_default_beats_all() -> None:
    routes = f"http://{{all}}/: {{type: upstream, upstream: 'api:http'}}\nhttp://{{default}}/: {APP}\n"
    (route,) = where(routes).values()
    assert (route.original_url, route.upstream) == ("http://{default}/", "app")


def test_all_alone_is_the_default_host_too() -> None:
    (route,) = where(f"https://{{all}}/: {APP}").values()
    assert (route.host, route.original_url, route.primary) == (HOST, "https://{all}/", True)


def test_a_redirect_to_https_gives_way_where_there_is_only_http() -> None:
    routes = f"http://{{default}}/: {{type: redirect, to: 'https://{{default}}/'}}\nhttps://{{default}}/: {APP}\n"
    (route,) = where(routes).values()
    assert (route.type, route.original_url) == ("upstream", "https://{default}/")


def test_with_tls_both_schemes_are_served() -> None:
    routes = f"https://{{default}}/: {APP}\nhttps://api.{{default}}/: {APP}\nhttp://api.{{default}}/: {APP}\n"
    resolved = where(routes, scheme="https", port=8443)
    assert list(resolved) == [
        f"https://{HOST}:8443/",
        f"https://api.{HOST}:8443/",
        f"http://api.{HOST}/",
        f"http://{HOST}/",
    ]
    redirect = resolved[f"http://{HOST}/"]
    assert (redirect.type, redirect.to, redirect.original_url) == (
        "redirect",
        f"https://{HOST}:8443/",
        "http://{default}/",
    )
    assert [route.url for route in resolved.values() if route.primary] == [f"https://{HOST}:8443/"]


def test_redirects_in_circles_are_left_out() -> None:
    routes = (
        f"https://{{default}}/: {APP}\n"
        "https://www.{default}/: {type: redirect, to: 'https://www.{default}/'}\n"
        "https://a.{default}/: {type: redirect, to: 'https://b.{default}'}\n"
        "https://b.{default}/: {type: redirect, to: 'http://a.{default}/'}\n"
        "https://c.{default}/: {type: redirect, to: 'https://a.{default}/'}\n"
        "https://d.{default}/: {type: redirect, to: 'https://{default}/'}\n"
    )
    assert list(where(routes)) == [f"{BASE}/", f"http://d.{HOST}:8000/"]


def test_several_paths_of_one_host() -> None:
    routes = f"https://{{default}}/: {APP}\nhttps://{{default}}/api: {{type: upstream, upstream: api, id: api}}\n"
    resolved = where(routes)
    assert [(route.path, route.upstream) for route in resolved.values()] == [("/", "app"), ("/api/", "api")]
    assert resolved[f"{BASE}/api/"].id == "api"


def test_the_primary_route_is_the_one_that_says_so() -> None:
    routes = f"https://{{default}}/: {APP}\nhttps://b.{{default}}/: {{type: upstream, upstream: api, primary: true}}\n"
    assert [route.upstream for route in where(routes).values() if route.primary] == ["api"]


def test_the_first_route_to_an_app_is_primary_otherwise() -> None:
    routes = f"https://a.{{default}}/: {{type: redirect, to: 'https://{{default}}/'}}\nhttps://{{default}}/: {APP}\n"
    assert [route.primary for route in where(routes).values()] == [False, True]


def test_partial_redirects_are_resolved_in_order() -> None:
    routes = f"""
https://{{default}}/:
  type: upstream
  upstream: app
  redirects:
    paths:
      /a: {{to: 'https://{{default}}/b'}}
      /c: {{to: /d, code: 301}}
      '^/e(.*)': {{to: 'https://archive.{{default}}/f?path=$1', regexp: true}}
      /g: {{to: 'https://example.com/h'}}
      /i: {{to: 'https://www.{{default}}'}}
https://www.{{default}}/: {APP}
"""
    paths = where(routes)[f"{BASE}/"].redirects.paths
    assert {path: redirect.to for path, redirect in paths.items()} == {
        "/a": f"{BASE}/b",
        "/c": "/d",
        "^/e(.*)": f"http://archive.{HOST}:8000/f?path=$1",
        "/g": "https://example.com/h",
        "/i": f"http://www.{HOST}:8000/",
    }
    assert paths["/c"].code == 301


def test_a_proxy_keeps_its_target() -> None:
    (route,) = where("https://{default}/: {type: proxy, to: 'https://example.com/x'}").values()
    assert (route.type, route.to, route.upstream, route.primary) == ("proxy", "https://example.com/x", None, False)


def test_wildcards_are_told_apart() -> None:
    resolved = where(f"https://*.{{default}}/: {APP}\nhttps://{{default}}/: {APP}\n")
    assert [(route.host, route.wildcard) for route in resolved.values()] == [(f"*.{HOST}", True), (HOST, False)]


def test_a_host_that_becomes_too_long_is_refused_with_its_line() -> None:
    long = ".".join(["a" * 60] * 4)
    with pytest.raises(ManifestError) as caught:
        where(f"https://{{default}}/: {APP}\nhttps://{long}/: {APP}\n")
    (found,) = caught.value.problems
    assert (found.file, found.line) == (".platform/routes.yaml", 2)
    assert "not one that DNS allows" in found.message


def test_a_label_that_is_too_long_is_refused() -> None:
    with pytest.raises(ManifestError, match="DNS"):
        where(default_host="a" * 64 + ".localhost")


def test_routes_that_take_too_much_room_are_refused() -> None:
    routes = "".join(
        f"https://h{n}.{{default}}/: {{type: upstream, upstream: app, id: {'i' * 200}{n}}}\n" for n in range(300)
    )
    with pytest.raises(ManifestError, match="98 KB"):
        where(routes)


def test_the_largest_routes_still_fit_into_one_variable() -> None:
    """Linux starts no program with a longer one, and the routes travel as base64."""
    assert len("MAGENTO_CLOUD_ROUTES=") + -(-MAX_BYTES // 3) * 4 <= variables.MAX_BYTES


def test_platform_routes_say_what_applications_read() -> None:
    routes = f"""
https://{{default}}/:
    type: upstream
    upstream: app
    id: main
    attributes: {{a: b}}
    redirects: {{paths: {{/x: {{to: /y}}}}}}
https://www.{{default}}/: {{type: redirect, to: 'https://{{default}}/'}}
https://api.{{default}}/: {APP}
"""
    described = platform_routes(resolve(manifest(routes), default_host=HOST, port=8000))
    main, www = described[f"{BASE}/"], described[f"http://www.{HOST}:8000/"]
    assert {key: main[key] for key in ("primary", "id", "attributes", "type", "upstream", "original_url")} == {
        "primary": True,
        "id": "main",
        "attributes": {"a": "b"},
        "type": "upstream",
        "upstream": "app",
        "original_url": "https://{default}/",
    }
    assert (www["type"], www["to"], www["primary"], www["id"]) == ("redirect", f"{BASE}/", False, None)
    assert not any("redirects" in route or ("upstream" in route and "to" in route) for route in described.values())
