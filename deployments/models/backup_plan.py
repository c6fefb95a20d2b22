from django.db import models
from django.db.models import Q


class BackupPlan(models.Model):
    """How often backups are made by themselves and how they are thinned out: of Production, or of one environment."""

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="backup_plans")
    environment = models.OneToOneField(
        "environments.Environment", null=True, blank=True, on_delete=models.CASCADE, related_name="backup_plan"
    )  # None: the project's, for Production
    every_hours = models.PositiveSmallIntegerField(default=6)  # 0: none are made
    latest = models.PositiveSmallIntegerField(default=8)
    daily = models.PositiveSmallIntegerField(default=7)
    weekly = models.PositiveSmallIntegerField(default=4)
    monthly = models.PositiveSmallIntegerField(default=6)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["project"], condition=Q(environment__isnull=True), name="one_backup_plan_per_project"
            ),
        )

    def __str__(self) -> str:
        return f"every {self.every_hours} h"
