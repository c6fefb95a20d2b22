from environments import building
from environments.building import Command
from environments.manifest import DictSource, load


def plan(more: str, *files: str, kind: str = "python:3.11") -> list[Command]:
    text = f"name: app\ntype: '{kind}'\n{more}"
    return building.plan(load(DictSource({".platform.app.yaml": text.encode()})).apps[0], files)


def words(commands: list[Command]) -> list[str]:
    return [" ".join(command.argv) if command.script is None else command.script for command in commands]


def test_an_app_that_asks_for_nothing_is_built_by_nothing() -> None:
    assert plan("", "requirements.txt", "package.json", "composer.json") == []


def test_dependencies_come_first_then_the_flavor_then_the_hook() -> None:
    commands = plan(
        "dependencies: {python3: {pipenv: '2024.1'}, nodejs: {gulp: '*'}}\nhooks: {build: npm run build}\n",
        "package.json",
        kind="nodejs:20",
    )
    assert [command.kind for command in commands] == ["dependencies", "dependencies", "flavor", "hook"]
    assert commands[-1].script == "npm run build"
    assert commands[-1].argv == ()


def test_constraints_are_said_as_each_package_manager_takes_them() -> None:
    commands = plan("dependencies: {python3: {a: '*', b: '1.2', c: '>=3', d: '~=4.1'}, nodejs: {'@x/y': '^1'}}\n")
    by_tool = {command.needs: command.argv for command in commands}
    assert by_tool["python3"][-4:] == ("a", "b==1.2", "c>=3", "d~=4.1")
    assert by_tool["npm"][-1] == "@x/y@^1"


def test_packages_can_never_be_options() -> None:
    for command in plan("dependencies: {python3: {a: '*'}, nodejs: {b: '*'}, php: {'c/d': '*'}}\n"):
        assert "--" in command.argv


def test_composer_takes_packages_and_repositories() -> None:
    commands = plan(
        "dependencies: {php: {require: {'a/b': '^1'}, repositories: [{type: vcs, url: 'https://example.com/x'}]}}\n",
        kind="php:8.2",
    )
    assert words(commands)[0].startswith('composer global config repositories.0 {"type": "vcs"')
    assert words(commands)[1].endswith("-- a/b:^1")
    assert all(command.env == {"COMPOSER_HOME": "/app/.global"} for command in commands)


def test_the_flavor_of_php_is_composer_where_there_is_a_composer_json() -> None:
    expected = "composer --no-ansi --no-interaction install --no-progress --prefer-dist --optimize-autoloader"
    assert words(plan("", "composer.json", kind="php:8.2")) == [expected]
    assert plan("", kind="php:8.2") == []
    assert plan("build: {flavor: none}\n", "composer.json", kind="php:8.2") == []


def test_the_flavor_of_nodejs_is_npm_where_there_is_a_package_json() -> None:
    (install,) = words(plan("", "package.json", kind="nodejs:20"))
    assert install.startswith("npm install --userconfig .npmrc")
    assert "--prefer-offline" in words(plan("", "package.json", "package-lock.json", kind="nodejs:20"))[0]
    assert words(plan("", "package.json", "node_modules", kind="nodejs:20"))[0] == "npm prune --userconfig .npmrc"


def test_caches_lie_below_one_folder() -> None:
    found = building.cache_environment("/run/cache")
    assert found["PLATFORM_CACHE_DIR"] == "/run/cache"
    assert all(value.startswith("/run/cache") for value in found.values())
