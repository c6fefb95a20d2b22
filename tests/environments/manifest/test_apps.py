import pytest

from environments.manifest import Mount, Relationship
from environments.manifest.cron import resolve, shortest_gap

from .make import APP, app, problem, refused, source

SERVICES = """
db: {type: 'mariadb:10.11', disk: 256}
cache: {type: 'redis:7.0'}
files: {type: 'network-storage:1.0', disk: 256}
"""
PHP = "name: app\ntype: 'php:8.2'\n"


# -- relationships ----------------------------------------------------------------------------------------------------


def test_relationships_in_all_their_forms() -> None:
    manifest = app(
        "relationships: {a: 'db:mysql', b: {service: db, endpoint: mysql}, c: {service: db}, cache: }",
        services=SERVICES,
    )
    assert manifest.app("app").relationships == {
        "a": Relationship(service="db", endpoint="mysql"),
        "b": Relationship(service="db", endpoint="mysql"),
        "c": Relationship(service="db", endpoint="mysql"),
        "cache": Relationship(service="cache", endpoint="redis"),
    }


@pytest.mark.parametrize(
    ("text", "words", "allowed"),
    [
        ("x: 'dbs:mysql'", 'There is no service or app "dbs". Did you mean "db"?', "app, cache, db, files"),
        ("x: ", 'There is no service or app "x"', "app, cache, db, files"),
        ("x: 'db:pgsql'", 'The service "db" has no endpoint "pgsql"', "mysql"),
        ("x: 'app:mysql'", 'The app "app" has no endpoint "mysql"', "http"),
        ("x: {service: files}", "use it in a mount", ""),
        ("x: {servic: db}", 'Did you mean "service"?', "endpoint, service"),
        ("x: [db]", "must be a mapping", ""),
        ("'a b': 'db:mysql'", "cannot be used as a name", "letters, digits, - and _, up to 63 of them"),
    ],
)
def test_relationships_must_lead_somewhere(text: str, words: str, allowed: str) -> None:
    found = problem(f"relationships:\n  {text}\n", services=SERVICES)
    assert words in found.message
    assert (found.line, found.allowed) == (4, allowed)


def test_a_relationship_of_a_worker_is_checked_too() -> None:
    found = problem("workers:\n  w:\n    commands: {start: a}\n    relationships: {x: 'no:mysql'}\n")
    assert (found.line, found.key) == (6, "workers.w.relationships.x")


# -- mounts -----------------------------------------------------------------------------------------------------------


def test_mounts_in_all_their_forms() -> None:
    manifest = app(
        """disk: 256
mounts:
  a: shared:files/a
  /b/: {source: local}
  c/d: {source: tmp, source_path: ""}
  e: {source: service, service: files, source_path: /x/}
  f: {source: temporary}
  g: {source: storage, service: files}
""",
        services=SERVICES,
    )
    assert manifest.app("app").mounts == {
        "a": Mount(source="local", source_path="a"),
        "b": Mount(source="local", source_path="b"),
        "c/d": Mount(source="tmp", source_path=""),
        "e": Mount(source="service", source_path="x", service="files"),
        "f": Mount(source="tmp", source_path="f"),
        "g": Mount(source="service", source_path="g", service="files"),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("../x: {source: tmp}", '".." is not allowed'),
        ("a/../../x: {source: tmp}", '".." is not allowed'),
        ("~/x: {source: tmp}", 'must not begin with "~"'),
        ('"a\\nb": {source: tmp}', "cannot be used"),
        ("/: {source: tmp}", "The whole app cannot be a mount"),
        ("x: {source: tmp, source_path: ../../etc}", '".." is not allowed'),
        ("x: {source: disk}", '"disk" is not known here'),
        ("x: shared:etc/passwd", "is not a mount"),
        ("x: {source: local}", 'Local mounts need "disk"'),
        ("x: {source: service}", 'needs "service"'),
        ("x: {source: service, service: gone}", 'There is no service "gone" to mount'),
        ("x: {source: service, service: db}", "which cannot be mounted"),
        ("x: ", 'key "source" is missing'),
    ],
)
def test_mounts_that_cannot_be(text: str, words: str) -> None:
    found = problem(f"mounts:\n  {text}\n", services=SERVICES)
    assert words in found.message
    assert found.key.startswith("mounts")


