"""Configuration files of a repository -> typed, checked models.

Reads `.platform.app.yaml`, `.platform/{applications,services,routes}.yaml` and the same files of Magento Cloud. Their
text is a stranger's: reading takes bounded time and memory, and what is not understood is refused by name.
"""

from .apps import App, Worker
from .loading import load
from .model import Manifest
from .parts import Cron, Mount, Relationship
from .problems import ManifestError, Problem
from .routes import Route
from .services import Endpoint, Service
from .source import DictSource, FolderSource, Source
from .web import Location, Rule, Upstream

__all__ = [
    "App",
    "Cron",
    "DictSource",
    "Endpoint",
    "FolderSource",
    "Location",
    "Manifest",
    "ManifestError",
    "Mount",
    "Problem",
    "Relationship",
    "Route",
    "Rule",
    "Service",
    "Source",
    "Upstream",
    "Worker",
    "load",
]
