from django.conf import settings
from django.db import models
from django.db.models import Q

from portal.ids import new_id


class PromotionQuerySet(models.QuerySet["Promotion"]):
    def open(self) -> "PromotionQuerySet":
        return self.filter(state__in=[Promotion.State.WAITING, Promotion.State.LANDING])


class Promotion(models.Model):
    """The request to bring code into Staging or Production. It waits as a row: no worker and no queue knows of it."""

    class State(models.TextChoices):
        WAITING = "waiting"  # for people, for its checklist or for its time
        LANDING = "landing"  # its activity waits or works
        LANDED = "landed"
        FAILED = "failed"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    class When(models.TextChoices):
        NOW = "now"  # as soon as it may
        AT = "at"  # not before `planned_at`
        WINDOW = "window"  # in the next window of the project

    id = models.CharField(primary_key=True, max_length=13, default=new_id, editable=False)
    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="promotions")
    number = models.PositiveIntegerField()  # counts in the project
    target = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="promotions")
    source = models.ForeignKey(  # None: the code was pushed to the target's branch, or its environment is gone
        "environments.Environment", null=True, blank=True, on_delete=models.SET_NULL, related_name="promoted"
    )
    source_title = models.CharField(max_length=200, blank=True)  # empty: a push
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    commit = models.CharField(max_length=40)  # what it brings: the source's head
    base = models.CharField(max_length=40, blank=True)  # the target's head that it was compared with
    note = models.TextField(blank=True)  # what whoever asks says of it
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_name = models.CharField(max_length=200, default="Slipway")
    when = models.CharField(max_length=10, choices=When.choices, default=When.NOW)
    planned_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    glass_broken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    glass_reason = models.TextField(blank=True)  # why it may land without approvals and in a freeze
    activity = models.OneToOneField(  # carries it out
        "deployments.Activity", null=True, blank=True, on_delete=models.SET_NULL, related_name="promotion"
    )
    outcome = models.TextField(blank=True)  # one plain sentence, once it has ended
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = PromotionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (models.UniqueConstraint(fields=["project", "number"], name="promotion_number_unique"),)
        indexes = (models.Index(fields=["state"]),)

    def __str__(self) -> str:
        return f"promotion {self.number}"

    @property
    def is_open(self) -> bool:
        return self.state in (self.State.WAITING, self.State.LANDING)


class Decision(models.Model):
    """What a person says to a promotion as it was then: `digest` names commit, configuration, variables, checklist."""

    class Verdict(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    person_name = models.CharField(max_length=200)
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    comment = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
    void_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=300, blank=True)  # "A new commit came: 9f31c2e"

    class Meta:
        ordering = ("at",)
        constraints = (
            models.UniqueConstraint(
                fields=["promotion", "person"],
                condition=Q(void_at__isnull=True),
                name="one_decision_per_person",
            ),
        )

    def __str__(self) -> str:
        return f"{self.person_name}: {self.verdict}"


class ChecklistItem(models.Model):
    """What a project wants to be ticked before a promotion to Production is approved."""

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="checklist")
    text = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    removed_at = models.DateTimeField(null=True, blank=True)  # kept for the promotions where it was ticked

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.text


class Tick(models.Model):
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="ticks")
    item = models.ForeignKey(ChecklistItem, on_delete=models.CASCADE, related_name="ticks")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["promotion", "item"], name="one_tick_per_item"),)

    def __str__(self) -> str:
        return f"{self.item}"
