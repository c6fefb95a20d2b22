"""Environments: what runs of each, and where its hosts lead."""

from collections.abc import Callable, Iterable
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import deactivate, deploy, pause, restore, specs
from deployments.pipeline.reconciling.finding import Finding
from deployments.pipeline.reconciling.leftovers import entries
from environments import edge, marks
from environments.models import Environment, Host, Service
from environments.process import Watch
from environments.runtimes.base import ReleaseSpec, Runtime

_PATIENCE = 120.0  # seconds for a service to come up


def suspects() -> list[Environment]:
    """Environments of which anything may run or lie about. The others are only branches, without limit in number."""
    on_disk = [int(entry.name) for entry in entries(settings.HOME.sockets(0).parent) if entry.name.isdigit()]
    services = Service.objects.filter(environment=OuterRef("pk"))
    releases = Release.objects.filter(
        environment=OuterRef("pk"), state__in=[Release.State.STARTING, Release.State.LIVE]
    )
    some = Q(pk__in=on_disk) | Q(Exists(services)) | Q(Exists(releases))
    found = Environment.objects.filter(~Q(status=Environment.Status.INACTIVE) | some)
    return list(found.select_related("project").order_by("pk"))


def check(environment: Environment, runtime: Runtime, services: bool) -> Iterable[Finding]:
    """Looks first, then asks whether an activity is at work, then reads what should be: so that whatever an activity
    made or ended meanwhile is never taken for something left behind: the repairs before this one may take minutes."""
    place = specs.place_of(environment)
    found = runtime.releases(place)
    starting = list(Release.objects.filter(environment=environment, state=Release.State.STARTING).values_list("pk"))
    if not _at_rest(environment):
        return
    if runtime.left_standing(place):
        yield Finding(
            f"{environment}: its programs stand still for a copy that nobody makes any more",
            f"{environment}: its programs go on, after a copy that was interrupted",
            partial(runtime.release_held, place),
        )
    environment.refresh_from_db()
    if environment.is_active and runtime.keeps_aside(place):
        yield Finding(
            f"{environment}: data of an interrupted restore is left",
            f"{environment}: what an interrupted restore left is cleared away",
            partial(_settle_data, environment, runtime),
        )
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    stuck = Release.objects.filter(pk__in=[pk for (pk,) in starting], state=Release.State.STARTING)
    if starting:
        yield Finding(
            f"{environment}: a release is marked as starting, but nothing starts it",
            mend=lambda: stuck.update(state=Release.State.FAILED, retired_at=Now()),
        )
    if environment.is_paused:
        yield from _sleeping(environment, runtime, services)
    elif environment.is_active and release is not None:
        yield from _serving(environment, release, runtime, services)
    for number in found:
        if environment.is_paused or release is None or number != release.number:
            yield Finding(
                f"{environment}: something is left of v{number}",
                f"{environment}: what was left of v{number} is removed",
                partial(runtime.stop, place, number),
            )
    if runtime.crons.quiet_until(place) is not None:
        yield Finding(
            f"{environment}: its crons are paused, but nothing is at work",
            f"{environment}: its crons run again",
            partial(_wake, environment, runtime),
        )
    if _is_abandoned(environment):
        yield Finding(
            f"{environment}: it has services although it is inactive",
            f"{environment}: what was left of it is removed, for it is inactive",
            partial(deactivate.remove_all, environment, runtime),
        )


def _settle_data(environment: Environment, runtime: Runtime) -> None:
    """The data of a restore that went live stays; before that, what was there serves again."""
    asked = Activity.objects.filter(environment=environment, kind=Kind.RESTORE).order_by("-sequence").first()
    if asked is None or deploy.resumes(asked):
        runtime.discard_aside(specs.place_of(environment))
    else:
        restore.give_back(environment, runtime)


def _is_abandoned(environment: Environment) -> bool:
    """Whether it has services although it is inactive, and nothing was asked that made them or will use them."""
    inactive = Environment.objects.filter(pk=environment.pk, status=Environment.Status.INACTIVE)
    asked = Activity.objects.open().filter(environment=OuterRef("pk"))
    services = Service.objects.filter(environment=OuterRef("pk"))
    return inactive.filter(Exists(services), ~Exists(asked)).exists()


