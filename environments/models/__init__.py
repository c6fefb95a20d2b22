from environments.models.certificate import Certificate
from environments.models.domain import Domain
from environments.models.environment import Environment
from environments.models.environment_access import EnvironmentAccess
from environments.models.host import Host
from environments.models.http_access import HttpAccess
from environments.models.service import Service
from environments.models.variable import Variable
from environments.models.visit import Visit

__all__ = [
    "Certificate",
    "Domain",
    "Environment",
    "EnvironmentAccess",
    "Host",
    "HttpAccess",
    "Service",
    "Variable",
    "Visit",
]
