from django.db import models


class LogChunk(models.Model):
    """Whole lines of an activity's log. Append-only; a reader asks for what comes after number N."""

    activity = models.ForeignKey("deployments.Activity", on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField()  # 1, 2, 3, ... without gap
    first_line = models.PositiveIntegerField()  # number of its first line, from 1
    at = models.DateTimeField()
    text = models.TextField()  # ends with "\n"; secrets already redacted; may hold ANSI colours

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=["activity", "number"], name="log_chunk_number_unique"),)

    def __str__(self) -> str:
        return f"{self.activity_id} #{self.number}"
