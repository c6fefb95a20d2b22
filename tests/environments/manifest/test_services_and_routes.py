import pytest

from environments.manifest import DictSource, load
from environments.manifest.routes import normal_url

from .make import APP, app, problem, refused

PHP = "name: app\ntype: 'php:8.2'\n"


@pytest.mark.parametrize(
    ("kind", "engine", "endpoint", "scheme", "port", "path"),
    [
        ("mysql:10.2", "mariadb", "mysql", "mysql", 3306, "main"),
        ("mariadb:11.8", "mariadb", "mysql", "mysql", 3306, "main"),
        ("postgresql:18", "postgresql", "postgresql", "pgsql", 5432, "main"),
        ("redis:8.0", "redis", "redis", "redis", 6379, None),
        ("redis-persistent:7.2", "redis", "redis", "redis", 6379, None),
        ("valkey:8.0", "valkey", "valkey", "redis", 6379, None),
        ("memcached:1.6", "memcached", "memcached", "memcached", 11211, None),
        ("rabbitmq:4.3", "rabbitmq", "rabbitmq", "amqp", 5672, None),
        ("opensearch:3", "opensearch", "opensearch", "http", 9200, None),
        ("elasticsearch:7.10", "elasticsearch", "elasticsearch", "http", 9200, None),
        ("solr:9.9", "solr", "solr", "solr", 8080, None),
        ("mongodb-enterprise:7.0", "mongodb-enterprise", "mongodb", "mongodb", 27017, None),
    ],
)
def test_services_have_the_endpoint_of_their_type(
    kind: str, engine: str, endpoint: str, scheme: str, port: int, path: str | None
) -> None:
    service = app(head=PHP, services=f"s: {{type: '{kind}'}}").services["s"]
    found = service.endpoints()[endpoint]
    assert (service.name, service.engine, service.version) == ("s", engine, kind.partition(":")[2])
    assert service.default_endpoint() == endpoint
    assert (found.scheme, found.port, found.path) == (scheme, port, path)


def test_network_storage_has_no_endpoint() -> None:
    service = app(head=PHP, services="s: {type: 'network-storage:1.0', disk: 256}").services["s"]
    assert (service.endpoints(), service.default_endpoint()) == ({}, None)


def test_named_endpoints_of_a_database_replace_the_default() -> None:
    service = app(
        "relationships: {database: 'db:admin', reports: 'db:reporter'}",
        head=PHP,
        services="""
db:
  type: mariadb:10.11
  disk: 1024
  configuration:
    schemas: [main, legacy]
    endpoints:
      admin: {default_schema: main, privileges: {main: admin, legacy: admin}}
      reporter: {privileges: {legacy: ro}}
    properties: {max_allowed_packet: 64}
""",
    ).services["db"]
    assert service.schemas() == ("main", "legacy")
    assert {name: endpoint.path for name, endpoint in service.endpoints().items()} == {
        "admin": "main",
        "reporter": "legacy",
    }
    assert service.endpoints()["reporter"].privileges == {"legacy": "ro"}
    assert service.default_endpoint() is None


def test_properties_alone_keep_the_default_endpoint() -> None:
    service = app(
        head=PHP, services="db: {type: 'mysql:10.4', configuration: {properties: {max_allowed_packet: 64}}}"
    ).services["db"]
    assert service.schemas() == ("main",)
    assert list(service.endpoints()) == ["mysql"]


def test_schemas_without_endpoints_cannot_be_reached() -> None:
    found = problem(
        "relationships: {d: 'db:mysql'}",
        head=PHP,
        services="db: {type: 'mysql:10.4', configuration: {schemas: [main]}}",
    )
    assert "configures no endpoints" in found.message


