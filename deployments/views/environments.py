from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployments.actions import data, pausing, possible, removals
from deployments.actions import environments as actions
from deployments.enums import Kind
from deployments.models import Activity, Backup, Health, Release, Step
from deployments.pipeline import backup_rounds
from deployments.views import buttons, charts, feed, frame, ssh
from deployments.views.forms import BranchForm, ConfirmForm, tell
from deployments.views.nodes import Node
from deployments.views.projects import clone_url
from environments.models import Environment, Service
from portal.enums import EnvironmentType
from portal.errors import SlipwayError
from portal.permissions import Permission
from portal.requests import address

_FEED = 20


@login_required
@require_GET
def environment(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    shown = node.environment
    release = _live_release(shown)
    offered = buttons.offered(framed, node)
    latest = Activity.objects.filter(Q(environment=shown) | Q(source=shown)).select_related("environment", "project")
    return frame.environment_page(
        request,
        "environments/environment.html",
        framed,
        node,
        tab="environment",
        release=release,
        reused=bool(release and release.built and not release.built_anew),  # type: ignore[attr-defined]
        urls=_urls(shown, release),
        services=_services(shown, release),
        entries=feed.entries(latest[:_FEED]),
        ssh=ssh.card(node, release, framed.user),
        clone_url=clone_url(framed.project),
        removal=removal(node),
        backup_alarm=_backup_alarm(shown, release),
        keep_why_not=node.why_not(Permission.OPERATE),
        actions=offered,
        more=[each for each in offered if each.more],
    )


def _urls(environment: Environment, release: Release | None) -> list[str]:
    """Where it answers: the routes of the live release, or none."""
    if release is None:
        return []
    told = release.activity.payload.get("urls") if release.activity else None
    return [str(url) for url in told] if told else [environment.url]


def _live_release(environment: Environment) -> Release | None:
    """With `built` and `built_anew`: whether its deployment had something to build, and whether any of it was built.
    With what `_backup_alarm` looks at, too, which saves a query."""
    builds = Step.objects.filter(activity=OuterRef("activity"), name__startswith="build")
    live = Release.objects.filter(environment=environment, state=Release.State.LIVE).select_related("activity")
    backups = backup_rounds.alarm_columns("environment", "environment__project")
    return live.annotate(built=Exists(builds), built_anew=Exists(builds.exclude(note="reused")), **backups).first()


def _backup_alarm(environment: Environment, release: Release | None) -> str:
    if release is None:
        return backup_rounds.alarms([environment]).get(environment.pk, "")
    return backup_rounds.alarm(environment, vars(release))


def _services(environment: Environment, release: Release | None) -> list[tuple[str, str, str]]:
    """(name, what it is, word) of the apps and of the services behind them; the word where it says something else."""
    apps = [(name, "app", "") for name in sorted(release.slugs)] if release else []
    services = Service.objects.filter(environment=environment).order_by("name")
    return apps + [
        (each.name, runs := f"{each.engine} {each.version}", "" if each.asked.replace(":", " ") == runs else each.asked)
        for each in services
    ]


def removal(node: Node) -> str:
    """What was announced: why Slipway removes it. Empty when nothing was."""
    environment = node.environment
    if environment.removal_at is None:
        return ""
    if environment.removal_reason == Environment.Removal.MERGED:
        return "It is merged. Slipway deletes it with its branch"
    days = environment.lifetime_days or 0
    return f"Nobody used it for {days} {'day' if days == 1 else 'days'}, as long as it lives. Slipway removes it"


@login_required
@require_GET
def environment_actions(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    """What may be asked of it by this person now, and why the rest may not: for programs."""
    framed = frame.load(request, project_id)
    return JsonResponse({"actions": buttons.listing(framed, framed.node(name))})


@login_required
@require_POST
def environment_keep(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    removals.keep(node.environment, by=framed.user, address=address(request))
    messages.success(request, f"{node.environment.title} stays for a week at least.")
    return redirect(node.url)


@login_required
@require_http_methods(["GET", "POST"])
def environment_activate(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    if request.method == "POST":
        empty = request.POST.get("begin") == "empty"
        activity = actions.activate(node.environment, by=framed.user, empty=empty, address=address(request))
        return redirect("activity", project_id, activity.pk)
    now = buttons.situation(framed, node)
    return frame.page(
        request,
        "environments/activate.html",
        framed,
        frame.Crumb(node.environment.title, node.url),
        frame.Crumb("Activate"),
        here=node.environment.name,
        node=node,
        environment=node.environment,
        why_not=buttons.why_not(node, now, Kind.ACTIVATE),
        no_copy=_no_copy(node.parent, node.environment.environment_type),
        users=places(framed) if possible.no_room(now) else (),
    )


def places(framed: frame.Frame) -> list[Node]:
    """The Integration environments that take a place, the longest unused first: one of them may be deactivated."""
    active = [node for node in framed.nodes if buttons.takes_a_place(node)]
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(active, key=lambda node: max(node.live_at or never, node.environment.visited_at or never))


@login_required
@require_POST
def environment_redeploy(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    activity = actions.redeploy(framed.node(name).environment, by=framed.user, address=address(request))
    return redirect("activity", project_id, activity.pk)


@login_required
@require_POST
def environment_pause(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    activity = pausing.pause(framed.node(name).environment, by=framed.user, address=address(request))
    return redirect("activity", project_id, activity.pk)


@login_required
@require_POST
def environment_resume(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    activity = pausing.resume(framed.node(name).environment, by=framed.user, address=address(request))
    return redirect("activity", project_id, activity.pk)


@login_required
@require_http_methods(["GET", "POST"])
def environment_deactivate(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    form = ConfirmForm(request.POST or None, expected=node.environment.name)
    backup = request.POST.get("backup") == "on"
    if request.method == "POST" and form.is_valid():
        activity = actions.deactivate(node.environment, by=framed.user, backup=backup, address=address(request))
        return redirect("activity", project_id, activity.pk)
    health = Health.objects.filter(environment=node.environment).first()
    volumes = health.volumes if health else []
    sizes = {each["name"]: charts.size(each["bytes"]) for each in volumes if each["kind"] == "service"}
    services = Service.objects.filter(environment=node.environment).order_by("name")
    losses = [(service, sizes.get(service.name, "")) for service in services]
    mounts = sum(each["bytes"] for each in volumes if each["kind"] == "mounts")
    told = {"weighed_at": health.weighed_at if health else None, "mounts": charts.size(mounts), "backup": backup}
    why_not = _why_not(framed, node, Kind.DEACTIVATE)
    return _confirm(request, framed, node, form, "deactivate", losses=losses, why_not=why_not, **told)


@login_required
@require_http_methods(["GET", "POST"])
def environment_delete(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    form = ConfirmForm(request.POST or None, expected=node.environment.name)
    if request.method == "POST" and form.is_valid():
        activity = actions.delete(node.environment, by=framed.user, address=address(request))
        return redirect("activity", project_id, activity.pk)
    losses = {
        "releases": Release.objects.filter(environment=node.environment).count(),
        "backups": Backup.objects.stored().filter(environment=node.environment).count(),
    }
    return _confirm(request, framed, node, form, "delete", why_not=_why_not(framed, node, Kind.DELETE), **losses)


def _why_not(framed: frame.Frame, node: Node, kind: Kind) -> str:
    return buttons.why_not(node, buttons.situation(framed, node), kind)


def _confirm(
    request: HttpRequest, framed: frame.Frame, node: Node, form: ConfirmForm, verb: str, **context: Any
) -> HttpResponse:
    environment = node.environment
    return frame.page(
        request,
        f"environments/{verb}.html",
        framed,
        frame.Crumb(environment.title, node.url),
        frame.Crumb(verb.capitalize()),
        here=environment.name,
        status=400 if form.is_bound else 200,
        node=node,
        environment=environment,
        form=form,
        **context,
    )


@login_required
@require_http_methods(["GET", "POST"])
def environment_branch(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    parents = [(each.name, each.title) for each in framed.branchable]
    full = framed.integration_active >= framed.project.max_active_integration
    initial = {"parent": node.environment.name, "activate": not full, "begin": "copy"}
    form = BranchForm(request.POST or None, parents=parents, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            activity = actions.branch(
                framed.node(given["parent"]).environment,
                name=given["branch"],
                title=given["title"],
                by=framed.user,
                activate=given["activate"],
                empty=given["begin"] == "empty",
                address=address(request),
            )
            return redirect("activity", project_id, activity.pk)
        except SlipwayError as error:
            tell(form, error.field, error.message)
    return frame.page(
        request,
        "environments/branch.html",
        framed,
        frame.Crumb(node.environment.title, node.url),
        frame.Crumb("New branch"),
        here=node.environment.name,
        status=400 if form.is_bound else 200,
        node=node,
        environment=node.environment,
        form=form,
        full=full,
        users=places(framed) if full else (),
        no_copies=_no_copies(framed),
        why_not="" if parents else node.why_not(Permission.BRANCH),
    )


def _no_copies(framed: frame.Frame) -> list[str]:
    """Why an environment below some of the possible parents cannot begin with a copy of their data."""
    parents = [node for node in framed.branchable if node.is_active]
    reasons = [_no_copy(node, EnvironmentType.INTEGRATION) for node in parents]
    return list(dict.fromkeys(reason for reason in reasons if reason))


def _no_copy(parent: Node | None, type: EnvironmentType) -> str:
    if parent is None:
        return data.why_not_of_parent(None, type)
    return data.why_not_of_parent(parent.environment, type, readable=parent.may(Permission.SHELL))
