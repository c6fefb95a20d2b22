from django.urls import include, path

urlpatterns = [
    path("account/", include("allauth.urls")),
    path("", include("portal.account_urls")),
    path("", include("environments.urls")),
    path("", include("deployments.urls")),
]
