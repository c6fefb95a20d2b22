"""The services step: what services.yaml asks for exists, runs and answers, with secrets that were recorded before."""

import json
import random
import socket
from ipaddress import IPv4Address
from typing import Any

from django.db import IntegrityError, transaction

from deployments import state
from deployments.enums import Fault, Kind
from deployments.pipeline import specs
from deployments.pipeline.context import GREEN, Context
from deployments.pipeline.deployment import Deployment
from deployments.pipeline.failures import Failure
from environments.backing import engine_for
from environments.manifest import Service as Asked
from environments.manifest.support import placement
from environments.models import Service
from portal.crypto import decrypt, encrypt

# 127.64.0.0/10 without its first and last 256 addresses.
_FIRST, _LAST = int(IPv4Address("127.64.1.0")), int(IPv4Address("127.127.254.255"))
_TRIES = 50


def provision(context: Context, deployment: Deployment) -> str | None:
    asked = deployment.manifest.services
    context.heading("Providing services")
    rows = [_row(context, deployment, service) for service in asked.values()]
    found = [specs.service_spec(row) for row, _ in rows]
    for spec in found:
        context.hide(specs.texts_in(spec.secrets))
    place = specs.place_of(deployment.environment)
    brings = context.activity.kind in (Kind.ACTIVATE, Kind.RESTORE)
    if brings and context.runtime.incoming(place).exists():
        context.runtime.take_in(place, found)
        context.say("The copied data is taken in")
    for spec in found:
        context.check()
        context.runtime.provision(spec, context.watch())
        context.say(f"{spec.name} ({spec.engine} {spec.version}) {GREEN}ready\x1b[0m")
    return None if any(fresh for _, fresh in rows) else "nothing new"


def remove_unasked(context: Context, deployment: Deployment) -> None:
    """Remove services that the files name no more, with their data. Only once the new release serves."""
    environment = deployment.environment
    gone = Service.objects.select_related("environment").filter(environment=environment)
    for row in gone.exclude(name__in=deployment.manifest.services):
        context.runtime.remove_service(specs.service_spec(row))
        row.delete()
        context.say(f"{row.name} is no longer asked for and was removed with its data")


def _row(context: Context, deployment: Deployment, asked: Asked) -> tuple[Service, bool]:
    """The service's row, and whether it is new. Passwords are recorded before anything is made with them."""
    place = placement(asked, context.runtime.engines())
    if place is None:
        raise Failure("service-missing", f"Services of type {asked.type_name} cannot be run here.")
    engine, version = place
    row = Service.objects.select_related("environment").filter(environment=deployment.environment, name=asked.name)
    known = row.first()
    if known is not None and known.engine != engine:
        # Replacing it now would take the data from the release that serves.
        raise Failure(
            "service-changed",
            f"{asked.name} is {known.engine} here and would become {engine}, which cannot keep its data. Give the new "
            f"service a name of its own; {asked.name} is then removed, with its data, once the new release serves.",
        )
    if known is None:
        return _new(context, deployment, asked, engine, version), True
    secrets = json.loads(decrypt(known.secret))
    wanted = engine_for(engine).new_secrets(asked.configuration, secrets)
    with state.fenced(context.activity):
        known.asked, known.configuration = asked.type, asked.configuration
        if wanted != secrets:
            known.secret = encrypt(json.dumps(wanted))
        known.save(update_fields=["asked", "configuration", "secret"])
    return known, False


def _new(context: Context, deployment: Deployment, asked: Asked, engine: str, version: str) -> Service:
    knows = engine_for(engine)
    values: dict[str, Any] = {
        "environment": deployment.environment,
        "name": asked.name,
        "engine": engine,
        "version": version,
        "asked": asked.type,
        "port": knows.port,
        "secret": encrypt(json.dumps(knows.new_secrets(asked.configuration))),
        "configuration": asked.configuration,
    }
    for _ in range(_TRIES):
        address = str(IPv4Address(random.randint(_FIRST, _LAST)))
        if not _free(address, knows.port):
            continue
        try:
            with state.fenced(context.activity), transaction.atomic():
                return Service.objects.create(address=address, **values)
        except IntegrityError:
            continue  # another environment took the address between the look and the write
    raise Failure("no-address", "No free loopback address was found for the service. Try again.", fault=Fault.PLATFORM)


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
