"""The image installs by itself what the launcher would install; there the launcher may not."""

import re
from pathlib import Path

import pytest

from launcher import packages

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


@pytest.mark.parametrize("package", packages.RUN, ids=lambda package: package.name)
def test_the_image_has_every_package_that_the_launcher_would_install(package: packages.Package) -> None:
    installed = re.findall(r"[a-z0-9][a-z0-9.+-]+", DOCKERFILE.read_text())
    assert package.name in installed
