"""The templates a new project is cloned from: whole, valid, and free of anything that belongs to one machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from environments import manifest
from environments.manifest import support
from environments.starters import starters

ROOT = Path(__file__).resolve().parents[2] / "starters"
NAMES = ["node", "python", "store"]
REGISTRIES = re.compile(r"\bresolved\b|_authToken|--registry|--index-url|--extra-index-url", re.IGNORECASE)
PLACES = re.compile(r"/(?:root|work|home|tmp)/[a-z]", re.IGNORECASE)
NEVER_WRITTEN = re.compile(r"\b(?:TODO|FIXME|XXX|lorem ipsum)\b", re.IGNORECASE)
OTHER_SITES = re.compile(r"https?://(?!www\.w3\.org/|www\.sitemaps\.org/|\{default\}|localhost)[a-z0-9]", re.IGNORECASE)
# What the hosts of the first runtime have: a starter that is deployed there must not begin with a warning.
LANGUAGES = {"php": ("8.2",), "python": ("3.11",), "nodejs": ("20",)}
ENGINES = {"mariadb": ("10.11",), "postgresql": ("15",), "redis": ("7.0",)}


def files(name: str) -> list[Path]:
    """What would be committed: `git ls-files` without asking Git."""
    left_out = {"node_modules", ".venv", "__pycache__"}
    return [path for path in (ROOT / name).rglob("*") if path.is_file() and not left_out.intersection(path.parts)]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def load(name: str) -> manifest.Manifest:
    return manifest.load(manifest.FolderSource(ROOT / name))


def test_the_new_project_page_shows_every_folder_in_its_order() -> None:
    assert [starter.name for starter in starters()] == ["store", "python", "node"]


@pytest.mark.parametrize("name", NAMES)
def test_description_is_complete(name: str) -> None:
    told: dict[str, Any] = yaml.safe_load(text_of(ROOT / name / ".slipway" / "starter.yaml"))
    assert set(told) == {"title", "description", "languages", "services", "order"}
    assert told["description"].endswith(".")
    assert all(told.values())


@pytest.mark.parametrize("name", NAMES)
def test_configuration_is_accepted_without_a_warning(name: str) -> None:
    assert load(name).warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_configuration_asks_only_for_what_a_fresh_host_has(name: str) -> None:
    assert support.unsupported(load(name), ENGINES, LANGUAGES) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_every_service_in_the_description_is_really_used(name: str) -> None:
    told = {service.lower() for service in starter_services(name)}
    assert told == {service.type.split(":")[0] for service in load(name).services.values()}


def starter_services(name: str) -> list[str]:
    return [str(service) for service in yaml.safe_load(text_of(ROOT / name / ".slipway" / "starter.yaml"))["services"]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("forbidden", [REGISTRIES, PLACES, NEVER_WRITTEN, OTHER_SITES])
def test_no_file_names_a_machine_a_registry_or_another_site(name: str, forbidden: re.Pattern[str]) -> None:
    # npm writes into its lock where the authors of packages ask for donations.
    read = [path for path in files(name) if forbidden is not OTHER_SITES or path.name != "package-lock.json"]
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in read if (match := forbidden.search(text_of(path)))]
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_readme_and_a_health_page(name: str) -> None:
    assert "/health" in text_of(ROOT / name / "README.md")
    assert any("/health" in text_of(path) for path in files(name) if path.suffix in {".php", ".py", ".js"})


def test_versions_of_the_python_starter_are_pinned() -> None:
    lines = text_of(ROOT / "python" / "requirements.txt").splitlines()
    assert lines
    assert [line for line in lines if not re.match(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*\Z", line)] == []


def test_versions_of_the_node_starter_are_pinned_and_locked() -> None:
    asked = json.loads(text_of(ROOT / "node" / "package.json"))["dependencies"]
    packages = json.loads(text_of(ROOT / "node" / "package-lock.json"))["packages"]
    assert all(re.match(r"\d+\.\d+\.\d+\Z", version) for version in asked.values())
    assert packages[""]["dependencies"] == asked
    assert {packages[f"node_modules/{name}"]["version"] for name in asked} == set(asked.values())
    assert all("integrity" in package and "resolved" not in package for path, package in packages.items() if path)


@pytest.mark.parametrize("name", ["store", "python"])
def test_migrations_are_numbered_without_gap(name: str) -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / name / "migrations").iterdir())
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert all(re.match(r"\d{4}_[a-z_]+\.sql\Z", path.name) for path in (ROOT / name / "migrations").iterdir())


def test_store_migrations_can_be_repeated() -> None:
    """MariaDB commits DDL at once: a migration that was cut off runs again from its first statement."""
    for path in (ROOT / "store" / "migrations").iterdir():
        assert "CREATE TABLE " in text_of(path)
        assert re.findall(r"CREATE TABLE (?!IF NOT EXISTS)", text_of(path)) == []


def test_every_product_has_its_picture_and_every_picture_its_drawing() -> None:
    store = ROOT / "store"
    products = json.loads(text_of(store / "data" / "catalogue.json"))["products"]
    assert {f"{product['slug']}.svg" for product in products} == {
        path.name for path in (store / "public" / "images" / "products").iterdir()
    }
    assert {product["picture"]["art"] for product in products} == {path.stem for path in (store / "art").iterdir()}
    assert len({product["sku"] for product in products}) == len(products)


def test_php_of_the_store_parses() -> None:
    php = shutil.which("php")
    assert php, "PHP is one of the packages the launcher installs"
    check = [php, str(ROOT / "store" / "bin" / "store"), "check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no mistake found" in done.stdout


def test_store_templates_escape_what_they_print() -> None:
    """An expression with a variable goes through e(), is HTML already, or chooses between literals."""
    harmless = re.compile(
        r"\be\(|\bpicture\(|\$field\(|View::bare\(|^\$(?:body|inner) |\? '[^']*' : '[^']*' |\$height|\$at\+\+"
    )
    bare = [
        f"{path.name}: {match[1]}"
        for path in (ROOT / "store" / "templates").rglob("*.php")
        for match in re.finditer(r"<\?= (.*?)\?>", text_of(path))
        if "$" in match[1] and not harmless.search(match[1])
    ]
    assert bare == []


@pytest.mark.parametrize("name", ["node", "python"])
def test_apps_listen_where_they_are_told(name: str) -> None:
    (app,) = load(name).apps
    started = app.web.commands.start or ""
    assert "$PORT" in started or "process.env.PORT" in text_of(ROOT / name / "src" / "platform.js")


def test_python_of_the_starter_compiles() -> None:
    for path in (ROOT / "python").rglob("rooms/*.py"):
        compile(text_of(path), str(path), "exec")
