"""Configurations as they stand in repositories that were made for the hosted originals."""

from environments.manifest import DictSource, Manifest, Relationship, load

MAGENTO = r"""
name: mymagento
type: php:8.3
build:
    flavor: none
dependencies:
    php:
        composer/composer: '2.9.7'
runtime:
    extensions:
        - xsl
        - sodium
relationships:
    database: "mysql:mysql"
    # redis: "redis:redis"
    valkey: "cache:valkey"
    opensearch: "opensearch:opensearch"
web:
    locations:
        "/":
            root: "pub"
            passthru: "/index.php"
            index:
                - index.php
            expires: -1
            scripts: true
            allow: false
            rules:
                \.(css|js|map|gif|jpe?g|png|midi?|mp?ga|3gpp?|woff|otf|html?)$:
                    allow: true
                ^/sitemap(.*)\.xml$:
                    passthru: "/media/sitemap$1.xml"
        "/media":
            root: "pub/media"
            allow: true
            scripts: false
            expires: 1y
            passthru: "/get.php"
        "/static":
            root: "pub/static"
            allow: true
            scripts: false
            expires: 1y
            passthru: "/front-static.php"
            rules:
                ^/static/version\d+/(?<resource>.*)$:
                    passthru: "/static/$resource"
disk: 5120
mounts:
    "var": "shared:files/var"
    "app/etc": "shared:files/etc"
    "pub/media": "shared:files/media"
    "pub/static": "shared:files/static"
hooks:
    build: |
        set -e
        composer install
    deploy: |
        php ./vendor/bin/ece-tools run scenario/deploy.xml
    post_deploy: |
        php ./vendor/bin/ece-tools run scenario/post-deploy.xml
crons:
    cronrun:
        spec: "* * * * *"
        cmd: "php bin/magento cron:run"
variables:
    env:
        CONFIG__DEFAULT__PAYPAL_ONBOARDING__MIDDLEMAN_DOMAIN: 'broker.example.com'
"""

MAGENTO_SERVICES = """
mysql:
    type: mysql:10.4
    disk: 2048
cache:
    type: valkey:8.0
opensearch:
    type: opensearch:2
    disk: 1024
"""

MAGENTO_ROUTES = """
"http://{default}/":
    type: upstream
    upstream: "mymagento:http"
"http://{all}/":
    type: upstream
    upstream: "mymagento:http"
"""


def read(**files: str) -> Manifest:
    names = {"app": ".platform.app.yaml", "services": ".platform/services.yaml", "routes": ".platform/routes.yaml"}
    return load(DictSource({names[name]: text for name, text in files.items()}))


def magento() -> Manifest:
    return load(
        DictSource(
            {
                ".magento.app.yaml": MAGENTO,
                ".magento/services.yaml": MAGENTO_SERVICES,
                ".magento/routes.yaml": MAGENTO_ROUTES,
                ".magento.env.yaml": "stage: {global: {SCD_ON_DEMAND: true}}",
            }
        )
    )


def test_magento_cloud_is_read_whole() -> None:
    manifest = magento()
    app = manifest.app("mymagento")
    assert manifest.flavour == "magento"
    assert (app.language, app.version, app.source_root, app.disk) == ("php", "8.3", "", 5120)
    assert app.build.flavor == "none"
    assert app.dependencies["php"].packages == {"composer/composer": "2.9.7"}
    assert [extension.name for extension in app.runtime.extensions] == ["xsl", "sodium"]
    assert app.relationships["valkey"] == Relationship(service="cache", endpoint="valkey")
    assert (app.upstream.socket_family, app.upstream.protocol) == ("unix", "fastcgi")
    assert app.hooks.deploy == "php ./vendor/bin/ece-tools run scenario/deploy.xml\n"
    assert manifest.services["mysql"].engine == "mariadb"
    assert [route.url for route in manifest.routes] == ["http://{default}/", "http://{all}/"]


