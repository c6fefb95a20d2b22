from django.urls import path

from environments.views import edge, visits

urlpatterns = [
    path("-/edge/allowed", edge.allowed, name="edge_allowed"),
    path("-/edge/certificate", edge.certificate, name="edge_certificate"),
    path("-/visit/start", visits.start, name="visit_start"),
    path("-/visit/enter", visits.enter, name="visit_enter"),
    path("-/visit/login", visits.login, name="visit_login"),
    path("-/visit/check", visits.check, name="visit_check"),
]
