import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

django = get_asgi_application()

from django.urls import get_resolver  # noqa: E402 - Django must be set up

from portal.sites import Sites  # noqa: E402

application = Sites(django)

# What is loaded by now stays; a full collection that went through all of it would hold up a page for 150 ms.
_ = get_resolver().url_patterns  # loads every view
gc.collect()
gc.freeze()
