"""What must not be shown of an environment: the texts that are replaced in logs, commands and audit events."""

from deployments.pipeline.deployment import secrets_of
from deployments.redaction import Redactor
from environments.models import Environment


def redactor_of(environment: Environment) -> Redactor:
    return Redactor(secrets_of(environment))
