from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from environments import variables
from environments.process import Watch

from .apps import FILES, PYTHON
from .make import Maker


def test_both_prefixes_lead_a_build_to_its_cache(local: Any, maker: Maker) -> None:
    hook = 'hooks: {build: \'test -w "$PLATFORM_CACHE_DIR" && echo x > "$MAGENTO_CLOUD_CACHE_DIR/kept"\'}\n'
    spec = maker.build(PYTHON + hook, FILES)
    project = SimpleNamespace(id="projectid0000", entropy="x" * 56)
    env = variables.build_environment(project=project, app=spec.app, tree_id="0" * 40, flavour="magento")
    local.build(replace(spec, env=env), Watch(output=lambda _: None))
    assert (spec.cache / "kept").exists()