def _serving(environment: Environment, release: Release, runtime: Runtime, services: bool) -> Iterable[Finding]:
    spec = specs.release_spec(release)
    if not runtime.healthy(spec):
        yield Finding(
            f"{environment}: {release} does not run",
            f"{environment}: {release} was started again",
            partial(_start, environment, spec, runtime),
        )
    elif services:
        yield from _services(environment, runtime)
    if not marks.right(environment):
        yield Finding(
            f"{environment}: its nginx does not know whether visitors are asked for, or search engines turned away",
            f"{environment}: its nginx knows again whether visitors are asked for",
            partial(marks.refresh, environment),
        )
    hosts, front = specs.hosts_of(environment, spec.routes), runtime.front(spec)
    served = edge.hosts_on(settings.HOME.sockets(environment.pk))
    wrong = [host for host in hosts if served.get(host) != front]
    too_many = set(served) - set(hosts)
    if wrong or too_many:

        def turn() -> None:
            edge.switch(wrong, front)
            edge.remove(too_many)

        which = ", ".join([*wrong, *sorted(too_many)])
        yield Finding(
            f"{environment}: {which} do not lead to {release}",
            f"{environment}: {which} led elsewhere than to {release}",
            partial(_if_at_rest, environment, turn),
        )


def _sleeping(environment: Environment, runtime: Runtime, services: bool) -> Iterable[Finding]:
    """Nothing of a paused environment runs, and its hosts lead to the portal."""
    hosts = Host.objects.filter(environment=environment).values_list("name", flat=True)
    wrong = sorted(host for host in hosts if not edge.is_parked(host))
    if wrong:
        which = ", ".join(wrong)
        yield Finding(
            f"{environment}: it is paused, but {which} do not lead to the portal",
            f"{environment}: {which} led elsewhere than to the portal, which wakes it",
            partial(_if_at_rest, environment, partial(edge.park, wrong)),
        )
    awake = [name for name, spec in specs.service_specs(environment).items() if services and runtime.answers(spec)]
    if awake:
        yield Finding(
            f"{environment}: it is paused, but {', '.join(awake)} runs",
            f"{environment}: {', '.join(awake)} ran although it is paused, and was stopped",
            partial(pause.stop_services, environment, runtime),
        )


def _if_at_rest(environment: Environment, turn: Callable[[], None]) -> bool:
    """What is being claimed now waits for us, or we for it."""
    with transaction.atomic():
        at_rest = _at_rest(Environment.objects.select_for_update().get(pk=environment.pk))
        if at_rest:
            turn()
    return at_rest


def _services(environment: Environment, runtime: Runtime) -> Iterable[Finding]:
    for name, spec in specs.service_specs(environment).items():
        if not runtime.answers(spec):
            yield Finding(
                f"{environment}: the service {name} does not answer",
                f"{environment}: the service {name} was started again",
                partial(runtime.provision, spec, _watch()),
            )


def _start(environment: Environment, spec: ReleaseSpec, runtime: Runtime) -> None:
    for service in specs.service_specs(environment).values():
        runtime.provision(service, _watch())
    runtime.place(spec)
    marks.refresh(environment)
    runtime.start(spec)


def _wake(environment: Environment, runtime: Runtime) -> bool:
    with transaction.atomic():  # what is being claimed now waits for us, or we for it
        at_rest = _at_rest(Environment.objects.select_for_update().get(pk=environment.pk))
        if at_rest:
            runtime.crons.wake(specs.place_of(environment))
    return at_rest


def _watch() -> Watch:
    return Watch(output=lambda data: None, total=_PATIENCE)


def _at_rest(environment: Environment) -> bool:
    """Nobody works at it, nor holds it still to copy its data."""
    mine = Q(environment=environment) | Q(holds=environment)
    return not Activity.objects.filter(mine, state=State.RUNNING).exists()