def test_mounts_must_not_lie_in_one_another() -> None:
    found = problem(
        "disk: 128\nmounts:\n  var: shared:files/var\n  variant: {source: tmp}\n  /var/cache/x: {source: local}\n"
    )
    assert (found.line, found.key) == (7, "mounts./var/cache/x")
    assert 'inside the mount "var"' in found.message


def test_one_folder_is_one_mount() -> None:
    found = problem("mounts:\n  var: {source: tmp}\n  /var/: {source: tmp}\n")
    assert 'same folder as the mount "var"' in found.message


# -- web --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("/: {expires: soon}", "./.expires", '"soon" is not a time'),
        ("/: {expires: true}", "./.expires", "is not a time"),
        ("/: {root: ../x}", "./.root", '".." is not allowed'),
        ("/: {passthru: index.php}", "./.passthru", "cannot be passed on to"),
        ("/: {passthru: '/a b'}", "./.passthru", "cannot be passed on to"),
        ("/: {passthru: '/$host'}", "./.passthru", '"$host" is not a group'),
        ("/: {allow: 'yes'}", "./.allow", "It must be true or false"),
        ("/: {pasthru: true}", "./.pasthru", 'Did you mean "passthru"?'),
        ("/: {index: [a/b]}", "./.index", "the name of a file"),
        ("/: {headers: {'X-A b': c}}", "./.headers.X-A b", "not the name of a header"),
        ('/: {headers: {X-A: "a\\r\\nX-B: c"}}', "./.headers.X-A", "one line"),
        ("/: {rules: {'(a': {}}}", "./.rules.(a", "missing )"),
        ("/: {rules: {'a**': {}}}", "./.rules.a**", "multiple repeat"),
        ("/: {rules: {'[a': {}}}", "./.rules.[a", "unterminated character set"),
        ("/: {rules: {'^/(.*)$': {passthru: '/$2'}}}", "./.rules.^/(.*)$.passthru", '"$2" is not a group'),
        ("/: {rules: {'(?<a>.)': {passthru: '/$b'}}}", "./.rules.(?<a>.).passthru", '"$b" is not a group'),
        ("/: {request_buffering: {max_request_size: huge}}", "./.request_buffering.max_request_size", "not a size"),
        ("api: {}", ".api", "is not a path of the site"),
        ("/../etc: {}", "./../etc", "cannot be used"),
        ("'/a;b': {}", "./a;b", "cannot be used"),
    ],
)
def test_locations_that_cannot_be(text: str, key: str, words: str) -> None:
    found = problem(f"web:\n  locations:\n    {text}\n", head=PHP)
    assert words in found.message
    assert (found.line, found.key) == (5, f"web.locations{key}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-1", -1),
        ("'-1'", -1),
        ("0", 0),
        ("600", 600),
        ("300s", 300),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86400),
        ("1w", 604800),
        ("1M", 30 * 86400),
        ("1y", 365 * 86400),
    ],
)
def test_expires_is_kept_in_seconds(text: str, seconds: int) -> None:
    manifest = app(f"web: {{locations: {{/: {{expires: {text}}}}}}}", head=PHP)
    assert manifest.app("app").locations["/"].expires == seconds


@pytest.mark.parametrize(
    "pattern", [r"(?i)\.(jpe?g)$", r"\R\h++(?>a)x*+", r"^/(?!a|b)(?<=\d{1,2}|x)", r"[[:alpha:]]+", r"[]a]"]
)
def test_patterns_that_pcre_knows_are_left_to_it(pattern: str) -> None:
    manifest = app(f"web: {{locations: {{/: {{rules: {{'{pattern}': {{allow: false}}}}}}}}}}", head=PHP)
    assert list(manifest.app("app").locations["/"].rules) == [pattern]


