"""Doors for the queue: ids in, one call each. Only workers import this, before they fork: what it loads they share."""

import os
import socket

from celery import shared_task
from celery.signals import worker_init

from deployments import dispatch
from deployments.pipeline import reconciling, runner, sweeping
from environments import runtimes


@worker_init.connect
def _warm_up(**_: object) -> None:
    runner.warm_up()


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
