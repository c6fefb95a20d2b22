from allauth.account import views as allauth
from django.urls import path
from django.views.generic import RedirectView

from portal.views import account, people

# Only the pages of allauth that this portal has a use for; the rest of its URLs do not exist here.
urlpatterns = [
    path("welcome/", people.welcome, name="welcome"),
    path("account/login/", people.sign_in, name="account_login"),
    path("account/logout/", allauth.logout, name="account_logout"),
    path("account/signup/", allauth.signup, name="account_signup"),
    path("account/inactive/", allauth.account_inactive, name="account_inactive"),
    path("account/reauthenticate/", allauth.reauthenticate, name="account_reauthenticate"),
    path("account/password/", allauth.password_change, name="account_change_password"),
    path(
        "account/password/set/",
        RedirectView.as_view(pattern_name="account_change_password"),
        name="account_set_password",
    ),
    path("account/", account.account, name="account"),
    path("account/profile/", account.profile, name="account_profile"),
    path("account/keys/", account.key_add, name="keys_add"),
    path("account/keys/<int:pk>/delete/", account.key_delete, name="keys_delete"),
    path("theme/", account.theme, name="theme"),
]