def test_empty_locations_are_as_good_as_none() -> None:
    manifest = app("web: {locations: {}, commands: {start: run}}")
    assert manifest.app("app").locations["/"].passthru is True


def test_a_named_upstream_beats_the_default_of_the_language() -> None:
    manifest = app("web: {upstream: {socket_family: tcp, protocol: http}, commands: {start: a}}", head=PHP)
    assert manifest.app("app").upstream.protocol == "http"
    assert app("web: {upstream: {socket_family: unix}}").app("app").upstream.socket_family == "unix"


def test_old_and_new_web_keys_do_not_mix() -> None:
    found = problem("web:\n  document_root: /public\n  locations: {/: {root: a}}\n", head=PHP)
    assert '"document_root" cannot be used together with "locations"' in found.message
    assert problem("web: {whitelist: {a: b}}", head=PHP).message == '"whitelist" must be a list of patterns.'
    assert "is not valid" in problem("web: {whitelist: ['(a']}", head=PHP).message


def test_an_unknown_key_of_web_is_told_with_the_known_ones() -> None:
    found = problem("web:\n  location: {}\n", head=PHP)
    assert (found.line, found.key) == (4, "web.location")
    assert 'Did you mean "locations"?' in found.message
    assert found.allowed == "commands, locations, move_to_root, upstream"


def test_an_app_that_nothing_starts_is_warned_about() -> None:
    (warning,) = app().warnings
    assert warning.key == "web.commands.start"
    assert not app(head=PHP).warnings


# -- names, types, sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["App", "a b", "../x", "$(id)", "-a", "a;id", "''", "x" * 64, "`id`", "--exec=id"])
def test_names_of_apps_are_plain(name: str) -> None:
    assert problem(head=f"name: '{name}'\ntype: 'php:8.2'\n").key == "name" if name != "''" else True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node:18", 'Did you mean "nodejs"?'),
        ("phyton:3.11", 'Did you mean "python"?'),
        ("python", "lacks a usable version"),
        ("python:;id", "lacks a usable version"),
        ("8.2", "is not the type of an app"),
    ],
)
def test_types_are_a_language_and_a_version(text: str, words: str) -> None:
    found = problem(head=f"name: app\ntype: {text}\n")
    assert (found.line, found.key) == (2, "type")
    assert words in found.message


def test_name_and_type_are_needed() -> None:
    problems = refused(source("size: S\n", head=""))
    assert [(found.key, found.line) for found in problems] == [("name", 1), ("type", 1)]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("size: HUGE", "size"),
        ("disk: 64", "disk"),
        ("disk: lots", "disk"),
        ("disk: true", "disk"),
        ("disk: 99999999999", "disk"),
        ("access: {ssh: root}", "access.ssh"),
        ("access: {shh: admin}", "access.shh"),
        ("timezone: Mars/Olympus", "timezone"),
        ("timezone: ../../etc/passwd", "timezone"),
        ("additional_hosts: {a: b}", "additional_hosts.a"),
        ("additional_hosts: {'a b': 127.0.0.1}", "additional_hosts.a b"),
        ("build: {flavor: fancy}", "build.flavor"),
        ("build: {caches: {npm: {directory: /../x}}}", "build.caches.npm.directory"),
        ("dependencies: {perl: {a: b}}", "dependencies.perl"),
        ("dependencies: {nodejs: {--x: '1'}}", "dependencies.nodejs.packages.--x"),
        ("dependencies: {nodejs: {x: --y}}", "dependencies.nodejs.packages.x"),
        ("hooks: {build: [a]}", "hooks.build"),
        ("hooks: {biuld: a}", "hooks.biuld"),
        ("variables: {env: {a-b: 1}}", "variables"),
        ("variables: {env: x}", "variables.env"),
        ("crons: {'a;b': {spec: '0 * * * *', cmd: x}}", "crons.a;b"),
        ("crons: {a: {spec: '0 * * * *'}}", "crons.a.commands"),
        ("crons: {a: {spec: '0 * * * *', cmd: x, commands: {start: x}}}", "crons.a"),
        ("crons: {a: {cmd: x}}", "crons.a.spec"),
        ("workers: {a: {}}", "workers.a.commands"),
        ("workers: {a: {commands: {stop: b, start: c}}}", "workers.a.commands.stop"),
        ("workers: {a: {commands: {start: c}, crons: {}}}", "workers.a.crons"),
        ("runtime: {extensions: [a b]}", "runtime.extensions[0].name"),
        ("firewall: {outbound: [{protocol: udp}]}", "firewall.outbound[0].protocol"),
        ("firewall: {outbound: [{ports: [70000]}]}", "firewall.outbound[0].ports[0]"),
        ("source: {root: ../x}", "source.root"),
        ("operations: {a: {role: admin}}", "operations.a.commands"),
    ],
)
def test_values_that_cannot_be(text: str, key: str) -> None:
    found = problem(text + "\n", head=PHP)
    assert (found.key, found.line) == (key, 3)


