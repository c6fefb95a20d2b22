"""A push, an activation, a redeployment: check, build, provide services, start beside, hooks, probe, switch, drain."""

import shutil
from functools import partial

from django.conf import settings
from django.db.models.functions import Now

from deployments.enums import Kind
from deployments.models import Activity, Health, Release
from deployments.pipeline import building, copying, deactivate, disks, pause, provisioning, quieting, releasing, specs
from deployments.pipeline.context import FAINT, PLAIN, YELLOW, Context, Part, Procedure
from deployments.pipeline.deployment import Deployment
from deployments.pipeline.failures import Failure
from environments import names
from environments.backing import fitness
from environments.manifest import ManifestError
from environments.models import Environment, Host
from environments.runtimes.base import Runtime


def parts(context: Context) -> list[Part]:
    deployment = context.keep(Deployment)
    check = Part("check", "Check configuration", partial(_check, deployment=deployment))
    if not _deploys(context):
        return [check]
    if not deployment.checked:
        build = [Part("build", "Build", _nothing)]
        return [check, *build, *_release_parts(deployment)]
    apps = deployment.manifest.apps
    planned = [check]
    for app in apps:
        run = partial(building.build, deployment=deployment, app=app)
        planned.append(Part(f"build:{app.name}", f"Build {app.name}", run))
    source = copying.source_of(context.activity)
    if source is not None:
        title = f"Copy data of {source.title}"
        planned.append(Part("data", title[:120], partial(copying.copy, deployment=deployment, source=source)))
    if deployment.manifest.services or source is not None or context.activity.kind == Kind.RESTORE:
        planned.append(Part("services", "Provide services", partial(provisioning.provision, deployment=deployment)))
    return planned + _release_parts(deployment)


def _release_parts(deployment: Deployment) -> list[Part]:
    apps = deployment.manifest.apps if deployment.checked else ()
    deploying = [app for app in apps if app.hooks.deploy]
    following = [app for app in apps if app.hooks.post_deploy]
    serving = deployment.replaces
    start = partial(releasing.start, deployment=deployment)
    quiet = partial(releasing.quiet, deployment=deployment)
    planned = [Part("crons", "Pause crons", quiet)] if deployment.quiets else []
    planned.append(Part("start", f"Start release v{deployment.number}", start))
    for app in deploying:
        title = "Deploy hook" if len(apps) == 1 else f"Deploy hook of {app.name}"
        run = partial(releasing.deploy_hook, deployment=deployment, app=app)
        planned.append(Part(f"deploy_hook:{app.name}", title, run))
    planned += [
        Part("probe", "Probe", partial(releasing.probe, deployment=deployment)),
        Part("switch", "Switch traffic", partial(releasing.switch, deployment=deployment), cancellable=False),
        Part(
            "drain",
            f"Drain v{serving}" if serving else "Tidy up",
            partial(releasing.drain, deployment=deployment),
            cancellable=False,
        ),
    ]
    for app in following:
        title = "Post-deploy" if len(apps) == 1 else f"Post-deploy of {app.name}"
        run = partial(releasing.post_deploy_hook, deployment=deployment, app=app)
        planned.append(Part(f"post_deploy:{app.name}", title, run, cancellable=False))
    return planned


def _deploys(context: Context) -> bool:
    return context.activity.kind in (Kind.ACTIVATE, Kind.RESTORE) or context.environment.is_active


def _nothing(context: Context) -> str | None:
    """Stands in the plan for what the configuration will say."""
    return None


def _check(context: Context, deployment: Deployment) -> str | None:
    commit, environment = deployment.commit, context.environment
    _introduce(context, deployment)
    manifest = deployment.manifest
    if _deploys(context):
        disks.check_host()
        _warn_of_disks(context)
    errors, warnings = fitness.examine(manifest, context.runtime)
    if errors:
        raise ManifestError(errors)
    for problem in [*manifest.warnings, *warnings]:
        context.log.line(f"{YELLOW}warning: {problem}{PLAIN}")
    for host in deployment.unreachable:
        context.log.line(f"{YELLOW}warning: {host}{PLAIN}")
    _check_hosts(environment, deployment)
    if not _deploys(context):
        context.outcome = f"{environment.title} is inactive: there is nothing to deploy. Activate it to see it run."
        return None
    deployment.hide_secrets()
    deployment.checked = True
    context.log.line(f"{FAINT}{commit.sha[:7]} {commit.subject} ({commit.author}){PLAIN}")
    return None


def _warn_of_disks(context: Context) -> None:
    row = Health.objects.filter(environment=context.environment).first()
    for volume in row.full(disks.WARN) if row else ():
        share = f"{100 * volume['bytes'] / volume['limit']:.0f} %"
        words = (
            f"warning: {volume['name']} uses {share} of its disk. Free some, or give it more by `disk` in the files."
        )
        context.log.line(f"{YELLOW}{words}{PLAIN}")


def _check_hosts(environment: Environment, deployment: Deployment) -> None:
    for host in [*deployment.hosts, *(route.host for route in deployment.routes)]:
        own = host == environment.host or host.endswith(f".{environment.host}")
        if not own and names.is_reserved(host, settings.BASE_DOMAIN):
            raise Failure("host-reserved", f"The host {host} of a route belongs to Slipway or another environment.")
    taken = Host.objects.filter(name__in=deployment.hosts).exclude(environment=environment).first()
    if taken is not None:
        raise Failure("host-taken", f"The host {taken.name} of a route is served for another environment already.")


def _introduce(context: Context, deployment: Deployment) -> None:
    commits = context.activity.parameters.get("commits") or []
    if commits or context.activity.kind == Kind.PUSH:
        context.log.line(f"Found {len(commits)} new commit{'' if len(commits) == 1 else 's'}")
    if context.activity.kind == Kind.ACTIVATE:
        context.log.line(f"Activating environment {context.environment.name}")
    elif context.activity.kind == Kind.REDEPLOY:
        context.log.line(f"Redeploying environment {context.environment.name}")


def resumes(activity: Activity) -> bool:
    """Once its release was put live, the steps that are left are run: there is no way back."""
    return Release.objects.filter(activity=activity, live_at__isnull=False).exists()


def undo(activity: Activity, runtime: Runtime) -> None:
    environment = activity.environment
    shutil.rmtree(settings.HOME.build(activity.pk), ignore_errors=True)
    if environment is not None:
        quieting.wake(environment, runtime)
    if environment is None or resumes(activity):
        return
    for release in Release.objects.filter(activity=activity, state=Release.State.STARTING):
        runtime.stop(specs.place_of(environment), release.number)
        Release.objects.filter(pk=release.pk).update(state=Release.State.FAILED, retired_at=Now())
    environment.refresh_from_db(fields=["status", "paused_at"])
    if environment.is_paused:  # its services were started for this
        pause.stop_services(environment, runtime)
    if activity.kind in (Kind.ACTIVATE, Kind.RESTORE) and not environment.is_active:
        deactivate.remove_all(environment, runtime)


PROCEDURE = Procedure(parts=parts, resumes=resumes, undo=undo)
