from django.urls import include, path

urlpatterns = [
    path("", include("portal.account_urls")),
    path("", include("environments.urls")),
    path("", include("deployments.urls")),
]
