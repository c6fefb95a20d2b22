"""Doors for the queue: ids in, one call each. Only workers import this, before they fork: what it loads they share."""

import contextlib
import gc
import os
import socket

from billiard.util import get_pdeathsig
from celery import shared_task
from celery.signals import worker_init, worker_ready
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer

from deployments import dispatch
from deployments.pipeline import reconciling, runner, sweeping
from environments import runtimes

_BEAT_WATCH = 5.0  # seconds


@worker_init.connect
def _warm_up(**_: object) -> None:
    runner.warm_up()
    # Each child will ask to die with us, for which billiard has a C declaration parsed: that parser is shared, too.
    with contextlib.suppress(OSError):
        get_pdeathsig()
    # The collector of a child would write into every object and so copy nearly all memory that it shares with us.
    gc.collect()
    gc.freeze()


@worker_ready.connect
def _live_and_die_with_beat(sender: Consumer, **_: object) -> None:
    """Nobody starts a beat that died alone. So the worker ends its work and stops; its supervisor starts both anew."""
    beat = sender.controller.beat

    def look() -> None:
        if beat is not None and not beat.is_alive():
            worker_state.should_stop = os.EX_OK

    sender.timer.call_repeatedly(_BEAT_WATCH, look)


@shared_task(name=dispatch.RUN)
def run(activity_id: str) -> None:
    with sweeping.meanwhile():
        runner.run(activity_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name=dispatch.SWEEP)
def sweep() -> None:
    sweeping.sweep()


@shared_task(name=dispatch.RECONCILE)
def reconcile() -> None:
    reconciling.reconcile()


@shared_task(name=dispatch.PREPARE)
def prepare() -> None:
    runtimes.get().prepare()
