"""An environment's backups: the list, and what is done with one of them."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployments.actions import backups as actions
from deployments.actions import restoring
from deployments.enums import Kind
from deployments.models import Activity, Backup
from deployments.pipeline import backup_rounds
from deployments.views import buttons, frame
from deployments.views.forms import ConfirmForm, tell
from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments import access
from portal.errors import SlipwayError
from portal.permissions import Permission
from portal.requests import address

_SHOWN = 200
_REASONS = {
    Backup.Reason.ASKED: "Asked for",
    Backup.Reason.SCHEDULED: "On schedule",
    Backup.Reason.SAFETY: "Before a restore",
}


@dataclass(frozen=True)
class Row:
    """One backup as the page shows it."""

    backup: Backup

    @property
    def reason(self) -> str:
        return self.backup.note or _REASONS[Backup.Reason(self.backup.reason)]

    @property
    def stored(self) -> bool:
        return self.backup.state == Backup.State.STORED

    @property
    def dot(self) -> str:
        if not self.stored:
            return "running" if self.backup.state == Backup.State.MAKING else "pending"
        if self.backup.missing_since or self.backup.proof == Backup.Proof.FAILED:
            return "failed"
        return "succeeded" if self.backup.proof == Backup.Proof.PROVEN else "attention"

    @property
    def words(self) -> str:
        if not self.stored:
            return "Being made" if self.backup.state == Backup.State.MAKING else "Being removed"
        if self.backup.missing_since:
            return "Broken: files are missing or cut short"
        return {"proven": "Proven", "failed": "Not proven"}.get(self.backup.proof, "Not proven yet")


class RestoreForm(ConfirmForm):
    into = forms.ChoiceField(label="Into")
    code = forms.BooleanField(
        label="Bring its release back as well",
        required=False,
        initial=True,
        help_text="The code of that moment runs on the data of that moment. Git is not changed. Without it the "
        "branch's latest commit is deployed.",
    )
    safety = forms.BooleanField(label="Back up what is there now first", required=False, initial=True)
    field_order = ("into", "code", "safety", "name")

    def __init__(self, *args: Any, targets: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        into = self.fields["into"]
        assert isinstance(into, forms.ChoiceField)
        into.choices = targets
        name = self.fields["name"]
        name.label = "Type the id of the environment that it goes into"
        name.help_text = f"The one in brackets above, such as {self.expected}."
        del name.widget.attrs["data-confirm"]  # which one is right changes with the choice

    def clean_name(self) -> str:
        """Of where it goes to: that is what is replaced."""
        self.expected = self.cleaned_data.get("into") or self.expected
        return super().clean_name()


@login_required
@require_GET
def environment_backups(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    environment = node.environment
    found = list(Backup.objects.filter(environment=environment).order_by("-created_at")[:_SHOWN])
    proven = next((each for each in found if each.proof == Backup.Proof.PROVEN and not each.missing_since), None)
    return frame.environment_page(
        request,
        "environments/backups.html",
        framed,
        node,
        frame.Crumb("Backups"),
        tab="environment_backups",
        rows=[Row(each) for each in found],
        proven=proven,
        alarm=backup_rounds.alarms([environment]).get(environment.pk, ""),
        plan=backup_rounds.plans([environment])[environment.pk],
        why_not=buttons.why_not(node, buttons.situation(framed, node), Kind.BACKUP),
        why_not_restore=node.why_not(Permission.RESTORE),
        why_not_download=node.why_not(Permission.SHELL),
        why_not_operate=node.why_not(Permission.OPERATE),
        stored=sum(each.size for each in found),
    )


@login_required
@require_POST
def environment_backup(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    note = request.POST.get("note", "")[:200].strip()
    environment = framed.node(name).environment
    activity = actions.create(environment, by=framed.user, note=note, address=address(request))
    return redirect("activity", project_id, activity.pk)


@login_required
@require_http_methods(["GET", "POST"])
def backup_restore(request: HttpRequest, project_id: str, name: str, backup_id: str) -> HttpResponse:
    framed, node, backup = _load(request, project_id, name, backup_id)
    places = _places(framed, node, backup)
    targets = [(each.environment.name, _label(each, node)) for each in places]
    form = RestoreForm(request.POST or None, expected=node.environment.name, targets=targets)
    if request.method == "POST":
        _check_any(framed, node)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            activity = _restore(framed, given, backup, address(request))
            return redirect("activity", project_id, activity.pk)
        except SlipwayError as error:
            tell(form, error.field, error.message)
    why_not = "" if places else node.why_not(Permission.RESTORE) or restoring.why_not(backup, node.environment)
    return _page(request, "environments/backup_restore.html", framed, node, backup, "Restore", form, why_not)


def _restore(framed: Frame, given: dict[str, Any], backup: Backup, origin: str) -> Activity:
    target = framed.node(given["into"]).environment
    return actions.restore(backup, target, by=framed.user, code=given["code"], safety=given["safety"], address=origin)


def _places(framed: Frame, node: Node, backup: Backup) -> list[Node]:
    """Where the person may restore it to: itself first."""
    framed.tree.fill(framed.nodes)
    ordered = sorted(framed.nodes, key=lambda each: each is not node)
    allowed = [each for each in ordered if Permission.RESTORE in each.allowed]
    if Permission.SHELL not in node.allowed:
        allowed = [each for each in allowed if each is node]
    above = restoring.ancestors(node.environment, [each.environment for each in framed.nodes])
    return [each for each in allowed if not restoring.why_not(backup, each.environment, above=above)]


def _label(place: Node, own: Node) -> str:
    environment = place.environment
    told = ", where it came from" if place is own else "" if environment.is_active else ", which is inactive now"
    return f"{environment.title} ({environment.name}){told}"


def _check_any(framed: Frame, node: Node) -> None:
    """A post by somebody who may restore nowhere is refused as such, not as a bad choice."""
    if not any(Permission.RESTORE in each.allowed for each in framed.nodes):
        access.check(framed.user, node.environment, Permission.RESTORE)


@login_required
@require_http_methods(["GET", "POST"])
def backup_delete(request: HttpRequest, project_id: str, name: str, backup_id: str) -> HttpResponse:
    framed, node, backup = _load(request, project_id, name, backup_id)
    form = ConfirmForm(request.POST or None, expected=node.environment.name)
    if request.method == "POST":
        actions.check_may(backup, framed.user, Permission.RESTORE)
    if form.is_bound and form.is_valid():
        try:
            actions.delete(backup, by=framed.user, address=address(request))
            messages.success(request, "The backup is being removed.")
            return redirect("environment_backups", project_id, name)
        except SlipwayError as error:
            tell(form, error.field, error.message)
    why_not = node.why_not(Permission.RESTORE)
    return _page(request, "environments/backup_delete.html", framed, node, backup, "Delete", form, why_not)


@login_required
@require_POST
def backup_pin(request: HttpRequest, project_id: str, name: str, backup_id: str) -> HttpResponse:
    framed, _, backup = _load(request, project_id, name, backup_id)
    actions.pin(backup, pinned=request.POST.get("pinned") == "1", by=framed.user, address=address(request))
    return redirect("environment_backups", project_id, name)


@login_required
@require_POST
def backup_prove(request: HttpRequest, project_id: str, name: str, backup_id: str) -> HttpResponse:
    framed, _, backup = _load(request, project_id, name, backup_id)
    activity = actions.prove(backup, by=framed.user, address=address(request))
    return redirect("activity", project_id, activity.pk)


def _load(request: HttpRequest, project_id: str, name: str, backup_id: str) -> tuple[Frame, Node, Backup]:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    return framed, node, actions.find(node.environment, backup_id)


def _page(
    request: HttpRequest,
    template: str,
    framed: Frame,
    node: Node,
    backup: Backup,
    verb: str,
    form: forms.Form,
    why_not: str,
) -> HttpResponse:
    return frame.page(
        request,
        template,
        framed,
        frame.Crumb(node.environment.title, node.url),
        frame.Crumb(f"{verb} a backup"),
        here=node.environment.name,
        status=400 if form.is_bound else 200,
        node=node,
        environment=node.environment,
        backup=backup,
        row=Row(backup),
        form=form,
        why_not=why_not,
    )
