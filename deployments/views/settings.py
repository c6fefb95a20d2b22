"""The settings pages of a project and of its environments: cards that are saved one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from deployments.views import frame, sections
from deployments.views.forms import tell
from deployments.views.sections import Place, Section
from portal.errors import Denied, Missing, SlipwayError
from portal.requests import address


@dataclass(frozen=True)
class Card:
    section: Section
    form: forms.Form
    url: str
    why_not: str
    context: dict[str, Any]


@login_required
@require_GET
def show(request: HttpRequest, project_id: str, name: str = "") -> HttpResponse:
    return _page(request, Place.of(request, project_id, name))


@login_required
@require_POST
def save(request: HttpRequest, project_id: str, section: str, name: str = "") -> HttpResponse:
    place = Place.of(request, project_id, name)
    found = next((each for each in _sections(place) if each.key == section), None)
    if found is None:
        raise Missing("There is no such setting.")
    why_not = found.why_not(place)
    if why_not:
        raise Denied(why_not)
    form = found.form(place, request.POST)
    if form.is_valid():
        try:
            messages.success(request, found.save(place, form.cleaned_data, address=address(request)))
            return redirect(f"{_url(place)}#{section}")
        except SlipwayError as error:
            tell(form, error.field, error.message)
    return _page(request, place, wrong={section: form})


def _sections(place: Place) -> Sequence[Section]:
    return sections.PROJECT if place.node is None else sections.ENVIRONMENT


def _page(request: HttpRequest, place: Place, wrong: dict[str, forms.Form] | None = None) -> HttpResponse:
    cards = [_card(place, section, wrong or {}) for section in _sections(place)]
    status = 400 if wrong else 200
    if place.node is None:
        crumb = frame.Crumb("Settings")
        return frame.page(
            request, "portal/project_settings.html", place.frame, crumb, place="settings", cards=cards, status=status
        )
    return frame.environment_page(
        request,
        "environments/settings.html",
        place.frame,
        place.node,
        frame.Crumb("Settings"),
        tab="environment_settings",
        cards=cards,
        status=status,
    )


def _card(place: Place, section: Section, wrong: dict[str, forms.Form]) -> Card:
    form = wrong.get(section.key) or section.form(place)
    why_not = section.why_not(place)
    if why_not:
        for field in form.fields.values():
            field.disabled = True
    return Card(section, form, _url(place, section.key), why_not, section.context(place, form))


def _url(place: Place, key: str = "") -> str:
    view = f"{place.kind}_settings"
    return reverse(f"{view}_save", args=[*place.arguments, key]) if key else reverse(view, args=place.arguments)
