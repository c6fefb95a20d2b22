"""The steps from a built slug to a live release: start it beside the one that serves, hooks, probe, switch, drain."""

import random
import socket
from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from deployments import live, state
from deployments.enums import Fault
from deployments.models import Release
from deployments.pipeline import provisioning, quieting
from deployments.pipeline.context import GREEN, Context
from deployments.pipeline.deployment import Deployment
from deployments.pipeline.failures import Failure
from environments import edge, marks
from environments.manifest import App
from environments.models import Environment, Host
from environments.routing import partial_redirects, platform_routes
from environments.runtimes.base import RuntimeFailure

_PORTS = range(20000, 32000)  # below the range the kernel hands out for outgoing connections
_TRIES = 200


def quiet(context: Context, deployment: Deployment) -> str | None:
    """Crons of the release that serves may not work on the data while hooks of the next one change it."""
    return quieting.quiet(context, f"A deployment, v{deployment.number}, needed quiet")


def start(context: Context, deployment: Deployment) -> str | None:
    release = deployment.release or _record(context, deployment)
    beside = f" beside v{deployment.replaces}" if deployment.replaces else ""
    context.heading(f"Starting release {release}{beside}")
    context.runtime.place(deployment.spec)
    marks.refresh(deployment.environment)
    context.runtime.start(deployment.spec)
    for program in deployment.spec.programs:
        context.say(f"{program.name} started")
    return None


def deploy_hook(context: Context, deployment: Deployment, app: App) -> str | None:
    context.heading(f"Executing deploy hook for application {app.name}")
    _hook(context, deployment, app, "deploy", app.hooks.deploy or "")
    return None


def post_deploy_hook(context: Context, deployment: Deployment, app: App) -> str | None:
    context.heading(f"Executing post_deploy hook for application {app.name}")
    try:
        _hook(context, deployment, app, "post_deploy", app.hooks.post_deploy or "")
    except (Failure, RuntimeFailure) as error:
        raise Failure("post-deploy-hook-failed", f"v{deployment.number} is live, but: {error}") from error
    return None


def probe(context: Context, deployment: Deployment) -> str | None:
    context.heading("Probing the new release")
    # The app may log while we ask; silence is no sign of trouble here, only the time to answer counts.
    watch = context.watch(silence=settings.START_TIMEOUT + 60)
    answer = context.runtime.probe(deployment.spec, timeout=settings.START_TIMEOUT, watch=watch)
    if not answer.ok:
        got = answer.reason or (f"it answered {answer.status}." if answer.status else "it did not answer.")
        raise Failure("probe-failed", f"The new release did not pass its probe: {got}")
    context.say(f"{GREEN}{answer.status}\x1b[0m in {answer.milliseconds:.0f} ms")
    return None


def switch(context: Context, deployment: Deployment) -> str | None:
    """Written to the database first: whoever finds a live release whose hosts point elsewhere knows which way to go."""
    context.heading("Opening environment")
    release, environment = deployment.release, deployment.environment
    assert release is not None
    _make_live(context, deployment, release)
    # The rename happens under the activity's lock: a worker that was overtaken can never turn the hosts back.
    with state.fenced(context.activity):
        edge.switch(deployment.hosts, context.runtime.front(deployment.spec))
        edge.remove(set(edge.hosts_on(settings.HOME.sockets(environment.pk))) - set(deployment.hosts))
    environment.refresh_from_db()
    live.publish(f"project:{context.project.pk}", "environment")
    for url, route in platform_routes(deployment.routes).items():
        told = f"redirects to {route['to']}" if "to" in route else f"is served by application {route.get('upstream')}"
        context.say(f"{url} {told}")
    return None


