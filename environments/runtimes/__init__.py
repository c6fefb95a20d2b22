"""What runs environments: chosen by the setting RUNTIME."""

from functools import lru_cache

from django.conf import settings

from environments.runtimes.base import EVERYWHERE, SHARED, Runtime

__all__ = ["EVERYWHERE", "SHARED", "Runtime", "get"]


@lru_cache(maxsize=4)
def _make(name: str, home: str) -> Runtime:
    # Imported when asked for: each runtime brings its own dependencies.
    if name == "fake":
        from environments.runtimes.fake import FakeRuntime

        return FakeRuntime(settings.HOME)
    if name == "local":
        from environments.runtimes.local import Limits, LocalRuntime

        limits = Limits(
            app_memory=settings.APP_MEMORY,
            build_memory=settings.BUILD_MEMORY,
            build_disk=settings.BUILD_DISK,
            start_timeout=settings.START_TIMEOUT,
            build_environment=settings.BUILD_ENVIRONMENT,
            network_allow=settings.NETWORK_ALLOW,
            network_ports=[*settings.NETWORK_RELAYS],
        )
        return LocalRuntime(settings.HOME, limits)
    raise ValueError(f"There is no runtime {name!r}; SLIPWAY_RUNTIME must be local.")


def get() -> Runtime:
    return _make(settings.RUNTIME, str(settings.HOME.root))
