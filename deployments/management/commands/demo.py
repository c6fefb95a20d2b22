"""Fill the portal with a project to look around in. Safe to repeat: what is there already stays as it is."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from deployments.actions import environments, projects, pushes
from deployments.actions.push_check import RefUpdate
from deployments.enums import State
from deployments.models import Activity
from environments import repositories, starters
from environments.models import Environment
from portal.actions import people
from portal.enums import EnvironmentRole as E
from portal.enums import EnvironmentType as T
from portal.enums import ProjectRole
from portal.ids import new_id
from portal.models import Project, User

TITLE, STARTER, BRANCH = "Harbour Coffee", "store", "checkout-redesign"
_LOOK = 0.2  # seconds
_PATIENCE = 900.0  # seconds without any news before we give up

# Name, address, role in the project, roles by environment type.
PEOPLE: tuple[tuple[str, str, ProjectRole, dict[T, E]], ...] = (
    ("Mara Okafor", "mara@harbour.example", ProjectRole.OWNER, {}),
    ("Ilya Brandt", "ilya@harbour.example", ProjectRole.ADMIN, {}),
    (
        "Noor Haddad",
        "noor@harbour.example",
        ProjectRole.MEMBER,
        {T.INTEGRATION: E.CONTRIBUTOR, T.STAGING: E.CONTRIBUTOR, T.PRODUCTION: E.VIEWER},
    ),
    (
        "Tom Lindqvist",
        "tom@harbour.example",
        ProjectRole.MEMBER,
        {T.INTEGRATION: E.VIEWER, T.STAGING: E.VIEWER, T.PRODUCTION: E.VIEWER},
    ),
)

# What the branch changes in the store: file, text, the text instead of it.
CHANGES = (
    (
        "templates/shop/checkout.php",
        "<h1>Checkout</h1>",
        '<h1>Almost yours</h1>\n<p class="lead">One page, no account. We roast on Monday, ship on Tuesday.</p>',
    ),
    ("public/assets/store.css", "light-dark(#1f5664, #84c3cf)", "light-dark(#7a3b2e, #e6ac97)"),
)


class Command(BaseCommand):
    help = "Load the demo project: its people, Production, Staging, Integration and a branch, all running."

    def handle(self, *args: Any, **options: Any) -> None:
        passwords = _passwords()
        by_role = {address: self._person(name, address, passwords[address]) for name, address, _, _ in PEOPLE}
        owner = by_role[PEOPLE[0][1]]
        project = self._project(owner)
        for _, address, role, types in PEOPLE[1:]:
            if not project.memberships.filter(user=by_role[address]).exists():
                people.set_role(project, by_role[address], role, types, by=owner)
        for branch in (project.default_branch, "staging", "production"):
            self._active(project.environments.get(branch=branch), owner)
        self._branch(project, by_role[PEOPLE[2][1]])
        self._tell(project, passwords)

    def _person(self, name: str, address: str, password: str) -> User:
        found = User.objects.filter(email=address).first()
        if found is not None:
            return found
        if not User.objects.exists():
            return people.create_first_owner(name=name, email=address, password=password)
        return User.objects.create_user(address, password, name=name)

    def _project(self, owner: User) -> Project:
        project = Project.objects.filter(title=TITLE, memberships__user=owner).order_by("created_at").first()
        if project is None:
            project, _ = projects.create_from_starter(by=owner, title=TITLE, starter=starters.find(STARTER).name)
        elif project.state == Project.State.FAILED:
            projects.retry_create(project, by=owner)
        for activity in project.activities.open().filter(environment=None):
            self._follow(activity, f"{TITLE}: new project")
        project.refresh_from_db()
        return project

    def _active(self, environment: Environment, by: User) -> None:
        """Wait for whatever is going on; activate it when nothing is and it is not active yet."""
        for activity in Activity.objects.open().filter(environment=environment).order_by("sequence"):
            self._follow(activity, f"{environment.title}: {activity.kind.partition('.')[2]}")
        environment.refresh_from_db()
        if not environment.is_active:
            self._follow(environments.activate(environment, by=by), f"{environment.title}: activation")

    def _branch(self, project: Project, by: User) -> None:
        """As if `by` had pushed it with `-o environment.status=active`."""
        environment = project.environments.filter(branch=BRANCH).first()
        if environment is None:
            repository = settings.HOME.repository(project.pk)
            master = repositories.head(repository, project.default_branch)
            if master is None:
                raise CommandError(f"The repository has no branch {project.default_branch}.")
            commit = repositories.commit_change(
                repository,
                master,
                _changed(repository, master),
                message="Make the checkout one calm page",
                author=str(by),
                email=by.email,
                at=datetime.now(UTC),
            )
            update = RefUpdate(f"refs/heads/{BRANCH}", repositories.ZERO, commit)
            proposal = pushes.propose(project, by=by, updates=[update], options=["environment.status=active"])
            repositories.create_branch(repository, BRANCH, commit)
            pushes.record(proposal.push)
            environment = project.environments.get(branch=BRANCH)
        self._active(environment, by)

    def _follow(self, activity: Activity, what: str) -> None:
        """Print each step as it begins, until the activity has ended. Raises CommandError when it failed."""
        self.stdout.write(what)
        told: set[str] = set()
        heard = time.monotonic()
        while True:
            activity.refresh_from_db()
            for title in activity.steps.exclude(started_at=None).order_by("position").values_list("title", flat=True):
                if title not in told:
                    self.stdout.write(f"  {title}")
                    told.add(title)
                    heard = time.monotonic()
            if activity.is_final:
                break
            if time.monotonic() - heard > _PATIENCE:
                raise CommandError(f"{what} does not get on. See {settings.PUBLIC_URL} and the worker's log.")
            time.sleep(_LOOK)
        if activity.state != State.SUCCEEDED:
            raise CommandError(f"{what} {activity.state}: {activity.outcome}")
        self.stdout.write(f"  {activity.outcome}")

    def _tell(self, project: Project, passwords: dict[str, str]) -> None:
        self.stdout.write(f"\nThe portal: {settings.PUBLIC_URL}/projects/{project.pk}/\n\nSign in as")
        for name, address, role, types in PEOPLE:
            user = User.objects.get(email=address)
            password = passwords[address] if user.check_password(passwords[address]) else "(was changed)"
            self.stdout.write(f"  {address:<24} {password:<22} {name}, {_described(role, types)}")
        self.stdout.write("\nEnvironments")
        for environment in project.environments.active().order_by("pk"):
            self.stdout.write(f"  {environment.title:<24} {environment.url}")


def _passwords() -> dict[str, str]:
    """Made once and kept where only we can read them, so that a second run prints the same."""
    path = settings.HOME.secrets / "demo.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {address: "-".join(_words()) for _, address, _, _ in PEOPLE if address not in known}
    if missing:
        known |= missing
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known, file)
    return known


def _words() -> Iterator[str]:
    for _ in range(3):
        yield new_id(5)


def _changed(repository: Any, commit: str) -> dict[str, bytes]:
    with repositories.TreeSource(repository, commit) as source:
        files = {}
        for path, old, new in CHANGES:
            text = (source.read(path) or b"").decode()
            if old in text:
                files[path] = text.replace(old, new).encode()
    if not files:
        raise CommandError("The template has changed: there is nothing in it that the demo branch could change.")
    return files


def _described(role: ProjectRole, types: dict[T, E]) -> str:
    if role is not ProjectRole.MEMBER:
        return role.value
    return ", ".join(f"{type_role.value} on {type.label}" for type, type_role in types.items())
