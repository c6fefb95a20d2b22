"""What must not be shown of an environment: the texts that are replaced in logs, commands and audit events."""

from collections.abc import Iterator

from deployments.pipeline import specs
from deployments.pipeline.deployment import texts_in
from deployments.redaction import Redactor
from environments.models import Environment


def secrets_of(environment: Environment) -> Iterator[str]:
    yield environment.project.entropy
    for service in specs.service_specs(environment).values():
        yield from texts_in(service.secrets)


def redactor_of(environment: Environment) -> Redactor:
    return Redactor(secrets_of(environment))
