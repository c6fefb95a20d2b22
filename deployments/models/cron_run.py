from django.db import models
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from environments.runtimes.crons import Outcome, Trigger


class CronRunQuerySet(models.QuerySet["CronRun"]):
    def running(self) -> "CronRunQuerySet":
        return self.filter(outcome=Outcome.RUNNING)

    def latest_of_each(self, count: int) -> "CronRunQuerySet":
        """The latest runs of each cron, without their output."""
        return self.defer("output").annotate(rank=_rank()).filter(rank__lte=count)

    def earlier_of_each(self, count: int) -> "CronRunQuerySet":
        """All but the latest runs of each cron."""
        return self.annotate(rank=_rank()).filter(rank__gt=count)


def _rank() -> Window:
    """Among the runs of its cron; 1 is the latest."""
    order = [F("started_at").desc(), F("id").desc()]
    return Window(RowNumber(), partition_by=[F("environment"), F("app"), F("cron")], order_by=order)


class CronRun(models.Model):
    """One run of a cron, as the runtime told of it."""

    # The runtime's; of one that a person asked for, the activity's.
    id = models.CharField(primary_key=True, max_length=40)
    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="cron_runs")
    app = models.CharField(max_length=63)
    cron = models.CharField(max_length=63)
    release = models.PositiveIntegerField()  # its number
    trigger = models.CharField(max_length=10, choices=[(each.value, each.value) for each in Trigger])
    by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=[(each.value, each.value) for each in Outcome])
    code = models.IntegerField(null=True, blank=True)  # 128 and more: killed by the signal 128 less
    note = models.CharField(max_length=300, blank=True)
    output = models.TextField(blank=True)  # once it has ended; capped by the runtime, secrets redacted

    objects = CronRunQuerySet.as_manager()

    class Meta:
        ordering = ("-started_at", "-id")
        indexes = (
            models.Index(fields=["environment", "app", "cron", "-started_at"]),
            models.Index(fields=["environment"], condition=Q(outcome="running"), name="cron_runs_running"),
        )

    def __str__(self) -> str:
        return f"{self.cron} {self.id}"

    @property
    def is_running(self) -> bool:
        return self.outcome == Outcome.RUNNING

    @property
    def failed(self) -> bool:
        """Through its own doing: what was stopped or lost did not fail."""
        return self.outcome in (Outcome.FAILED, Outcome.TIMEOUT, Outcome.MEMORY)