def test_magento_rules_keep_their_order_and_their_captures() -> None:
    locations = magento().app("mymagento").locations
    rules = locations["/"].rules
    assert [rule.allow for rule in rules.values()] == [True, None]
    assert rules[r"^/sitemap(.*)\.xml$"].passthru == "/media/sitemap$1.xml"
    assert locations["/static"].rules[r"^/static/version\d+/(?<resource>.*)$"].passthru == "/static/$resource"
    assert locations["/media"].expires == 365 * 86400
    assert not locations["/media"].scripts
    assert not locations["/"].allow


def test_magento_mounts_in_the_older_form_are_local() -> None:
    mounts = magento().app("mymagento").mounts
    assert {path: (mount.source, mount.source_path) for path, mount in mounts.items()} == {
        "var": ("local", "var"),
        "app/etc": ("local", "etc"),
        "pub/media": ("local", "media"),
        "pub/static": ("local", "static"),
    }


def test_the_magento_cron_runs_each_minute_with_a_warning() -> None:
    manifest = magento()
    assert manifest.app("mymagento").crons["cronrun"].commands.start == "php bin/magento cron:run"
    assert [warning.key for warning in manifest.warnings] == ["crons.cronrun.spec"]
    assert manifest.warnings[0].line == MAGENTO.splitlines().index('        spec: "* * * * *"') + 1


def test_apps_without_locations_get_every_request() -> None:
    for language, start in (
        ("python:3.9", "poetry run flask run -p $PORT"),
        ("nodejs:18", "node index.js"),
        ("nodejs:12", "npm start"),
        ("python:3.11", "uvicorn main:app --port $PORT"),
    ):
        app = read(app=f"name: app\ntype: '{language}'\nweb: {{commands: {{start: {start}}}}}").app("app")
        assert list(app.locations) == ["/"]
        assert app.locations["/"].passthru is True
        assert app.locations["/"].root is None
        assert (app.upstream.socket_family, app.upstream.protocol) == ("tcp", "http")


def test_flask_with_numbers_and_truths_in_its_variables() -> None:
    manifest = read(
        app="""
name: flask
type: "python:3.9"
variables:
    env:
        POETRY_VERSION: 1.1.14
        POETRY_VIRTUALENVS_IN_PROJECT: true
        POETRY_VIRTUALENVS_CREATE: false
        RATIO: 1.10
hooks:
    build: |
        set -e
        poetry install
web:
    commands:
        start: poetry run flask run -p $PORT
disk: 1024
relationships:
    database: "db:mysql"
    rediscache: "cache:redis"
source:
    operations:
        auto-update:
            command: |
                curl -fsS https://example.com/setup.sh | sh
""",
        services="db: {type: 'mariadb:10.4', disk: 256}\ncache: {type: 'redis:5.0'}",
    )
    app = manifest.app("flask")
    assert app.variables["env"] == {
        "POETRY_VERSION": "1.1.14",
        "POETRY_VIRTUALENVS_IN_PROJECT": True,
        "POETRY_VIRTUALENVS_CREATE": False,
        "RATIO": 1.1,
    }
    assert type(app.variables["env"]["RATIO"]) is float
    assert "auto-update" in app.source_operations
    assert not manifest.warnings


def test_the_php_template_runs_scripts_without_saying_so() -> None:
    location = read(app="name: app\ntype: 'php:8.4'\nweb: {locations: {/: {root: web, passthru: /index.php}}}")
    root = location.app("app").locations["/"]
    assert (root.scripts, root.allow, root.index, root.expires) == (True, True, (), -1)
    assert location.app("app").build.flavor == "composer"


def test_gatsby_is_static_and_nothing_is_passed_on() -> None:
    manifest = read(
        app="""
name: gatsby
type: nodejs:18
dependencies: {nodejs: {yarn: "1.22.17"}}
build: {flavor: none}
web:
    locations:
        '/':
            root: public
            index: ['index.html']
            expires: 300s
            rules: {'\\.(js|css)$': {expires: 4w}}
"""
    )
    root = manifest.app("gatsby").locations["/"]
    assert (root.passthru, root.root, root.expires) == (False, "public", 300)
    assert root.rules[r"\.(js|css)$"].expires == 28 * 86400
    assert not manifest.warnings


