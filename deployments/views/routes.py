"""Where an environment answers: the routes of its live release, and the domains and certificates of Production."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployments.actions import domains as actions
from deployments.models import Release
from deployments.views import frame
from deployments.views.forms import tell
from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments import access, certificates, domains
from environments.actions.http_access import holding
from environments.models import Certificate, Domain, Environment
from portal.errors import Missing, SlipwayError
from portal.models import User
from portal.permissions import Permission
from portal.requests import address

_ASKED_AGAIN = 20  # seconds between two questions to DNS about one domain


class Added(forms.Form):
    """A form that adds something to Production."""

    def add(self, production: Environment, *, by: User, address: str) -> str:
        """Carry out what the valid form asks; returns the sentence that says so. Raises SlipwayError."""
        raise NotImplementedError


class DomainForm(Added):
    domain = forms.CharField(
        label="Domain",
        max_length=300,
        widget=forms.TextInput(
            attrs={
                "class": "input-mono",
                "placeholder": "www.example.com",
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )

    def add(self, production: Environment, *, by: User, address: str) -> str:
        made = actions.add(production, name=self.cleaned_data["domain"], by=by, address=address)
        return f"{made} is added. It is served once the deployment that was asked for is done."


class CertificateForm(Added):
    chain = forms.CharField(
        label="Certificate and its chain",
        max_length=certificates.MAX_PEM,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "placeholder": "-----BEGIN CERTIFICATE-----"}),
        help_text="PEM: the site's own first, then those that signed it.",
    )
    key = forms.CharField(
        label="Private key",
        max_length=certificates.MAX_PEM,
        widget=forms.Textarea(
            attrs={
                "rows": 5,
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN PRIVATE KEY-----",
            }
        ),
        help_text="PEM, without a password. It is kept encrypted and never shown again.",
    )

    def add(self, production: Environment, *, by: User, address: str) -> str:
        made = actions.add_certificate(production, **self.cleaned_data, by=by, address=address)
        return f"The certificate for {made} is kept."


@dataclass(frozen=True)
class Row:
    """A route as it is shown."""

    url: str
    original: str
    leads_to: str
    kind: str
    primary: bool
    redirects: list[dict[str, Any]]
    notes: list[str]


@login_required
@require_GET
def environment_routes(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    return _page(request, framed, framed.node(name))


@login_required
@require_GET
def domain_check(request: HttpRequest, project_id: str, name: str, domain: str) -> HttpResponse:
    """Whether DNS leads here: a part of the page that comes later, for DNS may take its time."""
    framed = frame.load(request, project_id)
    framed.node(name)
    if not Domain.objects.filter(project=framed.project, name=domain).exists():
        raise Missing("There is no such domain.")
    leads = cache.get_or_set(f"domain-leads:{domain}", lambda: domains.leads(domain), _ASKED_AGAIN)
    until = certificates.obtained_until(settings.HOME.certificates, domain) if settings.HTTPS_PORT else None
    context = {"leads": leads, "until": until, "ended": until is not None and until <= timezone.now()}
    return render(request, "environments/_domain_check.html", context)


@login_required
@require_POST
def domain_add(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _add(request, project_id, name, DomainForm(request.POST))


@login_required
@require_POST
def domain_default(request: HttpRequest, project_id: str, name: str, domain: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    production = framed.node(name).environment
    actions.make_default(production, name=domain, by=framed.user, address=address(request))
    messages.success(request, f"{domain} is the default domain once the deployment that was asked for is done.")
    return redirect("environment_routes", project_id, name)


@login_required
@require_http_methods(["GET", "POST"])
def domain_remove(request: HttpRequest, project_id: str, name: str, domain: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    if request.method == "POST":
        actions.remove(node.environment, name=domain, by=framed.user, address=address(request))
        messages.success(request, f"{domain} is removed and not served any more.")
        return redirect("environment_routes", project_id, name)
    found = Domain.objects.filter(project=framed.project, name=domain).first()
    if found is None:
        raise Missing("There is no such domain.")
    return frame.environment_page(
        request,
        "environments/domain_remove.html",
        framed,
        node,
        frame.Crumb("Routes"),
        tab="environment_routes",
        domain=found,
        why_not=_why_not(node),
    )


@login_required
@require_POST
def certificate_add(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _add(request, project_id, name, CertificateForm(request.POST))


@login_required
@require_POST
def certificate_remove(request: HttpRequest, project_id: str, name: str, fingerprint: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    production = framed.node(name).environment
    actions.remove_certificate(production, fingerprint=fingerprint, by=framed.user, address=address(request))
    messages.success(request, "The certificate is removed.")
    return redirect("environment_routes", project_id, name)


def _add(request: HttpRequest, project_id: str, name: str, form: Added) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    if form.is_valid():
        try:
            messages.success(request, form.add(node.environment, by=framed.user, address=address(request)))
            return redirect("environment_routes", project_id, name)
        except SlipwayError as error:
            if error.field is None:
                raise
            tell(form, error.field, error.message)
    else:
        access.check(framed.user, node.environment, Permission.OPERATE)
    return _page(request, framed, node, form)


def _why_not(node: Node) -> str:
    return node.why_not(Permission.OPERATE) or actions.why_not(node.environment)


def _page(request: HttpRequest, framed: Frame, node: Node, wrong: forms.Form | None = None) -> HttpResponse:
    environment = node.environment
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    own = environment.is_public
    return frame.environment_page(
        request,
        "environments/routes.html",
        framed,
        node,
        frame.Crumb("Routes"),
        tab="environment_routes",
        status=400 if wrong is not None else 200,
        release=release,
        rows=_rows(release),
        warnings=release.configuration.get("route_warnings", []) if release else [],
        policy=holding(environment).policy,
        domains=list(Domain.objects.filter(project=framed.project)) if own else [],
        certificates=list(Certificate.objects.filter(project=framed.project)) if own else [],
        domain_form=wrong if isinstance(wrong, DomainForm) else DomainForm(),
        certificate_form=wrong if isinstance(wrong, CertificateForm) else CertificateForm(),
        why_not=_why_not(node),
        tls=bool(settings.HTTPS_PORT),
        scheme=settings.PUBLIC_SCHEME,
    )


def _rows(release: Release | None) -> list[Row]:
    """What the release stored when it was made: nothing is read from the repository here."""
    if release is None:
        return []
    kept = release.configuration
    redirects = kept.get("redirects", {})
    return [_row(url, route, redirects.get(url, [])) for url, route in kept.get("routes", {}).items()]


def _row(url: str, route: Mapping[str, Any], redirects: list[dict[str, Any]]) -> Row:
    kind = str(route.get("type", "upstream"))
    leads_to = str(route.get("upstream") if kind == "upstream" else route.get("to"))
    notes = ["Requests are not passed on to other hosts here: this answers with an error."] if kind == "proxy" else []
    if "://*." in url:
        notes.append("Only hosts that are named in full are served.")
    return Row(url, str(route.get("original_url", "")), leads_to, kind, bool(route.get("primary")), redirects, notes)