def test_keys_without_a_value_count_as_left_out() -> None:
    empty = "".join(
        f"{key}:\n" for key in ("crons", "mounts", "relationships", "hooks", "variables", "workers", "web", "build")
    )
    manifest = app(empty + "size:\ndisk:\n", head=PHP)
    assert manifest.app("app").build.flavor == "composer"
    assert manifest.app("app").locations["/"].passthru is True


@pytest.mark.parametrize(
    ("kind", "flavor"), [("php:8.2", "composer"), ("nodejs:18", "default"), ("python:3.11", "none")]
)
def test_the_flavor_depends_on_the_language(kind: str, flavor: str) -> None:
    assert app(head=f"name: app\ntype: {kind}\n").app("app").build.flavor == flavor


def test_versions_of_dependencies_keep_their_zeros() -> None:
    manifest = app(
        """dependencies:
  nodejs: {yarn: 1.10, n: 9, pnpm: , '@angular/cli': ^17}
  php: {require: {a/b: '*'}, repositories: [{type: vcs}]}
"""
    )
    dependencies = manifest.app("app").dependencies
    assert dependencies["nodejs"].packages == {"yarn": "1.10", "n": "9", "pnpm": "*", "@angular/cli": "^17"}
    assert dependencies["php"].packages == {"a/b": "*"}
    assert dependencies["php"].repositories == ({"type": "vcs"},)


def test_times_and_dates_stay_as_they_are_written() -> None:
    manifest = app("variables: {env: {AT: 12:30:45, DAY: 2024-02-30, OCT: 0644, HEX: 0xff, ANSWER: on}}")
    assert manifest.app("app").variables["env"] == {
        "AT": "12:30:45",
        "DAY": "2024-02-30",
        "OCT": 420,
        "HEX": 255,
        "ANSWER": True,
    }


def test_two_apps_cannot_share_a_name() -> None:
    from environments.manifest import DictSource

    (found,) = refused(DictSource({"a/.platform.app.yaml": APP, "b/.platform.app.yaml": APP}))
    assert found.file == "b/.platform.app.yaml"
    assert "taken by another app, in a/.platform.app.yaml:1" in found.message


def test_an_app_and_a_service_cannot_share_a_name() -> None:
    found = problem(services="app: {type: 'redis:7.0'}")
    assert "There is an app" in found.message


# -- what is derived --------------------------------------------------------------------------------------------------