def drain(context: Context, deployment: Deployment) -> str | None:
    environment, place = deployment.environment, deployment.spec.place
    for number in context.runtime.releases(place):
        if number != deployment.number:
            context.runtime.stop(place, number)
    quieting.wake(environment, context.runtime)
    left = Release.objects.filter(environment=environment, state=Release.State.STARTING)
    left.update(state=Release.State.FAILED, retired_at=Now())
    provisioning.remove_unasked(context, deployment)
    context.outcome = f"v{deployment.number} is live at {environment.url}"
    return None


def lease_ports(names: Sequence[str]) -> dict[str, int]:
    """A free TCP port for each name. Call it in the transaction that records them."""
    taken = {
        port
        for ports in Release.objects.filter(state__in=[Release.State.STARTING, Release.State.LIVE]).values_list(
            "ports", flat=True
        )
        for port in ports.values()
    }
    leased: dict[str, int] = {}
    for name in names:
        for _ in range(_TRIES):
            port = random.choice(_PORTS)
            if port not in taken and _free(port):
                break
        else:
            raise Failure("no-port", "No free TCP port was found for the app. Try again.", fault=Fault.PLATFORM)
        taken.add(port)
        leased[name] = port
    return leased


def _record(context: Context, deployment: Deployment) -> Release:
    """Written down before anything of it exists on the runtime."""
    commit = deployment.commit
    listening = [app.name for app in deployment.manifest.apps if app.upstream.socket_family == "tcp"]
    with state.fenced(context.activity):
        return Release.objects.create(
            environment=deployment.environment,
            number=deployment.number,
            activity=context.activity,
            fence=context.activity.fence,
            commit=commit.sha,
            subject=commit.subject,
            author=commit.author,
            slugs=deployment.slugs,
            variable_set=deployment.variable_set,
            ports=lease_ports(listening),
            configuration={
                "apps": {app.name: app.public_config(build=False) for app in deployment.manifest.apps},
                "services": {name: each.model_dump(mode="json") for name, each in deployment.manifest.services.items()},
                "routes": platform_routes(deployment.routes),
                "redirects": partial_redirects(deployment.routes),
                "route_warnings": deployment.route_warnings,
                "replaces": deployment.replaces,
            },
        )


def _make_live(context: Context, deployment: Deployment, release: Release) -> None:
    if release.state == Release.State.LIVE:
        return  # by the worker before us
    environment, activity = deployment.environment, context.activity
    urls = [route.url for route in deployment.routes if route.type == "upstream"] or [environment.url]
    activity.payload = activity.payload | {"release": release.number, "urls": urls}
    try:
        with state.fenced(activity), transaction.atomic():
            _take_hosts(environment, deployment.hosts)
            serving = Release.objects.filter(environment=environment, state=Release.State.LIVE)
            serving.update(state=Release.State.RETIRED, retired_at=Now())
            Release.objects.filter(pk=release.pk).update(state=Release.State.LIVE, live_at=Now())
            activate = {"status": Environment.Status.ACTIVE, "deployed_at": Now(), "paused_at": None}
            Environment.objects.filter(pk=environment.pk).update(**activate)
            activity.save(update_fields=["payload"])
    except IntegrityError as error:
        raise Failure("host-taken", "Another environment took one of the hosts of the routes meanwhile.") from error


def _take_hosts(environment: Environment, hosts: Sequence[str]) -> None:
    known = set(Host.objects.filter(environment=environment).values_list("name", flat=True))
    Host.objects.filter(environment=environment).exclude(name__in=hosts).delete()
    Host.objects.bulk_create([Host(environment=environment, name=name) for name in hosts if name not in known])


def _hook(context: Context, deployment: Deployment, app: App, name: str, script: str) -> None:
    watch = context.watch(total=settings.HOOK_TIMEOUT)
    code = context.runtime.run(deployment.spec, app.name, script, watch, log=name)
    context.log.end_line()
    if code != 0:
        raise Failure(
            f"{name.replace('_', '-')}-hook-failed", f"The {name} hook of {app.name} ended with exit code {code}."
        )


def _free(port: int) -> bool:
    with socket.socket() as probing:
        try:
            probing.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
