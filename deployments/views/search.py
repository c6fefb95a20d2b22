from django.contrib.auth.decorators import login_required
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from deployments.models import Activity
from deployments.views import feed, frame, nodes
from environments import access
from environments.models import Environment
from portal.models import Project
from portal.requests import person

_MOST = 20  # of each kind


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Projects, environments and activities that the person may see and whose names, ids or commits hold the words."""
    user, words = person(request), request.GET.get("q", "").strip()[:200]
    context: dict[str, object] = {"words": words, "search_words": words, "crumbs": [frame.Crumb("Search")]}
    if words:
        seen = access.seen(user)
        named = Q(title__icontains=words) | Q(branch__icontains=words) | Q(head_commit__istartswith=words)
        environments: list[Environment] = list(
            nodes.with_states(seen.filter(named)).select_related("project").order_by("title")[:_MOST]
        )
        told = Q(pk=words) | Q(outcome__icontains=words) | Q(asked__icontains=words) | Q(actor_name__icontains=words)
        asked = Activity.objects.annotate(asked=Cast("parameters", TextField()))
        activities = asked.filter(told, environment__in=seen.values("pk"))
        context |= {
            "projects": Project.objects.visible_to(user).filter(Q(title__icontains=words) | Q(pk=words))[:_MOST],
            "nodes": [nodes.make(environment, frozenset()) for environment in environments],
            "entries": feed.entries(activities.select_related("environment", "project")[:_MOST]),
        }
    return render(request, "portal/search.html", context)
