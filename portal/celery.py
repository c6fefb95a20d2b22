import gc
import os

from celery import Celery
from celery.signals import worker_before_create_process, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("slipway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@worker_before_create_process.connect
def _share_memory(**_: object) -> None:
    """What is imported by now stays one copy for all children; a collection in each would make it theirs (90 MB)."""
    gc.collect()
    gc.freeze()
