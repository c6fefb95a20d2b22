from typing import Any

from django.db import models


class Health(models.Model):
    """How an active environment was found when it was last looked at, and how far its gauges have been read."""

    class State(models.TextChoices):
        HEALTHY = "healthy"
        UNHEALTHY = "unhealthy"

    environment = models.OneToOneField(
        "environments.Environment", primary_key=True, on_delete=models.CASCADE, related_name="health"
    )
    state = models.CharField(max_length=10, choices=State.choices, blank=True)  # empty: not looked at yet
    since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)  # answers in a row that were none or 500 and above
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # HTTP status of the last answer
    milliseconds = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    programs = models.JSONField(default=list, blank=True)  # [{"name", "alive", "restarts", "last_exit"}]
    cpu = models.FloatField(default=0)  # seconds of CPU time, as last read
    log_file = models.PositiveBigIntegerField(default=0)  # how far the access log was read: see gauges.Position
    log_offset = models.PositiveBigIntegerField(default=0)
    sampled_at = models.DateTimeField(null=True, blank=True)
    requested_at = models.DateTimeField(null=True, blank=True)  # the last request of a visitor who was let in

    volumes = models.JSONField(default=list, blank=True)  # [{"name", "kind", "bytes", "limit"}]; limit in bytes or null
    weighed_at = models.DateTimeField(null=True, blank=True)
    held = models.JSONField(default=list, blank=True)  # services that take no more data: they are over their limit

    def __str__(self) -> str:
        return f"{self.environment_id}: {self.state or 'unknown'}"

    @property
    def restarts(self) -> int:
        return sum(program["restarts"] for program in self.programs)

    @property
    def disk(self) -> int:
        return sum(volume["bytes"] for volume in self.volumes)

    def full(self, share: float) -> list[dict[str, Any]]:
        """The volumes that are at or over this share of their limits."""
        return [each for each in self.volumes if each["limit"] and each["bytes"] >= share * each["limit"]]
