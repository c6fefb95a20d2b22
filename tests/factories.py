"""Rows for tests, as short as a test wants to say them: `EnvironmentFactory(project=project, branch="master")`."""

from datetime import timedelta
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from deployments.enums import Kind, State, StepState
from deployments.models import Activity, Backup, CronRun, LogChunk, Release, Step
from environments import names
from environments.models import Environment, EnvironmentAccess, Service
from environments.runtimes.crons import Outcome, Trigger
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.models import Membership, Project, TypeRole, User

PASSWORD = "correct horse battery staple"


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"person{n}@example.com")

    @factory.post_generation
    def password(self: User, create: bool, extracted: str | None, **_: Any) -> None:
        """Hashing is slow: only those who sign in by the form ask for a password."""
        if extracted:
            self.set_password(extracted)
            self.save(update_fields=["password"])


class ProjectFactory(DjangoModelFactory):
    class Meta:
        model = Project

    title = factory.Sequence(lambda n: f"Project {n}")
    state = Project.State.READY
    source = Project.Source.STARTER
    source_name = "python"


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    project = factory.SubFactory(ProjectFactory)
    user = factory.SubFactory(UserFactory)
    role = ProjectRole.OWNER


def member(project: Project, *, user: User | None = None, **roles: EnvironmentRole) -> User:
    """A plain member with roles by environment type: `member(project, integration=EnvironmentRole.VIEWER)`."""
    membership = MembershipFactory(project=project, user=user or UserFactory(), role=ProjectRole.MEMBER)
    for type, role in roles.items():
        TypeRole.objects.create(membership=membership, type=EnvironmentType(type), role=role)
    return membership.user


class EnvironmentFactory(DjangoModelFactory):
    class Meta:
        model = Environment

    project = factory.SubFactory(ProjectFactory)
    branch = factory.Sequence(lambda n: f"branch-{n}")
    name = factory.LazyAttribute(lambda made: names.environment_id(made.branch))
    title = factory.SelfAttribute("branch")
    machine_name = factory.LazyAttribute(lambda made: names.machine_name(made.name, made.project.pk))
    type = EnvironmentType.INTEGRATION
    status = Environment.Status.ACTIVE
    head_commit = "9f31c2e07b1d4a6c8e5f0a2b3c4d5e6f70819203"


class EnvironmentAccessFactory(DjangoModelFactory):
    class Meta:
        model = EnvironmentAccess

    environment = factory.SubFactory(EnvironmentFactory)
    user = factory.SubFactory(UserFactory)
    role = EnvironmentRole.VIEWER


def tree(project: Project, *branches: str) -> dict[str, Environment]:
    """Production, Staging and master, active, and the named branches below master."""
    production = EnvironmentFactory(project=project, branch="production", type=EnvironmentType.PRODUCTION)
    staging = EnvironmentFactory(project=project, branch="staging", type=EnvironmentType.STAGING, parent=production)
    master = EnvironmentFactory(project=project, branch="master", parent=staging)
    made = {"production": production, "staging": staging, "master": master}
    for branch in branches:
        made[branch] = EnvironmentFactory(project=project, branch=branch, parent=master)
    return made


class ServiceFactory(DjangoModelFactory):
    class Meta:
        model = Service

    environment = factory.SubFactory(EnvironmentFactory)
    name = "database"
    engine = "mariadb"
    version = "10.11"
    asked = "mysql:10.4"
    address = factory.Sequence(lambda n: f"127.64.{n // 250}.{n % 250 + 1}")
    port = 3306
    secret = ""


