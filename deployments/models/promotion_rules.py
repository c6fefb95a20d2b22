from django.db import models
from django.db.models import Q


class PromotionRules(models.Model):
    """What a project asks of promotions, and of what becomes live by them. Without a row: as the defaults say."""

    project = models.OneToOneField("portal.Project", on_delete=models.CASCADE, related_name="promotion_rules")
    approvals = models.PositiveSmallIntegerField(default=1)  # owners who must approve what goes to Production
    staging_approvals = models.PositiveSmallIntegerField(default=0)  # admins of Staging who must approve
    own_approval = models.BooleanField(null=True, blank=True)  # of authors and askers; None: while there is one owner
    expires_days = models.PositiveSmallIntegerField(default=7)
    confirm_minutes = models.PositiveSmallIntegerField(default=15)  # an older sign-in is asked to confirm itself
    backup_before = models.BooleanField(default=True)  # of Production, before a release with migrations
    budget_ms = models.PositiveIntegerField(null=True, blank=True)  # downtime that a deployment may take
    watch_minutes = models.PositiveSmallIntegerField(default=5)  # for which a new release is watched
    rolls_back = models.BooleanField(default=False)  # by itself, what turns unhealthy while it is watched
    keep_releases = models.PositiveSmallIntegerField(default=10)  # whose slugs are kept for a way back

    def __str__(self) -> str:
        return f"rules of {self.project_id}"


class Timespan(models.Model):
    """A freeze, in which nothing lands, or a window, for promotions that wait for one. Either once or each week."""

    class Kind(models.TextChoices):
        FREEZE = "freeze"
        WINDOW = "window"

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="timespans")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    title = models.CharField(max_length=80)
    starts_at = models.DateTimeField(null=True, blank=True)  # once: both of these
    ends_at = models.DateTimeField(null=True, blank=True)
    days = models.JSONField(default=list, blank=True)  # each week: 0 is Monday; and both of the following
    from_time = models.TimeField(null=True, blank=True)  # on the clock of the project's time zone
    to_time = models.TimeField(null=True, blank=True)  # not after `from_time`: on the next day

    class Meta:
        ordering = ("kind", "starts_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(starts_at__isnull=False, ends_at__isnull=False)
                | Q(from_time__isnull=False, to_time__isnull=False),
                name="timespan_once_or_weekly",
            ),
        )

    def __str__(self) -> str:
        return self.title
