"""Projects as people meet them: ordinary, failing, with very long names. Used for pictures and for page tests."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from deployments.enums import Fault, Kind, State, StepState
from deployments.models import Activity, CronRun, Release
from environments.drift import pair
from environments.models import Certificate, Domain, Environment, HttpAccess
from portal.models import Project, User
from tests import factories as make

LONG = "feature/rewrite-the-whole-checkout-with-a-name-that-nobody-would-ever-want-to-read-aloud-in-a-meeting"
COMMITS = [
    {"sha": "c0ffee1" + "0" * 33, "subject": "Store VAT per order line", "author": "Mara Okafor"},
    {"sha": "9f31c2e" + "0" * 33, "subject": "Hold carts while prices load", "author": "Ilya Brandt"},
]
LOG = """\x1b[2mFound 2 new commits\x1b[0m

\x1b[1mBuilding application store\x1b[0m \x1b[2m(php:8.2, tree 9851a01)\x1b[0m
  \x1b[32mReusing existing build for this tree\x1b[0m

\x1b[1mStarting release v42 beside v41\x1b[0m
  mariadb \x1b[32mready\x1b[0m  redis \x1b[32mready\x1b[0m  php-fpm \x1b[32mready\x1b[0m

\x1b[1mExecuting deploy hook for store\x1b[0m
  + php bin/store migrate --no-interaction
  \x1b[34mApplying 0042_order_lines_vat\x1b[0m ........ \x1b[32mOK\x1b[0m (3.1 s)
  \x1b[34mApplying 0043_backfill_vat\x1b[0m
    backfilled 120,000 of 402,113 rows
    backfilled 240,000 of 402,113 rows
    \x1b[33mwarning: 14 orders have no country, using shop default\x1b[0m
    backfilled 360,000 of 402,113 rows
"""
STEPS = [
    "Check configuration",
    "Build store",
    "Start release v42",
    "Deploy hook",
    "Probe",
    "Switch traffic",
    "Drain v41",
]


@dataclass
class Scene:
    project: Project
    owner: User
    environments: dict[str, Environment]
    running: Activity
    failed: Activity
    waiting: Activity
    cron_run: CronRun


def ordinary() -> Scene:
    owner = make.UserFactory(name="Mara Okafor", email="mara@harbour.example")
    ilya = make.UserFactory(name="Ilya Brandt")
    tomas = make.UserFactory(name="Tomás Rey")
    project = make.ProjectFactory(title="Harbour Coffee")
    make.MembershipFactory(project=project, user=owner)
    other = make.ProjectFactory(title="Lighthouse Books")
    make.MembershipFactory(project=other, user=owner)
    tree = make.tree(project, "sprint-42", "checkout-redesign", "vat-rounding", "search-facets")
    for branch in ("old-banner", "spike/graphql", "hotfix-1", "translations-de", "wishlist"):
        make.EnvironmentFactory(
            project=project, branch=branch, parent=tree["master"], status=Environment.Status.INACTIVE, title=branch
        )
    for branch, (number, hours) in {
        "production": (128, 49), "staging": (41, 2), "master": (203, 1), "sprint-42": (17, 1),
        "checkout-redesign": (2, 5), "vat-rounding": (3, 26), "search-facets": (6, 30),
    }.items():  # fmt: skip
        environment = tree[branch]
        deployment = make.ActivityFactory(
            environment=environment, actor=owner, age=hours * 3600, outcome=f"v{number} is live."
        )
        make.StepFactory(activity=deployment, name="build:store", note="reused")
        make.ReleaseFactory(
            environment=environment,
            number=number,
            activity=deployment,
            live_at=timezone.now() - timedelta(hours=hours),
        )
        make.ServiceFactory(environment=environment)
        make.ServiceFactory(environment=environment, name="cache", engine="redis", version="7.0", asked="redis:7.0")
    drifts = {
        "staging": (3, 0),
        "master": (6, 1),
        "sprint-42": (4, 0),
        "checkout-redesign": (12, 2),
        "vat-rounding": (1, 0),
    }
    for branch, (ahead, behind) in drifts.items():
        same = pair(tree[branch].head_commit, tree[branch].head_commit)
        Environment.objects.filter(pk=tree[branch].pk).update(ahead=ahead, behind=behind, drift_of=same)
    running = _running(tree["checkout-redesign"], tomas)
    waiting = make.ActivityFactory(
        environment=tree["checkout-redesign"], actor=owner, kind=Kind.REDEPLOY, state=State.PENDING, age=4
    )
    failed = _failed(tree["vat-rounding"], ilya)
    make.ActivityFactory(
        environment=tree["master"], actor=owner, age=1200, outcome="v203 is live, with the build of sprint-42.",
        parameters={"commits": COMMITS},
    )  # fmt: skip
    _answers(project, tree["production"])
    return Scene(project, owner, tree, running, failed, waiting, _crons(tree["staging"]))


def _answers(project: Project, production: Environment) -> None:
    """Routes, domains, certificates and HTTP access of Production."""
    url, www = "https://www.harbour.example/", "https://harbour.example/"
    routes = {
        url: {"type": "upstream", "upstream": "store", "primary": True, "original_url": "https://www.{default}/"},
        www: {"type": "redirect", "to": url, "original_url": "https://{default}/"},
        f"{url}api/": {"type": "proxy", "to": "https://api.example/", "original_url": "https://www.{default}/api/"},
    }
    partial = [
        {"path": "/old-shop", "to": "/shop", "code": 302, "regexp": False},
        {"path": "^/item/([0-9]+)$", "to": "/products/$1", "code": 301, "regexp": True},
    ]
    warning = ".platform/routes.yaml:4: https://www.{default}/.cache: This has no effect: answers are not cached here."
    kept = {"routes": routes, "redirects": {url: partial}, "route_warnings": [warning]}
    Release.objects.filter(environment=production).update(configuration=kept)
    for name in ("harbour.example", "www.harbour.example"):
        Domain.objects.create(project=project, name=name, is_default=name == "harbour.example")
    for number, days in enumerate((80, 9, -3)):
        Certificate.objects.create(
            project=project,
            names=["harbour.example", "*.harbour.example"],
            chain="",
            key="",
            issuer="CN=R11,O=Let's Encrypt,C=US",
            fingerprint=f"{number:064}",
            expires_at=timezone.now() + timedelta(days=days),
        )
    HttpAccess.objects.create(
        environment=production, rules=[[True, "192.0.2.0/24"], [False, "0.0.0.0/0"]], logins={"press": "x", "shop": "y"}
    )


def _steps(activity: Activity, states: list[StepState]) -> None:
    now = timezone.now()
    for position, (title, state) in enumerate(zip(STEPS, states, strict=True), 1):
        begun = state not in (StepState.PENDING, StepState.SKIPPED)
        done = begun and state != StepState.RUNNING
        make.StepFactory(
            activity=activity, position=position, title=title, state=state,
            note="reused" if title.startswith("Build") and done else "",
            started_at=now - timedelta(seconds=12) if begun else None,
            finished_at=now - timedelta(seconds=10.6) if done else None,
        )  # fmt: skip


def _running(environment: Environment, actor: User) -> Activity:
    activity = make.ActivityFactory(
        environment=environment, actor=actor, state=State.RUNNING, age=14, parameters={"commits": COMMITS},
        started_at=timezone.now() - timedelta(seconds=14),
    )  # fmt: skip
    done, pending = StepState.SUCCEEDED, StepState.PENDING
    _steps(activity, [done, done, done, StepState.RUNNING, pending, pending, pending])
    make.write_log(activity, LOG)
    return activity


CRONS = {
    "cleanup": {"spec": "H/15 * * * *", "commands": {"start": "php bin/store cleanup --older-than=2h"}, "timeout": 600},
    "reindex": {"spec": "30 2 * * 1-5", "commands": {"start": "php bin/store reindex"}, "timeout": 86400},
    "newsletter-to-everybody": {"spec": "0 9 1 * *", "commands": {"start": "php bin/store mail"}, "timeout": 86400},
}


def _crons(environment: Environment) -> CronRun:
    """Crons of every kind: one that runs, one that fails again and again, one that never ran. Returns a failed run."""
    apps = {"store": {"crons": CRONS, "workers": {"mail": {}}, "timezone": "Europe/Paris"}}
    Release.objects.filter(environment=environment).update(configuration={"apps": apps})
    now = timezone.now()
    running = {"outcome": "running", "ended_at": None, "code": None, "started_at": now - timedelta(seconds=9)}
    make.CronRunFactory(environment=environment, cron="cleanup", **running)
    for hours in range(1, 8):
        make.CronRunFactory(environment=environment, cron="cleanup", started_at=now - timedelta(hours=hours))
    for days in (3, 2, 1):
        failed: CronRun = make.CronRunFactory(
            environment=environment, cron="reindex", outcome="failed", code=255, by="Mara Okafor" if days == 1 else "",
            started_at=now - timedelta(days=days),
            output="\x1b[31mPHP Fatal error\x1b[0m:  Uncaught PDOException\n" * 9,
        )  # fmt: skip
    return failed


def _failed(environment: Environment, actor: User) -> Activity:
    activity = make.ActivityFactory(
        environment=environment, actor=actor, state=State.FAILED, age=720, fault=Fault.USER, error_id="hook-failed",
        outcome="The deploy hook of store ended with exit code 1.", parameters={"commits": COMMITS[1:]},
    )  # fmt: skip
    done, skipped = StepState.SUCCEEDED, StepState.SKIPPED
    _steps(activity, [done, done, done, StepState.FAILED, skipped, skipped, skipped])
    hook = '\x1b[31mSQLSTATE[42S22]: Column not found: 1054 Unknown column "vat_rate" in "field list"\x1b[0m'
    make.write_log(activity, LOG + f"\n{hook}\n  in migrations/0043_backfill_vat.php on line 31\nexit code 1\n")
    return activity


def long_names() -> Scene:
    """The same, where every name is as long as it may be and some of them are hostile."""
    scene = ordinary()
    Project.objects.filter(pk=scene.project.pk).update(
        title="A project whose name was never meant to be shown anywhere at all"[:80]
    )
    title = LONG + "-" + "x" * 80
    for key in ("sprint-42", "vat-rounding", "checkout-redesign"):
        Environment.objects.filter(pk=scene.environments[key].pk).update(title=title)
    User.objects.filter(pk=scene.owner.pk).update(name="Wolfeschlegelsteinhausenbergerdorff " * 3)
    hostile = {
        "sha": "e" * 40,
        "subject": "<script>alert(1)</script> \u202egnp.exe " + "w" * 300,
        "author": "<b>Eve</b>" * 20,
    }
    Activity.objects.filter(pk=scene.running.pk).update(parameters={"commits": [hostile, *COMMITS]})
    make.write_log(
        scene.running,
        "one long line " * 200
        + "\n</pre><img src=x onerror=alert(1)> \u202e\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\n",
    )
    return scene
