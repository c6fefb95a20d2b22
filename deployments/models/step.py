from django.db import models

from deployments.enums import StepState


class Step(models.Model):
    """One named, repeatable part of an activity; recorded before it runs."""

    activity = models.ForeignKey("deployments.Activity", on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=120)  # "probe", "build:store"; stable
    title = models.CharField(max_length=120)  # "Build store"
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in StepState], default=StepState.PENDING)
    note = models.CharField(max_length=120, blank=True)  # shown instead of the duration: "reused", "nothing to do"
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("position",)
        constraints = (models.UniqueConstraint(fields=["activity", "position"], name="step_position_unique"),)

    def __str__(self) -> str:
        return self.title