FULL = """size: S
disk: 256
relationships: {db: 'db:mysql'}
mounts: {var: {source: local}}
workers: {w: {commands: {start: a}, mounts: {tmp: {source: tmp}}}}
variables: {env: {A: b}, php: {memory_limit: 1G}}
hooks: {build: make, deploy: migrate, post_deploy: warm}
crons: {a: {spec: 'H * * * *', cmd: x}}
web: {commands: {start: run}, locations: {/: {expires: 5m, rules: {a: {expires: -1}}}}}
runtime: {extensions: [apcu]}
dependencies: {nodejs: {yarn: "1"}}
"""


def test_the_build_sees_only_what_can_change_its_result() -> None:
    config = app(FULL, services=SERVICES).app("app").build_config()
    assert config["hooks"] == {"build": "make"}
    assert config["mounts"] == ["tmp", "var"]
    assert config["variables"]["env"] == {"A": "b"}
    assert not config.keys() & {"relationships", "crons", "web", "workers", "access", "size", "disk", "name"}


def test_the_public_configuration_of_a_build_leaves_out_what_differs_between_environments() -> None:
    entry = app(FULL, services=SERVICES).app("app")
    build, run = entry.public_config(build=True), entry.public_config(build=False)
    assert not build.keys() & {"access", "relationships", "crons"}
    assert build["hooks"] == {"build": "make"}
    assert list(build["web"]) == ["mounts"]
    assert list(build["workers"]["w"]) == ["mounts"]
    assert run["hooks"] == {"build": "make", "deploy": "migrate", "post_deploy": "warm"}
    assert run["relationships"]["db"] == {"service": "db", "endpoint": "mysql"}
    assert run["web"]["locations"]["/"]["expires"] == "300s"
    assert run["web"]["locations"]["/"]["rules"]["a"] == {"expires": "-1s"}
    assert run["runtime"]["extensions"] == ["apcu"]
    assert run["dependencies"] == {"nodejs": {"yarn": "1"}}
    assert run["access"] == {"ssh": "contributor"}


# -- schedules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "*/0 * * * *",
        "a * * * *",
        "5-1 * * * *",
        "* * * foo *",
        "@daily",
        "H(50-70) * * * *",
    ],
)
def test_schedules_that_cannot_be(spec: str) -> None:
    found = problem(f"crons: {{a: {{spec: '{spec}', cmd: x}}}}", head=PHP)
    assert found.key == "crons.a.spec"
    assert "is not a schedule" in found.message


def test_h_is_random_but_stays_the_same() -> None:
    first = resolve("H H(2-4) * * mon-fri", "app/purge")
    assert first == resolve("H H(2-4) * * mon-fri", "app/purge")
    minute, hour, *rest = first.split()
    assert 0 <= int(minute) <= 59
    assert 2 <= int(hour) <= 4
    assert rest == ["*", "*", "1-5"]
    assert len({resolve("H * * * *", f"app/{number}") for number in range(100)}) > 20


def test_h_with_a_step_begins_within_it() -> None:
    minute = resolve("H/15 * * * *", "seed").split()[0]
    start, _, rest = minute.partition("-")
    assert int(start) < 15
    assert rest == "59/15"


@pytest.mark.parametrize(
    ("spec", "gap"),
    [
        ("* * * * *", 1),
        ("*/5 * * * *", 5),
        ("0,2 3 * * *", 2),
        ("58,1 * * * *", 3),
        ("58,1 3 * * *", 57),
        ("0 * * * *", 60),
        ("0 3 * * *", 60),
        ("H/15 * * * *", 15),
        ("7/20 * * jan-mar sun", 20),
        ("59,0 23,0 * * *", 1),
    ],
)
def test_the_shortest_gap_of_a_schedule(spec: str, gap: int) -> None:
    assert shortest_gap(spec) == gap


@pytest.mark.parametrize(("spec", "warned"), [("*/4 * * * *", True), ("*/5 * * * *", False), ("H/10 * * * *", False)])
def test_crons_that_run_often_are_warned_about(spec: str, warned: bool) -> None:
    assert bool(app(f"crons: {{a: {{spec: '{spec}', cmd: x}}}}", head=PHP).warnings) is warned
