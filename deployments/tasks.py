"""Doors for the queue: ids in, one call each."""

import os
import socket

from celery import shared_task

from deployments import dispatch


@shared_task(name=dispatch.RUN)
def run(activity_id: str) -> None:
    from deployments.pipeline import runner

    runner.run(activity_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name=dispatch.SWEEP)
def sweep() -> None:
    from deployments.pipeline import sweeping

    sweeping.sweep()


@shared_task(name=dispatch.RECONCILE)
def reconcile() -> None:
    from deployments.pipeline import reconciling

    reconciling.reconcile()
