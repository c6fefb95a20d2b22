from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from deployments.enums import Fault, Kind, State
from portal.ids import new_id


class ActivityQuerySet(models.QuerySet["Activity"]):
    def open(self) -> "ActivityQuerySet":
        return self.filter(state__in=[State.PENDING, State.RUNNING])

    def in_turn(self) -> "ActivityQuerySet":
        """Pending ones, when nothing that was asked of the same environment before is still open, and nothing copies
        its data now."""
        earlier = Activity.objects.open().filter(environment=OuterRef("environment"), sequence__lt=OuterRef("sequence"))
        copying = Activity.objects.filter(state=State.RUNNING, holds=OuterRef("environment"))
        return self.filter(~Exists(earlier), ~Exists(copying), state=State.PENDING)


class Activity(models.Model):
    """One thing that was asked of an environment (or project): who, when, its steps, its log, its outcome."""

    id = models.CharField(primary_key=True, max_length=13, default=new_id, editable=False)
    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="activities")
    environment = models.ForeignKey(
        "environments.Environment", null=True, blank=True, on_delete=models.SET_NULL, related_name="activities"
    )
    source = models.ForeignKey(  # what it takes code from, when that is another environment
        "environments.Environment", null=True, blank=True, on_delete=models.SET_NULL, related_name="given"
    )
    holds = models.ForeignKey(  # another one, whose data it copies now: whatever is asked of that one waits meanwhile
        "environments.Environment", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    kind = models.CharField(max_length=40, choices=[(k.value, k.value) for k in Kind])
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in State], default=State.PENDING)
    variable_set = models.ForeignKey(  # what a deployment found set when it began
        "deployments.VariableSet", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    parameters = models.JSONField(default=dict, blank=True)  # what was asked, e.g. {"commit": ..., "previous": ...}
    payload = models.JSONField(default=dict, blank=True)  # what came of it, e.g. {"commits": [...], "urls": [...]}
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="activities")
    actor_name = models.CharField(max_length=200, default="Slipway")
    outcome = models.TextField(blank=True)  # one plain sentence, once final
    fault = models.CharField(max_length=10, blank=True, choices=[(f.value, f.value) for f in Fault])
    error_id = models.CharField(max_length=40, blank=True)  # stable id of the failure's kind, e.g. "hook-failed"
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")

    sequence = models.PositiveBigIntegerField(default=0)  # order of asking within the project; see actions.create
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)  # last nudge sent to the queue

    # the claim
    attempts = models.PositiveIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0)  # grows with each claim; side effects carry it
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = ActivityQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-sequence")
        verbose_name_plural = "activities"
        indexes = (
            models.Index(fields=["project", "-created_at"]),
            models.Index(fields=["environment", "-created_at"]),
            models.Index(fields=["state"]),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["environment"],
                condition=Q(state=State.RUNNING.value),
                name="one_running_activity_per_environment",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def is_final(self) -> bool:
        return State(self.state).is_final
