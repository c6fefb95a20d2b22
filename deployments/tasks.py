"""Doors for the queue: ids in, one call each. Only workers import this, before they fork: what it loads they share."""

import contextlib
import gc
import os
import socket

from billiard.util import get_pdeathsig
from celery import shared_task
from celery.bootsteps import StartStopStep
from celery.signals import worker_init
from celery.worker.consumer import Consumer

from deployments import dispatch
from deployments.pipeline import crons, mounts, reconciling, rounds, runner, sweeping
from environments import runtimes
from portal.celery import app


@worker_init.connect
def _warm_up(**_: object) -> None:
    runner.warm_up()
    # Each child will ask to die with us, for which billiard has a C declaration parsed: that parser is shared, too.
    with contextlib.suppress(OSError):
        get_pdeathsig()
    # The collector of a child would write into every object and so copy nearly all memory that it shares with us.
    gc.collect()
    gc.freeze()


class Timetable(StartStopStep):  # type: ignore[misc]
    """What is done again and again is sent by the worker's own loop: no process of its own that could die alone.

    Celery forgets timers when it loses the queue, and starts this step again when it has found it.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Consumer) -> None:
        for name, every in dispatch.TIMETABLE.items():
            parent.timer.call_repeatedly(every, dispatch.send_due, (name,))


app.steps["consumer"].add(Timetable)


@shared_task(name=dispatch.RUN)
def run(activity_id: str) -> None:
    with sweeping.meanwhile():
        runner.run(activity_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name=dispatch.MEASURE)
def measure_mounts(environment_id: int) -> None:
    mounts.measure(environment_id)


@shared_task(name=dispatch.SWEEP)
def sweep() -> None:
    sweeping.sweep()


@shared_task(name=dispatch.RECONCILE)
def reconcile() -> None:
    reconciling.reconcile()


@shared_task(name=dispatch.ROUNDS)
def run_rounds() -> None:
    rounds.run_due()


@shared_task(name=dispatch.PREPARE)
def prepare() -> None:
    runtimes.get().prepare()


@shared_task(name=dispatch.STOP_CRON)
def stop_cron(run_id: str, why: str) -> None:
    crons.stop(run_id, why)


@shared_task(name=dispatch.ALIGN_CRONS)
def align_crons(environment_id: int) -> None:
    crons.align_one(environment_id)


@shared_task(name=dispatch.RESTART_WORKER)
def restart_worker(environment_id: int, number: int, name: str) -> None:
    crons.restart_worker(environment_id, number, name)