def test_symfony_with_workers_and_a_shared_database() -> None:
    manifest = read(
        app="""
name: app
type: php:8.2
disk: 1024
runtime:
    extensions: [apcu, {name: blackfire, configuration: {server_id: a}}]
    disabled_extensions: [xdebug]
    sizing_hints: {request_memory: 110, reserved_memory: 110}
relationships: {database: "db:postgresql", queue: }
mounts:
    "/var/cache": {source: local, source_path: var/cache}
    "/var/log": {source: local}
    "/var/tmp": {source: tmp}
web: {locations: {/: {root: public, passthru: /index.php, headers: {Access-Control-Allow-Origin: "*"}}}}
workers:
    messenger:
        commands: {start: symfony console messenger:consume async}
    small:
        size: S
        mounts: {}
        relationships: {queue: }
        commands: {pre_start: "true", start: "sleep 1"}
crons:
    purge: {spec: "H/15 * * * *", commands: {start: croncape php bin/console purge, stop: killall php}}
timezone: America/New_York
""",
        services="db: {type: 'postgresql:14', disk: 256}\nqueue: {type: 'rabbitmq:3.11', disk: 512}",
    )
    app = manifest.app("app")
    assert app.relationships["queue"] == Relationship(service="queue", endpoint="rabbitmq")
    assert app.mounts["var/log"].source_path == "var/log"
    assert app.mounts["var/tmp"].source == "tmp"
    messenger, small = app.workers["messenger"], app.workers["small"]
    assert messenger.full_name == "app--messenger"
    assert messenger.mounts == app.mounts
    assert messenger.relationships == app.relationships
    assert (messenger.size, messenger.disk, messenger.timezone) == ("AUTO", 1024, "America/New_York")
    assert (small.size, small.mounts, list(small.relationships)) == ("S", {}, ["queue"])
    assert app.runtime.extensions[1].configuration == {"server_id": "a"}


def test_wordpress_patterns_with_inline_flags_and_look_behind() -> None:
    pattern = r"(?<!\-lock)\.(?i:jpe?g|gif|png|css|js(?:on)?|pp[st]x?|mp[2-5g]|og[gv])$"
    manifest = read(
        app=f"""
name: app
type: 'php:8.1'
disk: 2048
mounts: {{wordpress/wp-content/cache: {{source: local, source_path: cache}}}}
web:
    locations:
        "/":
            root: wordpress
            passthru: /index.php
            index: [index.php]
            expires: 600
            rules:
                ^/composer\\.json: {{allow: false}}
        "/wp-content/uploads":
            root: wordpress/wp-content/uploads
            allow: false
            scripts: false
            rules:
                '{pattern}': {{allow: true, expires: 1w}}
"""
    )
    assert manifest.app("app").locations["/wp-content/uploads"].rules[pattern].expires == 7 * 86400


def test_several_apps_in_one_file_as_a_mapping() -> None:
    manifest = load(
        DictSource(
            {
                ".platform/applications.yaml": """
api:
    type: php:8.2
    source: {root: api}
    relationships: {database: "database:postgresql"}
proxy:
    type: 'golang:1.23'
    source: {root: proxy}
    relationships: {app: "api:http"}
    web: {commands: {start: ./bin/app}, locations: {/: {allow: false, passthru: true}}}
""",
                ".platform/services.yaml": "database: {type: 'postgresql:16', disk: 256}",
                ".platform/routes.yaml": "https://{default}/: {type: upstream, upstream: 'proxy:http'}",
            }
        )
    )
    assert [(app.name, app.source_root) for app in manifest.apps] == [("api", "api"), ("proxy", "proxy")]
    assert manifest.app("proxy").relationships["app"] == Relationship(service="api", endpoint="http")


