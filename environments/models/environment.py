from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from environments import names
from portal.enums import EnvironmentType


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    def active(self) -> "EnvironmentQuerySet":
        return self.filter(status=Environment.Status.ACTIVE)


class Environment(models.Model):
    """A branch of a project. Active: it runs. Inactive: only a branch."""

    class Status(models.TextChoices):
        INACTIVE = "inactive"
        ACTIVE = "active"
        DELETING = "deleting"

    class Removal(models.TextChoices):
        """Why Slipway itself removes it."""

        UNUSED = "unused"
        MERGED = "merged"

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="environments")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    branch = models.CharField(max_length=200)  # Git's name, as it was pushed
    name = models.CharField(max_length=200)  # the environment's id, see names.environment_id
    title = models.CharField(max_length=200)
    machine_name = models.CharField(max_length=63)
    type = models.CharField(max_length=12, choices=[(t.value, t.value) for t in EnvironmentType])
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.INACTIVE)
    head_commit = models.CharField(max_length=40, blank=True)  # what an activity last recorded for the branch
    ahead = models.PositiveIntegerField(null=True, blank=True)  # commits that its parent lacks, see environments.drift
    behind = models.PositiveIntegerField(null=True, blank=True)  # commits of its parent that it lacks
    files_touched = models.PositiveIntegerField(null=True, blank=True)  # that its commits change
    configuration_drift = models.JSONField(default=list, blank=True)  # what is configured otherwise: ["service db"]
    drift_of = models.CharField(max_length=83, blank=True)  # "<its head>...<its parent's>" that they were counted for
    data_source = models.CharField(max_length=200, blank=True)  # where its data came from: "Copy of Staging"
    data_at = models.DateTimeField(null=True, blank=True)  # the instant that its data is of, where it was copied
    lifetime_days = models.PositiveSmallIntegerField(null=True, blank=True)  # unused for so long, it is removed
    kept_until = models.DateTimeField(null=True, blank=True)  # somebody postponed its removal
    removal_at = models.DateTimeField(null=True, blank=True)  # when Slipway removes it, as was announced
    removal_reason = models.CharField(max_length=10, choices=Removal.choices, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    deployed_at = models.DateTimeField(null=True, blank=True)
    visited_at = models.DateTimeField(null=True, blank=True)
    sleeps = models.BooleanField(null=True, blank=True)  # whether it is paused when idle; None: as usual for its type
    health_path = models.CharField(max_length=200, default="/")  # what is asked for, to see whether it is healthy
    paused_at = models.DateTimeField(null=True, blank=True)  # active, but its processes are stopped until it is woken
    crons_enabled = models.BooleanField(default=True)
    crons_kept_at = models.DateTimeField(null=True, blank=True)  # when somebody last switched its crons on
    sends_mail = models.BooleanField(null=True, default=None)  # None: what its type begins with, see `mail_is_on`
    unlisted = models.BooleanField(default=False)  # Production: kept from search engines, as all others always are

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["project", "name"], name="environment_id_unique_in_project"),
            models.UniqueConstraint(fields=["project", "branch"], name="one_environment_per_branch"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(type=EnvironmentType.PRODUCTION.value),
                name="one_production_per_project",
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def environment_type(self) -> EnvironmentType:
        return EnvironmentType(self.type)

    @property
    def mail_is_on(self) -> bool:
        """Whether its mail is meant for the world. Production's is and others' is caught, unless they were set."""
        if self.sends_mail is None:
            return self.environment_type is EnvironmentType.PRODUCTION
        return self.sends_mail

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.ACTIVE

    @property
    def is_paused(self) -> bool:
        return self.is_active and self.paused_at is not None

    @property
    def is_public(self) -> bool:
        """Open to everyone unless HTTP access says otherwise."""
        return self.environment_type is EnvironmentType.PRODUCTION

    @property
    def may_sleep(self) -> bool:
        """Whether it is paused when it is idle for as long as its project says."""
        if self.environment_type is EnvironmentType.PRODUCTION:
            return False
        return self.environment_type is EnvironmentType.INTEGRATION if self.sleeps is None else self.sleeps

    @property
    def crons_asleep_since(self) -> datetime | None:
        """Since when its crons sleep, for want of deployments; None: they do not. Production's never do."""
        used = max((at for at in (self.deployed_at, self.crons_kept_at) if at), default=None)
        if self.environment_type is EnvironmentType.PRODUCTION or used is None or not settings.CRON_IDLE_DAYS:
            return None
        asleep: datetime = used + timedelta(days=settings.CRON_IDLE_DAYS)
        return asleep if asleep <= timezone.now() else None

    @property
    def crons_allowed(self) -> bool:
        """Whether the schedule may begin runs of its crons."""
        return self.crons_enabled and self.crons_asleep_since is None

    @property
    def host(self) -> str:
        return names.host(self.machine_name, self.project_id, settings.BASE_DOMAIN)

    @property
    def url(self) -> str:
        return f"{settings.PUBLIC_SCHEME}://{self.host}{settings.PORT_SUFFIX}/"