class ActivityFactory(DjangoModelFactory):
    class Meta:
        model = Activity

    environment = factory.SubFactory(EnvironmentFactory)
    project = factory.LazyAttribute(lambda made: made.environment.project if made.environment else ProjectFactory())
    kind = Kind.PUSH
    state = State.SUCCEEDED
    actor = factory.SubFactory(UserFactory)
    actor_name = factory.LazyAttribute(lambda made: str(made.actor) if made.actor else "Slipway")
    sequence = factory.Sequence(lambda n: n + 1)
    started_at = factory.LazyAttribute(
        lambda made: None if made.state == State.PENDING else timezone.now() - timedelta(seconds=6.2)
    )
    finished_at = factory.LazyAttribute(lambda made: timezone.now() if State(made.state).is_final else None)

    @classmethod
    def _create(cls, model_class: type[Activity], *args: Any, **values: Any) -> Activity:
        age = values.pop("age", None)  # seconds since it was asked for; created_at is set by the database otherwise
        made: Activity = super()._create(model_class, *args, **values)
        if age is not None:
            made.created_at = timezone.now() - timedelta(seconds=age)
            made.save(update_fields=["created_at"])
        return made


class BackupFactory(DjangoModelFactory):
    class Meta:
        model = Backup

    environment = factory.SubFactory(EnvironmentFactory)
    project = factory.SelfAttribute("environment.project")
    environment_title = factory.SelfAttribute("environment.title")
    environment_type = factory.SelfAttribute("environment.type")
    state = Backup.State.STORED
    at = factory.LazyFunction(timezone.now)
    held = 0.42
    release_number = 4
    commit = "9f31c2e07b1d4a6c8e5f0a2b3c4d5e6f70819203"
    subject = "Hold carts while prices load"
    data_bytes = 1_294_000_000
    size = 212_000_000
    parts = factory.LazyFunction(
        lambda: [
            {"kind": "service", "name": "database", "engine": "mariadb", "version": "10.11", "bytes": 1_200_000_000},
            {"kind": "mount", "name": "app-store", "engine": "", "version": "", "bytes": 94_000_000},
        ]
    )
    manifest = "0" * 64
    proof = Backup.Proof.PROVEN
    proof_at = factory.LazyFunction(timezone.now)
    proof_seconds = 9.3
    proof_note = "412 tables with 3,918,220 rows in database, 8,113 files"


class StepFactory(DjangoModelFactory):
    class Meta:
        model = Step

    activity = factory.SubFactory(ActivityFactory)
    position = factory.Sequence(lambda n: n + 1)
    name = "build"
    title = "Build store"
    state = StepState.SUCCEEDED


class ReleaseFactory(DjangoModelFactory):
    class Meta:
        model = Release

    environment = factory.SubFactory(EnvironmentFactory)
    number = factory.Sequence(lambda n: n + 1)
    state = Release.State.LIVE
    commit = "9f31c2e07b1d4a6c8e5f0a2b3c4d5e6f70819203"
    subject = "Hold carts while prices load"
    author = "Mara Okafor"
    slugs = factory.LazyFunction(lambda: {"store": "store-41d07a9"})
    live_at = factory.LazyFunction(timezone.now)


class CronRunFactory(DjangoModelFactory):
    class Meta:
        model = CronRun

    id = factory.Sequence(lambda n: f"run{n:06}")
    environment = factory.SubFactory(EnvironmentFactory)
    app = "store"
    cron = "tick"
    release = 1
    trigger = Trigger.SCHEDULE
    started_at = factory.LazyFunction(lambda: timezone.now() - timedelta(seconds=4))
    ended_at = factory.LazyAttribute(lambda made: made.started_at + timedelta(seconds=2.4))
    outcome = Outcome.SUCCEEDED
    code = factory.LazyAttribute(lambda made: 0 if made.outcome == Outcome.SUCCEEDED else 1)


def write_log(activity: Activity, text: str, *, lines_per_chunk: int = 50) -> list[LogChunk]:
    """The text as numbered chunks behind what the activity's log holds already."""
    lines = text.removesuffix("\n").split("\n")
    last = activity.log.order_by("-number").first()
    number, first = (last.number, last.first_line + last.text.count("\n")) if last else (0, 1)
    made = []
    for start in range(0, len(lines), lines_per_chunk):
        part = lines[start : start + lines_per_chunk]
        number += 1
        made.append(
            LogChunk(activity=activity, number=number, first_line=first, at=timezone.now(), text="\n".join(part) + "\n")
        )
        first += len(part)
    return LogChunk.objects.bulk_create(made)
