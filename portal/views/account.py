from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal import keys as key_rules
from portal.actions import keys, people
from portal.errors import SlipwayError
from portal.models import SSHKey
from portal.requests import address, person, safe_next

THEME_COOKIE = "slipway_theme"
_YEAR = 365 * 24 * 3600


class ProfileForm(forms.Form):
    name = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))


class KeyForm(forms.Form):
    title = forms.CharField(
        label="Name",
        max_length=120,
        required=False,
        help_text="For example the computer it is on. Empty: the key's own comment.",
    )
    key = forms.CharField(
        label="Public key",
        required=False,
        max_length=key_rules.MAX_LENGTH,
        widget=forms.Textarea(
            attrs={"rows": 4, "spellcheck": "false", "placeholder": "ssh-ed25519 AAAA…", "autocomplete": "off"}
        ),
    )
    file = forms.FileField(label="Or choose the .pub file", required=False, allow_empty_file=True)

    def text(self) -> str:
        """What was pasted, or else what the file holds."""
        upload = self.cleaned_data.get("file")
        pasted: str = self.cleaned_data["key"]
        if pasted.strip() or upload is None:
            return pasted
        content: bytes = upload.read(key_rules.MAX_LENGTH + 1)
        return content.decode("utf-8", "replace")


@login_required
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _page(request, ProfileForm(initial={"name": person(request).name}), KeyForm())


@login_required
@require_POST
def profile(request: HttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST)
    if form.is_valid():
        try:
            people.rename(by=person(request), name=form.cleaned_data["name"], address=address(request))
        except SlipwayError as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, "Your name was changed.")
            return redirect("account")
    return _page(request, form, KeyForm(), status=400)


@login_required
@require_POST
def key_add(request: HttpRequest) -> HttpResponse:
    form = KeyForm(request.POST, request.FILES)
    if form.is_valid():
        title, text = form.cleaned_data["title"], form.text()
        try:
            added = keys.add(by=person(request), title=title, text=text, address=address(request))
        except SlipwayError as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, f"The key “{added.title}” was added. It works at once.")
            return redirect(reverse("account") + "#keys")
    if key_rules.is_private(request.POST.get("key", "")):
        form.data = {"title": request.POST.get("title", ""), "key": ""}  # it must not be sent back in the page
    return _page(request, ProfileForm(initial={"name": person(request).name}), form, status=400)


@login_required
@require_http_methods(["GET", "POST"])
def key_delete(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(SSHKey, pk=pk, user=person(request))
    if request.method == "POST":
        keys.delete(by=person(request), key=key, address=address(request))
        messages.success(request, f"The key “{key.title}” was removed. Connections that use it are being closed.")
        return redirect(reverse("account") + "#keys")
    return render(request, "portal/key_delete.html", {"key": key})


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember the colours for this browser, and for the person when one is signed in."""
    chosen = request.POST.get("theme", "")
    if chosen not in ("system", "light", "dark"):
        return HttpResponse("Choose system, light or dark.", status=400)
    if request.user.is_authenticated:
        user = person(request)
        user.theme = chosen
        user.save(update_fields=["theme"])
    response: HttpResponse = (
        HttpResponse(status=204) if request.headers.get("HX-Request") else redirect(safe_next(request))
    )
    response.set_cookie(THEME_COOKIE, chosen, max_age=_YEAR, samesite="Lax")
    return response


def _page(request: HttpRequest, profile: ProfileForm, key: KeyForm, status: int = 200) -> HttpResponse:
    context = {"profile_form": profile, "key_form": key, "keys": person(request).ssh_keys.all()}
    return render(request, "portal/account.html", context, status=status)
