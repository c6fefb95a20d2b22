"""Environments as processes in sandboxes on this host, kept running by supervisord."""

from environments.runtimes.local.runtime import Limits, LocalRuntime

__all__ = ["Limits", "LocalRuntime"]