def test_postgresql_databases() -> None:
    service = app(
        head=PHP,
        services="""
db:
  type: postgresql:16
  configuration:
    databases: [main]
    endpoints: {writer: {default_database: main, privileges: {main: rw}}}
    extensions: [pg_trgm]
""",
    ).services["db"]
    assert service.schemas() == ("main",)
    assert service.default_endpoint() == "writer"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("db: {type: mariadb}", "db.type", "lacks a usable version"),
        ("db: {type: 'mariadbb:10'}", "db.type", 'Did you mean "mariadb"?'),
        ("db: {type: 10.4}", "db.type", "is not the type of a service"),
        ("db: {}", "db.type", "is missing"),
        ("db: ", "db", "must be a mapping"),
        ("db: {type: 'mysql:10', disk: 128}", "db.disk", "at least 256 MB"),
        ("db: {type: 'mysql:10', dsik: 512}", "db.dsik", 'Did you mean "disk"?'),
        ("db: {type: 'mysql:10', name: x}", "db.name", "its key"),
        ("Db: {type: 'mysql:10'}", "Db", "cannot be the name"),
        ("'a;id': {type: 'mysql:10'}", "a;id", "cannot be the name"),
        ("db: {type: 'mysql:10', configuration: {shemas: [a]}}", "db.configuration.shemas", 'Did you mean "schemas"?'),
        (
            "db: {type: 'mysql:10', configuration: {schemas: [a;b]}}",
            "db.configuration.schemas[0]",
            "cannot be used as a name",
        ),
        (
            "db: {type: 'mysql:10', configuration: {schemas: [a], endpoints: {e: {privileges: {b: ro}}}}}",
            "db.configuration",
            'uses "b", which schemas does not list',
        ),
        (
            "db: {type: 'mysql:10', configuration: {schemas: [a], endpoints: {e: {privileges: {a: root}}}}}",
            "db.configuration.endpoints.e.privileges.a",
            '"root" is not known here',
        ),
        (
            "c: {type: 'redis:7', configuration: {maxmemory_policy: all}}",
            "c.configuration.maxmemory_policy",
            "not known here",
        ),
        ("v: {type: 'varnish:6.0'}", "v.configuration", 'Varnish needs "vcl"'),
        (
            "v: {type: 'varnish:6.0', configuration: {vcl: x}, relationships: {a: 'b:http'}}",
            "v.relationships.a",
            "no service or app",
        ),
    ],
)
def test_services_that_cannot_be(text: str, key: str, words: str) -> None:
    found = problem(head=PHP, services=text)
    assert (found.file, found.line, found.key) == (".platform/services.yaml", 1, key)
    assert words in found.message


def test_an_empty_services_file_means_no_services() -> None:
    assert app(head=PHP, services="# none\n").services == {}


# -- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("https://{default}", "https://{default}/"),
        ("https://{default}/api", "https://{default}/api/"),
        ("HTTPS://x", None),
        ("http://www.{all}/", "http://www.{all}/"),
        ("https://*.{default}/", "https://*.{default}/"),
        ("https://WWW.Example.com/Path", "https://www.example.com/Path/"),
        ("https://{default}:8080/", None),
        ("https://user@{default}/", None),
        ("https://{default}/a/../b", None),
        ("https://{default}//b", None),
        ("https://{default}/?x=1", None),
        ("https://{other}/", None),
        ("https://a_b.example.com/", None),
        ("https://-a.example.com/", None),
        ("https://" + "a" * 64 + ".com/", None),
        ("https://" + "a." * 130 + "com/", None),
        ("https://a.*.example.com/", None),
        ("https://{default}/{default}", None),
        ("https://{default}/a b", None),
        ("https://{default}/a;b", None),
        ("ftp://{default}/", None),
        ("{default}", None),
    ],
)
def test_urls_of_routes(key: str, url: str | None) -> None:
    if url is None:
        with pytest.raises(ValueError, match=r"it is|the host|the path"):
            normal_url(key)
    else:
        assert normal_url(key) == url


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("{type: upstream}", "", 'needs "upstream"'),
        ("{type: redirect}", "", 'needs "to"'),
        ("{type: proxy, to: /x}", "", "whole URL"),
        ("{type: upsteam, upstream: app}", ".type", 'Did you mean "upstream"?'),
        ("{upstream: app}", ".type", "is missing"),
        ("{type: upstream, upstream: 'ap:http'}", ".upstream", 'Did you mean "app"?'),
        ("{type: upstream, upstream: 'app:mysql'}", ".upstream", 'no endpoint "mysql"'),
        ("{type: upstream, upstream: 'db:mysql'}", ".upstream", 'serves no endpoint "mysql"'),
        ("{type: redirect, to: 'javascript:alert(1)'}", ".to", "cannot be redirected to"),
        ('{type: redirect, to: "https://a/\\r\\nX: y"}', ".to", "cannot be redirected to"),
        ("{type: upstream, upstream: app, cahce: {}}", ".cahce", 'Did you mean "cache"?'),
        ("{type: upstream, upstream: app, url: x}", ".url", "is its key"),
        ("{type: upstream, upstream: app, cache: {headers: [Cookie]}}", ".cache.headers", "cache key"),
        ("{type: upstream, upstream: app, redirects: {paths: {/a: {}}}}", ".redirects.paths./a.to", "is missing"),
        ("{type: upstream, upstream: app, redirects: {paths: {a: {to: /b}}}}", ".redirects.paths.a", "is not a path"),
        (
            "{type: upstream, upstream: app, redirects: {paths: {/a: {to: /b, code: 305}}}}",
            ".redirects.paths./a",
            "305",
        ),
        (
            "{type: upstream, upstream: app, redirects: {paths: {/a: {to: /$1}}}}",
            ".redirects.paths./a",
            "cannot be used",
        ),
        (
            "{type: upstream, upstream: app, redirects: {paths: {'(': {to: /b, regexp: true}}}}",
            ".redirects",
            "not valid",
        ),
        ("{type: upstream, upstream: app, tls: {min_version: '1.2'}}", ".tls.min_version", "not known here"),
        ("[a]", "", "must be a mapping"),
    ],
)
def test_routes_that_cannot_be(text: str, key: str, words: str) -> None:
    found = problem(head=PHP, services="db: {type: 'mysql:10'}", routes=f"\nhttps://{{default}}/: {text}\n")
    assert (found.file, found.line, found.key) == (".platform/routes.yaml", 2, f"https://{{default}}/{key}")
    assert words in found.message


