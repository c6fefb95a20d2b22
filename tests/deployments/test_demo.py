import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from deployments.models import Activity
from deployments.pipeline import runner
from environments import repositories
from environments.models import Environment
from portal.models import Project, User
from portal.paths import Home

pytestmark = pytest.mark.django_db(transaction=True)


def demo() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


@pytest.fixture
def _worker(fake_home: Home) -> Any:
    """Runs what is pending, as a worker would."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.05):
            for activity in Activity.objects.in_turn():
                runner.run(activity.pk, "here")
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("_worker")
def test_the_demo_runs_four_environments_and_says_how_to_get_in(settings: Any) -> None:
    told = demo()
    project = Project.objects.get()
    branches = set(project.environments.filter(status=Environment.Status.ACTIVE).values_list("branch", flat=True))
    assert branches == {"production", "staging", "master", "checkout-redesign"}
    assert User.objects.count() == project.memberships.count() == 4
    for environment in project.environments.active():
        assert environment.url in told
    for user in User.objects.all():
        (line,) = [line for line in told.splitlines() if user.email in line]
        assert user.check_password(line.split()[1])
    repository = settings.HOME.repository(project.pk)
    master, branch = (project.environments.get(branch=each).head_commit for each in ("master", "checkout-redesign"))
    assert repositories.head(repository, "checkout-redesign") == branch
    assert repositories.count_between(repository, master, branch) == (1, 0)
    # A second run changes nothing and prints the same sign-ins and addresses.
    asked = Activity.objects.count()
    again = demo()
    assert Activity.objects.count() == asked
    assert again == told[told.index("\nThe portal") :]
