"""Waking a paused environment: its services, its release as it was, a probe, and its hosts lead to it again."""

from django.conf import settings

from deployments import live, state
from deployments.enums import StepState
from deployments.models import Activity, Release
from deployments.pipeline import disks, pause, specs
from deployments.pipeline.context import GREEN, Context, Part, Procedure
from deployments.pipeline.failures import Failure
from environments import edge
from environments.models import Environment, Service
from environments.runtimes.base import ReleaseSpec, Runtime


class Waking:
    """What the steps use together, read when it is first asked for."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._spec: ReleaseSpec | None = None

    @property
    def spec(self) -> ReleaseSpec:
        if self._spec is None:
            live_now = Release.objects.filter(environment=self.context.environment, state=Release.State.LIVE)
            release = live_now.select_related("environment__project").first()
            if release is None:
                raise Failure("nothing-live", "Nothing is live here that could be woken. Redeploy the environment.")
            self._spec = specs.release_spec(release)
        return self._spec


def _parts(context: Context) -> list[Part]:
    begun = set(context.activity.steps.exclude(state=StepState.PENDING).values_list("name", flat=True))
    if "look" in begun or not (begun or context.environment.is_paused):
        return [Part("look", "See that it is awake", _awake)]
    services = Service.objects.filter(environment=context.environment).exists()
    return [
        *([Part("services", "Start its services", _services)] if services else []),
        Part("start", "Start its programs", _start),
        Part("probe", "Probe", _probe),
        Part("switch", "Let it answer", _switch, cancellable=False),
    ]


def _awake(context: Context) -> str | None:
    context.outcome = f"{context.environment.title} is awake already."
    return None


def _services(context: Context) -> str | None:
    disks.check_host()
    for service in specs.service_specs(context.environment).values():
        context.check()
        context.runtime.provision(service, context.watch())
        context.say(f"{service.name} ({service.engine} {service.version}) {GREEN}ready\x1b[0m")
    return None


def _start(context: Context) -> str | None:
    spec = context.keep(Waking).spec
    context.runtime.place(spec)
    context.runtime.start(spec)
    for program in spec.programs:
        context.say(f"{program.name} started")
    return None


def _probe(context: Context) -> str | None:
    watch = context.watch(silence=settings.START_TIMEOUT + 60)
    answer = context.runtime.probe(context.keep(Waking).spec, timeout=settings.START_TIMEOUT, watch=watch)
    if not answer.ok:
        got = answer.reason or (f"it answered {answer.status}." if answer.status else "it did not answer.")
        raise Failure("probe-failed", f"It did not wake up: {got}")
    context.say(f"{GREEN}{answer.status}\x1b[0m in {answer.milliseconds:.0f} ms")
    return None


def _switch(context: Context) -> str | None:
    """Written to the database first, as when a release is switched to: so the reconciler knows which way to go."""
    environment, spec = context.environment, context.keep(Waking).spec
    with state.fenced(context.activity):
        Environment.objects.filter(pk=environment.pk).update(paused_at=None)
    with state.fenced(context.activity):
        edge.switch(specs.hosts_of(environment, spec.routes), context.runtime.front(spec))
    environment.refresh_from_db()
    live.publish(f"project:{context.project.pk}", "environment")
    context.outcome = f"{environment.title} is awake: v{spec.number} serves at {environment.url}"
    return None


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """It sleeps on, whole."""
    environment = activity.environment
    if environment is None:
        return
    environment.refresh_from_db()
    if environment.is_paused:
        pause.stop_all(environment, runtime)


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
