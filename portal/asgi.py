import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

django = get_asgi_application()

from portal.sites import Sites  # noqa: E402 - Django must be set up

application = Sites(django)
