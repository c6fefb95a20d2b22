"""The mail of an environment: what its programs sent, caught or on its way.

A stranger wrote what is shown here. Text is escaped like any other; HTML is shown in a frame of its own, by a document
without scripts, without an origin, and without anything from elsewhere.
"""

from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import Truncator
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployments.actions import mail as actions
from deployments.mail import read, sending
from deployments.models import Message
from deployments.views import frame
from deployments.views.frame import Crumb, Frame
from deployments.views.nodes import Node
from portal.errors import Denied, Missing
from portal.permissions import Permission
from portal.requests import address

_PAGE = 50
_LONGEST_SEARCH = 200
# Whole policies: nothing of the portal's own is added to them.
_ALONE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"


@login_required
@require_GET
def environment_mail(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    why_not = node.why_not(actions.needed(node.environment))
    words = request.GET.get("q", "").replace("\0", "")[:_LONGEST_SEARCH].strip()
    kept = Message.objects.filter(environment=node.environment if not why_not else None)
    page = Paginator(kept.found(words), _PAGE).get_page(request.GET.get("page"))
    return frame.environment_page(
        request,
        "environments/mail.html",
        framed,
        node,
        Crumb("Mail"),
        tab="environment_mail",
        status=403 if why_not else 200,
        page=page,
        words=words,
        why_not=why_not,
        why_not_delete=node.why_not(Permission.OPERATE),
        **_where_it_goes(node),
    )


@login_required
@require_GET
@csp_update({"frame-src": ["'self'"]})  # type: ignore[arg-type]
def mail_message(request: HttpRequest, project_id: str, name: str, number: str) -> HttpResponse:
    framed, node, message = _find(request, project_id, name, number)
    content = read.content(message) if message.has_text else None
    showing = request.GET.get("show", "")
    choices = _choices(content)
    if showing not in choices:
        showing = next(iter(choices), "")
    source, whole = read.beginning(message) if showing == "source" else ("", True)
    return frame.environment_page(
        request,
        "environments/mail_message.html",
        framed,
        node,
        Crumb("Mail", reverse("environment_mail", args=[project_id, name])),
        Crumb(Truncator(str(message)).chars(60)),
        tab="environment_mail",
        message=message,
        content=content,
        choices=choices,
        showing=showing,
        source=source,
        whole=whole,
        why_not_again=node.why_not(Permission.OPERATE) or actions.cannot_try_again(message),
    )


@login_required
@require_GET
@xframe_options_sameorigin
def mail_html(request: HttpRequest, project_id: str, name: str, number: str) -> HttpResponse:
    """For the frame. Its policy holds as well when somebody opens it by itself."""
    _, _, message = _find(request, project_id, name, number)
    html = read.content(message).html
    if not html:
        raise Missing("This message has no HTML.")
    response = HttpResponse(f'<!doctype html><base target="_blank">{html}')
    response["Content-Security-Policy"] = _ALONE
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_GET
def mail_source(request: HttpRequest, project_id: str, name: str, number: str) -> HttpResponseBase:
    _, _, message = _find(request, project_id, name, number)
    return _download(read.source(message).open("rb"), f"message-{message.pk}.eml")


@login_required
@require_GET
def mail_attachment(request: HttpRequest, project_id: str, name: str, number: str, part: str) -> HttpResponseBase:
    _, _, message = _find(request, project_id, name, number)
    attachment, path = read.attachment(message, _counted(part))
    return _download(path.open("rb"), attachment.name)


@login_required
@require_POST
def mail_retry(request: HttpRequest, project_id: str, name: str, number: str) -> HttpResponse:
    framed, _, message = _find(request, project_id, name, number)
    actions.try_again(message, by=framed.user, address=address(request))
    messages.success(request, "It is tried again now.")
    return redirect("mail_message", project_id, name, number)


@login_required
@require_http_methods(["GET", "POST"])
def mail_delete(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    if request.method == "POST":
        count = actions.delete_all(node.environment, by=framed.user, address=address(request))
        messages.success(request, f"{count} message{'' if count == 1 else 's'} deleted.")
        return redirect("environment_mail", project_id, name)
    why_not = node.why_not(Permission.OPERATE)
    waiting = [Message.State.QUEUED, Message.State.SENDING]
    kept = Message.objects.filter(environment=node.environment)
    return frame.environment_page(
        request,
        "environments/mail_delete.html",
        framed,
        node,
        Crumb("Mail", reverse("environment_mail", args=[project_id, name])),
        Crumb("Delete all"),
        tab="environment_mail",
        count=0 if why_not else kept.exclude(state__in=waiting).count(),
        waiting=0 if why_not else kept.filter(state__in=waiting).count(),
        why_not=why_not,
    )


def _find(request: HttpRequest, project_id: str, name: str, number: str) -> tuple[Frame, Node, Message]:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    why_not = node.why_not(actions.needed(node.environment))
    if why_not:
        raise Denied(why_not)
    message = Message.objects.filter(environment=node.environment, pk=_counted(number)).first()
    if message is None:
        raise Missing("There is no such message; it may have been deleted.")
    message.environment = node.environment
    return framed, node, message


def _counted(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Missing("There is no such message; it may have been deleted.")
    return int(text)


def _choices(content: read.Content | None) -> dict[str, str]:
    """What can be shown of a message, the best first."""
    if content is None:
        return {}
    found = {"html": "HTML"} if content.html else {}
    found |= {"text": "Text"} if content.text else {}
    found |= {"headers": "Headers"} if content.headers else {}
    return {**found, "source": "Source"}


def _where_it_goes(node: Node) -> dict[str, Any]:
    on = node.environment.mail_is_on
    return {"on": on, "goes_out": on and bool(settings.SMTP_URL), "server": sending.server_name()}


def _download(file: Any, name: str) -> FileResponse:
    """Never shown by the browser itself, whatever it claims to be."""
    response = FileResponse(file, as_attachment=True, filename=name, content_type="application/octet-stream")
    response["Content-Security-Policy"] = _NOTHING
    response["Cache-Control"] = "no-store"
    return response
