"""What a pusher sees of the activities that the push started, until they end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from deployments import live, logs
from deployments.enums import State
from deployments.models import Activity
from deployments.ssh.people import ask

_IDLE = 5.0  # seconds until the database is looked at although nothing was told
_PATIENCE = 2  # looks at a waiting activity before the pusher is told why


@dataclass(frozen=True)
class View:
    lines: list[str]
    last: int  # number of the last chunk that was read
    state: State
    outcome: str
    urls: list[str]
    waits_for: str


def announcement(activities: Sequence[Activity]) -> list[str]:
    return [f"Activity {activity.pk} goes on without you. See the project's page." for activity in activities]


async def follow(activities: Sequence[Activity], gone: asyncio.Event) -> AsyncIterator[list[str]]:
    """Lines as they come. Ends with the last activity, or soon after `gone` is set; the activities go on then."""
    names = await ask(environments, [activity.pk for activity in activities])
    for activity in activities:
        if gone.is_set():
            return
        if len(activities) > 1:
            yield ["", f"Environment {names[activity.pk]}"]
        async for lines in _follow_one(activity, names[activity.pk], gone):
            yield lines


def environments(ids: Sequence[str]) -> dict[str, str]:
    """Names of the environments of activities, by the activity's id."""
    found = Activity.objects.filter(pk__in=ids).values_list("pk", "environment__title")
    return {pk: title or "" for pk, title in found}


async def _follow_one(activity: Activity, environment: str, gone: asyncio.Event) -> AsyncIterator[list[str]]:
    last, looks, told = 0, 0, False
    async with contextlib.aclosing(live.watch(f"activity:{activity.pk}", idle=_IDLE)) as changes:
        async for _ in changes:
            while True:
                view = await ask(look, activity.pk, last)
                if view.lines:
                    yield view.lines
                if view.last == last:
                    break
                last = view.last
            if gone.is_set():
                return
            if view.state.is_final:
                yield ending(activity, view)
                return
            looks += 1
            if view.waits_for and not told and looks >= _PATIENCE:
                told = True
                yield [f"Waiting for an earlier activity of {environment}: {view.waits_for}"]


def look(activity_id: str, after: int) -> View:
    """The state is read before the log: once it is final, the log is complete."""
    activity = Activity.objects.select_related("environment").get(pk=activity_id)
    chunks = logs.read(activity_id, after)
    before = None
    if activity.state == State.PENDING:
        others = Activity.objects.open().filter(environment=activity.environment, sequence__lt=activity.sequence)
        before = others.order_by("sequence").first()
    return View(
        lines=[line for chunk in chunks for line in chunk.text.removesuffix("\n").split("\n")],
        last=chunks[-1].number if chunks else after,
        state=State(activity.state),
        outcome=activity.outcome,
        urls=[str(url) for url in activity.payload.get("urls", [])],
        waits_for=str(before) if before else "",
    )


def ending(activity: Activity, view: View) -> list[str]:
    if view.state is State.FAILED:  # the wording is one that the vendor's client looks for
        return ["", f"Environment redeployment failed: {view.outcome}"]
    if view.state is State.CANCELLED:
        return ["", f"Cancelled: {view.outcome}"]
    return ["", view.outcome, *(f"  {url}" for url in view.urls if url not in view.outcome)]
