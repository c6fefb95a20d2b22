from allauth.account.views import login as allauth_login
from django import forms
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from portal.actions import people
from portal.errors import SlipwayError
from portal.models import User
from portal.requests import address


class WelcomeForm(forms.Form):
    name = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}))
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        min_length=10,
        max_length=200,
        strip=False,
        help_text="At least 10 characters. A few unrelated words are easy to keep in mind.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """The first visit of a new portal: whoever comes first becomes its owner. Gone afterwards."""
    if User.objects.exists():
        return redirect("account_login")
    form = WelcomeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = people.create_first_owner(**form.cleaned_data, address=address(request))
        except SlipwayError as error:
            form.add_error(error.field, error.message)
        else:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            return redirect(reverse("account") + "#keys")
    return render(request, "portal/welcome.html", {"form": form}, status=400 if form.errors else 200)


def sign_in(request: HttpRequest) -> HttpResponse:
    """allauth's sign-in, except that a portal without any account leads to its first-run page."""
    if request.method == "GET" and not User.objects.exists():
        return redirect("welcome")
    response: HttpResponse = allauth_login(request)
    return response
