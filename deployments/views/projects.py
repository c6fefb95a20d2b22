from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployments import access
from deployments.actions import projects as actions
from deployments.enums import Kind
from deployments.models import Activity
from deployments.pipeline import backup_rounds
from deployments.views import activities, feed, frame, nodes
from deployments.views.forms import ProjectForm, tell
from environments import access as environment_access
from environments.starters import starters
from portal.errors import SlipwayError
from portal.models import Project
from portal.requests import address, person

_FEED = 8  # lines of "latest activity"
_FOLDED = 100  # inactive branches on a page


def clone_url(project: Project) -> str:
    port = "" if settings.PUBLIC_SSH_PORT == 22 else f":{settings.PUBLIC_SSH_PORT}"
    return f"ssh://git@{settings.BASE_DOMAIN}{port}/{project.pk}.git"


@login_required
@require_GET
def projects(request: HttpRequest) -> HttpResponse:
    user = person(request)
    seen = environment_access.seen(user)
    told = list(nodes.of_note(seen))
    visible = Activity.objects.filter(project=OuterRef("pk")).filter(
        Q(environment__in=seen.values("pk")) | Q(environment=None, kind=Kind.PROJECT_CREATE)
    )
    newest = visible.order_by("-created_at", "-sequence").values("pk")[:1]
    found = list(Project.objects.visible_to(user))
    latest = Project.objects.visible_to(user).annotate(latest=Subquery(newest)).values("latest")
    shown = Activity.objects.filter(pk__in=latest).select_related("environment", "project")
    entries = {entry.activity.project_id: entry for entry in feed.entries(shown)}
    rows = [
        {
            "project": project,
            "entry": entries.get(project.pk),
            "states": nodes.count([each for each in told if each.project_id == project.pk]),
        }
        for project in found
    ]
    context = {"rows": rows, "states": nodes.count(told), "crumbs": [frame.Crumb("Projects")]}
    return render(request, "portal/projects.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def project_new(request: HttpRequest) -> HttpResponse:
    available = starters()
    first = available[0].name if available else ""
    form = ProjectForm(request.POST or None, initial={"source": request.GET.get("source", "starter"), "starter": first})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        by, origin = person(request), address(request)
        try:
            if given["source"] == "git":
                project, _ = actions.create_from_git(by=by, title=given["title"], url=given["url"], address=origin)
            else:
                project, _ = actions.create_from_starter(
                    by=by, title=given["title"], starter=given["starter"], address=origin
                )
            return redirect("project", project.pk)
        except SlipwayError as error:
            tell(form, error.field, error.message)
    crumbs = [frame.Crumb("Projects", "/"), frame.Crumb("New project")]
    context = {"form": form, "starters": available, "crumbs": crumbs}
    return render(request, "portal/project_new.html", context, status=400 if form.is_bound else 200)


@login_required
@require_GET
def project(request: HttpRequest, project_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    if framed.project.state != Project.State.READY:
        return _being_made(request, framed)
    keys = [node.pk for node in framed.nodes]
    by_key = {node.pk: node for node in framed.nodes if node.is_active}
    alarms = backup_rounds.alarms(node.environment for node in by_key.values())
    latest = access.seen_by(framed.member, keys).select_related("environment", "project")[:_FEED]
    return frame.page(
        request,
        "portal/project.html",
        framed,
        place="overview",
        entries=feed.entries(latest),
        clone_url=clone_url(framed.project),
        backup_alarms=[(by_key[key], alarm) for key, alarm in alarms.items()],
        leaving=[node for node in framed.nodes if node.removal_at],
    )


def _being_made(request: HttpRequest, framed: frame.Frame) -> HttpResponse:
    """While the repository is being made, and when that failed: the progress, and the key that its host may want."""
    creation = (
        Activity.objects.filter(project=framed.project, kind=Kind.PROJECT_CREATE)
        .select_related("project", "environment", "actor")
        .order_by("-sequence")
        .first()
    )
    over_ssh = framed.project.source == Project.Source.GIT and not framed.project.source_name.startswith("http")
    context = activities.context(creation, framed) if creation else {}
    return frame.page(request, "portal/project_creating.html", framed, place="overview", shows_key=over_ssh, **context)


@login_required
@require_POST
def project_retry(request: HttpRequest, project_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    actions.retry_create(framed.project, by=framed.user, address=address(request))
    return redirect("project", project_id)


@login_required
@require_GET
def project_inactive(request: HttpRequest, project_id: str) -> HttpResponse:
    """The branches that are folded away everywhere else."""
    framed = frame.load(request, project_id)
    words = request.GET.get("q", "").strip()[:200]
    folded = [node for node in framed.inactive if words.casefold() in f"{node.title}\n{node.branch}".casefold()]
    page = Paginator(folded, _FOLDED).get_page(request.GET.get("page"))
    framed.tree.fill(page.object_list)
    crumb = frame.Crumb("Inactive branches")
    return frame.page(request, "portal/project_inactive.html", framed, crumb, page=page, words=words, place="overview")


@login_required
@require_GET
def project_side(request: HttpRequest, project_id: str) -> HttpResponse:
    """The sidebar's tree alone, for a page that was told of a change."""
    framed = frame.load(request, project_id)
    framed.here = request.GET.get("here", "")[:200]
    context = {"project": framed.project, "sidebar": framed, "here": framed.here}
    return render(request, "components/_side_tree.html", context)