def test_a_url_is_routed_once() -> None:
    one = "{type: upstream, upstream: app}"
    found = problem(head=PHP, routes=f"https://{{default}}: {one}\nhttps://{{default}}/: {one}\n")
    assert found.line == 2
    assert "first on line 1" in found.message


def test_one_route_is_primary_and_ids_are_unique() -> None:
    one = "{type: upstream, upstream: app, primary: true, id: a}"
    problems = refused(
        DictSource(
            {
                ".platform.app.yaml": PHP,
                ".platform/routes.yaml": f"https://{{default}}/: {one}\nhttps://b.{{default}}/: {one}\n",
            }
        )
    )
    assert [(found.key, found.line) for found in problems] == [
        ("https://b.{default}/.primary", 2),
        ("https://b.{default}/.id", 2),
    ]


def test_values_of_attributes_are_text() -> None:
    route = app(
        head=PHP, routes="https://{default}/: {type: upstream, upstream: app, attributes: {a: 1, b: true, c: d}}"
    ).routes[0]
    assert route.attributes == {"a": "1", "b": "true", "c": "d"}
    assert (route.upstream, route.upstream_name, route.upstream_endpoint) == ("app:http", "app", "http")


@pytest.mark.parametrize("routes", [{}, {"routes": ""}, {"routes": "# nothing"}])
def test_without_routes_all_goes_to_the_app(routes: dict[str, str]) -> None:
    (route,) = app(head=PHP, **routes).routes
    assert (route.url, route.type, route.upstream) == ("https://{default}/", "upstream", "app:http")


def test_without_routes_the_app_nearest_to_the_root_is_taken_with_a_warning() -> None:
    other = APP.replace("app", "other") + "web: {commands: {start: a}}"
    manifest = load(DictSource({"b/.platform.app.yaml": other, ".platform.app.yaml": PHP}))
    assert manifest.routes[0].upstream_name == "app"
    assert "There are several apps but no routes" in manifest.warnings[0].message


def test_files_of_the_other_flavour_are_named_as_ignored() -> None:
    manifest = load(DictSource({".platform.app.yaml": PHP, ".magento.app.yaml": PHP.replace("app", "shop")}))
    assert (manifest.flavour, manifest.apps[0].name) == ("magento", "shop")
    assert manifest.warnings[0].file == ".platform.app.yaml"
    assert "not used" in manifest.warnings[0].message
