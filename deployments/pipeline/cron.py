"""Running a cron because a person asked: the runtime's scheduler runs it, as it runs all others; this only follows.

What the person sees is the activity; what runs is a run like any other, which is stopped by the same rules. So the
activity may end before the run does: when something waits behind it, or after a while, for it takes a worker's time.
"""

import time

from django.conf import settings

from deployments.enums import Fault, State
from deployments.models import Activity, Release
from deployments.pipeline import crons, specs
from deployments.pipeline.context import Context, Part, Procedure
from deployments.pipeline.deployment import secrets_of
from deployments.pipeline.failures import Failure
from environments.process import Stopped, describe_exit
from environments.runtimes.base import Runtime
from environments.runtimes.crons import Outcome, Run

_LOOK = 0.3  # seconds
_LOOK_BEHIND = 2.0  # seconds between two looks at who waits
_LAST_WORDS = 30.0  # seconds that a cancelled run gets before its activity ends without having seen its end


def _parts(context: Context) -> list[Part]:
    return [Part("run", f"Run {context.activity.parameters['cron']}", _run)]


def _run(context: Context) -> str | None:
    told, environment = context.activity.parameters, context.environment
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    if release is None:
        raise Failure("cron-asleep", f"Nothing serves in {environment.title} now.")
    context.hide(secrets_of(environment))
    context.heading(f"Running {told['cron']}", f"of application {told['app']}, v{release.number}")
    place = specs.place_of(environment)
    by = context.activity.actor_name
    context.runtime.crons.start(place, release.number, told["app"], told["cron"], id=context.activity.pk, by=by)
    following = _Following(context)
    try:
        run = following.until_ended()
    except Stopped:
        context.check_lost()
        context.runtime.crons.stop(place, context.activity.pk, why=f"Cancelled by {_who(context)}")
        following.patient = time.monotonic() + _LAST_WORDS
        following.until_ended()
        raise
    finally:
        crons.take_in(environment, context.runtime)
    if run is None:
        context.outcome = f"{told['cron']} goes on by itself; its end will stand among its runs."
        return "goes on"
    return _judge(context, run)


class _Following:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._place = specs.place_of(context.environment)
        self._printed = 0
        self._began = self._looked = time.monotonic()
        self.patient: float | None = None  # from then on nothing but its end, or that time, ends the following

    def until_ended(self) -> Run | None:
        """None when it runs, and others should not have to wait for it any longer. Raises Stopped."""
        context = self._context
        while True:
            run = context.runtime.crons.find(self._place, context.activity.pk)
            data = context.runtime.crons.output(self._place, context.activity.pk, after=self._printed)
            context.log.write(data)
            self._printed += len(data)
            if run is not None and run.ended is not None:
                context.log.write(context.runtime.crons.output(self._place, run.id, after=self._printed))
                context.log.end_line()
                return run
            if self.patient is None:
                context.check()
                reason = self._enough()
                if reason:
                    context.log.end_line()
                    context.say(reason)
                    return None
            elif time.monotonic() > self.patient:
                return None
            time.sleep(_LOOK)

    def _enough(self) -> str:
        now, activity = time.monotonic(), self._context.activity
        if now - self._began > settings.CRON_FOLLOW:
            return "It runs for long: it goes on by itself."
        if now - self._looked > _LOOK_BEHIND:
            self._looked = now
            behind = Activity.objects.filter(environment=activity.environment, state=State.PENDING)
            if behind.filter(sequence__gt=activity.sequence).exists():
                return "Something else waits: it goes on by itself."
        return ""


def _judge(context: Context, run: Run) -> str | None:
    took = f"{(run.ended or 0) - run.started:.1f} s"
    context.say(f"{run.cron} ended after {took}")
    match run.outcome:
        case Outcome.SUCCEEDED:
            context.outcome = f"{run.cron} ended well after {took}."
            return None
        case Outcome.LOST:
            raise Failure("cron-lost", "What watched the run was killed, and it with that.", fault=Fault.PLATFORM)
        case Outcome.MEMORY:
            raise Failure("run-memory", f"{run.cron} ran out of memory.")
        case Outcome.TIMEOUT | Outcome.STOPPED:
            raise Failure(f"cron-{run.outcome}", f"{run.cron} was stopped: {run.note}.")
    raise Failure("cron-failed", f"{run.cron} ended with {describe_exit(run.code or 0)}. {run.note}".strip())


def _who(context: Context) -> str:
    activity = Activity.objects.select_related("cancelled_by").get(pk=context.activity.pk)
    return str(activity.cancelled_by or "Slipway")


def _resumes(activity: Activity) -> bool:
    return True  # whoever asks again under the same id finds the same run


def _undo(activity: Activity, runtime: Runtime) -> None:
    if activity.environment is not None:
        runtime.crons.stop(specs.place_of(activity.environment), activity.pk, why="Its activity ended")


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
