"""Who may come to an environment without being a member of its project, and whether search engines may."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from deployments.views.sections.base import Place, Section, Switch
from environments import http_access
from environments.actions import http_access as actions
from environments.actions.http_access import Change, Holding, Mode
from environments.models import Environment
from portal.permissions import Permission

_QUIET = {"autocomplete": "off", "spellcheck": "false"}


class AccessForm(forms.Form):
    mode = forms.ChoiceField(label="HTTP access", widget=forms.RadioSelect)
    rules = forms.CharField(
        label="Address rules, one a line; the first that fits counts",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={**_QUIET, "rows": 4, "class": "input-mono", "placeholder": "allow 192.0.2.0/24"}),
    )
    name = forms.CharField(label="New login: name", required=False, max_length=64, widget=forms.TextInput(attrs=_QUIET))
    password = forms.CharField(
        label="New login: password",
        required=False,
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    confirmed = forms.BooleanField(label="Let in nobody but members of the project", required=False)

    def __init__(self, data: QueryDict | None, held: Holding) -> None:
        own = held.own
        mode = Mode.INHERIT if own is None else Mode.ON if own.enabled else Mode.OFF
        rules = http_access.written_rules(own.policy.rules) if own else ""
        super().__init__(data, initial={"mode": mode, "rules": rules})
        self.held = held
        self.logins = sorted(own.logins) if own else []
        for number, name in enumerate(self.logins):
            self.fields[f"remove-{number}"] = forms.BooleanField(label=f"Remove {name}", required=False)
            self.fields[f"password-{number}"] = forms.CharField(
                label=f"New password of {name}",
                required=False,
                max_length=200,
                strip=False,
                widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "placeholder": "unchanged"}),
            )

    @property
    def rows(self) -> list[tuple[str, forms.BoundField, forms.BoundField]]:
        """(name, its removal, its new password) of each login that there is."""
        return [(name, self[f"remove-{n}"], self[f"password-{n}"]) for n, name in enumerate(self.logins)]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if bool(given.get("name")) != bool(given.get("password")):
            missing = "password" if given.get("name") else "name"
            self.add_error(missing, f"A new login needs a {missing} too.")
        logins = list(enumerate(self.logins))
        given["removed"] = [name for number, name in logins if given.get(f"remove-{number}")]
        given["passwords"] = {name: said for number, name in logins if (said := given.get(f"password-{number}"))}
        return given


class VisitorAccess(Section):
    key, title, right = "http-access", "HTTP access", Permission.OPERATE
    template = "environments/_http_access.html"

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        environment = place.environment
        form = AccessForm(data, actions.holding(environment))
        choices = form.fields["mode"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = _modes(environment)
        return form

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        change = Change(
            mode=Mode(given["mode"]),
            rules=given["rules"],
            passwords=given["passwords"],
            removed=given["removed"],
            added=(given["name"], given["password"]) if given.get("name") else None,
            confirmed=given["confirmed"],
        )
        actions.save(place.environment, change, by=place.frame.user, address=address)
        return "HTTP access is saved. It holds for every request from now on."

    def context(self, place: Place, form: forms.Form) -> dict[str, Any]:
        assert isinstance(form, AccessForm)
        environment, held = place.environment, form.held
        source = held.source if held.source and held.source.pk != environment.pk else None
        shown = place.frame.node_of(source.pk) if source else None
        return {
            "policy": held.policy,
            "rules": list(map(str, held.policy.rules)) if held.policy else [],
            "logins": sorted(held.policy.logins) if held.policy else [],
            "public": environment.is_public,
            "inherited": source is not None,
            "source": shown.environment.title if shown else "an environment above",
        }


class SearchEngines(Switch):
    key, title, right, label = "search-engines", "Search engines", Permission.OPERATE, "Hide from search engines"

    def is_on(self, place: Place) -> bool:
        return place.environment.unlisted or not place.environment.is_public

    def hint(self, place: Place) -> str:
        return "Sends X-Robots-Tag: noindex, nofollow with every answer, from the next request on."

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        actions.list_in_search(place.environment, unlisted=given["on"], by=place.frame.user, address=address)
        return "Search engines are asked to stay away." if given["on"] else "Search engines may come."

    def why_not(self, place: Place) -> str:
        if not place.environment.is_public:
            return "Environments other than Production are always hidden from search engines."
        return super().why_not(place)


def _modes(environment: Environment) -> list[tuple[str, str]]:
    closed = "open to everyone" if environment.is_public else "open to members only"
    modes = [(Mode.ON.value, "On: members, and who has a login or comes from an address below")]
    modes.append((Mode.OFF.value, f"Off: {closed}"))
    inherit = "As its parent" if environment.parent_id else f"Not set: {closed}"
    return [(Mode.INHERIT.value, inherit), *modes]