def test_several_apps_in_one_list_that_share_an_anchor() -> None:
    manifest = load(
        DictSource(
            {
                ".platform/applications.yaml": """
- &base
    name: app
    type: 'java:8'
    disk: 1024
    source: {root: /}
    mounts: {'server/': {source: local, source_path: server_source}}
    web: {commands: {start: java -jar a.jar}}
-
    <<: *base
    name: app2
    web: {commands: {start: java -jar b.jar}}
""",
                ".platform/routes.yaml": "https://{default}/: {type: upstream, upstream: 'app2:http'}",
            }
        )
    )
    first, second = manifest.apps
    assert (first.name, second.name) == ("app", "app2")
    assert first.source_root == second.source_root == ""
    assert second.mounts["server"].source_path == "server_source"
    assert second.web.commands.start == "java -jar b.jar"


def test_app_files_at_any_depth_name_their_folder() -> None:
    manifest = load(
        DictSource(
            {
                ".magento.app.yaml": "name: shop\ntype: php:8.3",
                "services/graphql/.magento.app.yaml": "name: graphql\ntype: nodejs:18\nweb: {commands: {start: a}}",
                "server/.magento/.magento.app.yaml": "name: server\ntype: php:8.2\nsource: {root: /}",
                ".magento/routes.yaml": "https://{default}/: {type: upstream, upstream: 'shop:http'}",
            }
        )
    )
    assert {app.name: app.source_root for app in manifest.apps} == {
        "shop": "",
        "graphql": "services/graphql",
        "server": "",
    }
    assert manifest.app("graphql").config_file == "services/graphql/.magento.app.yaml"


def test_keys_of_before_2016_become_a_location() -> None:
    app = read(
        app="""
name: front
type: php:5.6
web:
    document_root: /public
    passthru: /index.php
    index_files: [index.php]
    expires: 3d
    whitelist: ['\\.css$', '\\.html$']
    blacklist: ['\\.html$']
"""
    ).app("front")
    root = app.locations["/"]
    assert (root.root, root.passthru, root.index, root.expires) == ("public", "/index.php", ("index.php",), 3 * 86400)
    assert {pattern: rule.allow for pattern, rule in root.rules.items()} == {r"\.html$": False, r"\.css$": True}
    assert not root.allow


def test_varnish_stands_between_the_routes_and_the_app() -> None:
    manifest = load(
        DictSource(
            {
                ".platform.app.yaml": "name: app\ntype: php:8.2",
                ".platform/services.yaml": """
varnish:
    type: varnish:6.0
    relationships: {application: "app:http"}
    configuration:
        vcl: !include {type: string, path: config.vcl}
""",
                ".platform/config.vcl": "sub vcl_recv { set req.backend_hint = application.backend(); }",
                ".platform/routes.yaml": "https://{default}/: {type: upstream, upstream: 'varnish:http'}",
            }
        )
    )
    assert manifest.services["varnish"].configuration["vcl"].startswith("sub vcl_recv")
    assert manifest.routes[0].upstream_name == "varnish"


def test_routes_with_many_redirects() -> None:
    manifest = read(
        app="name: docs\ntype: php:8.2",
        routes=r"""
https://{default}/:
  type: upstream
  upstream: docs:http
  id: platformsh
  primary: true
  cache: {enabled: true, cookies: ['/^SS?ESS/']}
  ssi: {enabled: false}
  redirects:
    expires: 300s
    paths:
      "/tools.html": { "to": "/development/tools.html", "code": 301, "prefix": false}
      "^/guides/drupal9/(.*)$": { "to": "/guides/drupal/$1", "regexp": true }
      "^\/([^.]*)\/$": { "to": '/$1.html', "regexp": true }
      "/web.html#how": { "to": "/rewrite.html", "code": 301, "prefix": false }
      "/frameworks/(?!deploy|drupal)(.*).html":  { "to": "https://x.example.com/$1", "regexp": true }
https://www.{default}:
  type: redirect
  to: https://{default}/
"http://*.forensics.example.com/":
  type: redirect
  to: https://forensics.example.com/
""",
    )
    first, second, third = manifest.routes
    assert list(first.redirects.paths)[2] == r"^/([^.]*)/$"
    assert first.redirects.paths["/tools.html"].code == 301
    assert (first.redirects.expires, first.cache.cookies) == (300, ("/^SS?ESS/",))
    assert (second.url, second.to) == ("https://www.{default}/", "https://{default}/")
    assert third.url == "http://*.forensics.example.com/"
