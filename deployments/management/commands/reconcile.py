from typing import Any

from django.core.management.base import BaseCommand

from deployments import dispatch
from deployments.pipeline import reconciling, sweeping


class Command(BaseCommand):
    help = (
        "Compare what should run with what runs, and repair it. Runs by itself each minute; run it once after a start."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        dispatch.prepare()
        sweeping.sweep()
        for sentence in reconciling.reconcile(services=True):
            self.stdout.write(sentence)
