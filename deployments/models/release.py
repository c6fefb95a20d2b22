from django.db import models
from django.db.models import Q


class Release(models.Model):
    """One slug per app + one configuration + one variable set, put live on one environment; v1, v2, ..."""

    class State(models.TextChoices):
        STARTING = "starting"
        LIVE = "live"
        RETIRED = "retired"  # was live; its processes are gone or draining
        FAILED = "failed"  # never went live

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.STARTING)
    activity = models.ForeignKey("deployments.Activity", null=True, on_delete=models.SET_NULL, related_name="releases")
    fence = models.PositiveBigIntegerField(default=0)  # the claim that made it; a stale worker may not switch
    commit = models.CharField(max_length=40)
    subject = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=200, blank=True)
    slugs = models.JSONField(default=dict)  # app name -> slug id
    configuration = models.JSONField(default=dict)  # its apps, services and routes, for display; holds no secret
    variable_set = models.ForeignKey(
        "deployments.VariableSet", null=True, blank=True, on_delete=models.RESTRICT, related_name="releases"
    )
    promotion = models.ForeignKey(
        "deployments.Promotion", null=True, blank=True, on_delete=models.SET_NULL, related_name="releases"
    )
    rolls_back_to = models.PositiveIntegerField(null=True, blank=True)  # number of the release that it is once more
    backup = models.ForeignKey(  # made just before it
        "deployments.Backup", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    migrations = models.JSONField(default=list, blank=True)  # found in what it changes, see environments.schema_changes
    measured = models.JSONField(default=dict, blank=True)  # of its switch, from outside: see pipeline.measuring
    over_budget = models.BooleanField(default=False)  # it was down for longer than the project allows
    watched_until = models.DateTimeField(null=True, blank=True)
    alarm = models.CharField(max_length=300, blank=True)  # what was wrong with it while it was watched
    rows = models.JSONField(default=dict, blank=True)  # of its services when it went live: {"db": {"orders": 1042}}
    ports = models.JSONField(default=dict)  # app or worker name -> TCP port leased to it
    created_at = models.DateTimeField(auto_now_add=True)
    live_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["environment", "number"], name="release_number_unique"),
            models.UniqueConstraint(fields=["environment"], condition=Q(state="live"), name="one_live_release"),
        )

    def __str__(self) -> str:
        return f"v{self.number}"
