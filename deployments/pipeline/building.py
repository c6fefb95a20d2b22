"""The build step of an app: reuse the slug when there is one, else build it in a folder of its own and move it in."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from deployments.pipeline.context import GREEN, Context
from deployments.pipeline.deployment import Deployment
from environments import repositories, variables
from environments.manifest import App
from environments.runtimes.base import BuildSpec

_WAIT = 0.05  # seconds between two looks at a build that somebody else does


def build(context: Context, deployment: Deployment, app: App) -> str | None:
    slug_id, tree = deployment.slugs[app.name], deployment.trees[app.name]
    slug = settings.HOME.slug(context.project.pk, slug_id)
    context.heading(f"Building application {app.name}", f"({app.type}, tree {tree[:7]})")
    if slug.is_dir():
        return _reused(context, slug)
    with _lock(context, slug):
        if slug.is_dir():
            return _reused(context, slug)
        work = deployment.workspace / app.name
        shutil.rmtree(work, ignore_errors=True)
        repositories.export(deployment.repository, deployment.commit.sha, app.source_root, work)
        cache = settings.HOME.build_cache(context.project.pk, app.name)
        cache.mkdir(parents=True, exist_ok=True)
        spec = BuildSpec(
            activity_id=context.activity.pk,
            project_id=context.project.pk,
            app=variables.with_php(app, [each for each in deployment.variables if each.visible_build]),
            tree=work,
            cache=cache,
            env=variables.build_environment(
                project=context.project,
                app=app,
                tree_id=tree,
                variables=deployment.variables,
                flavour=deployment.manifest.flavour,
            ),
        )
        context.runtime.build(spec, context.watch(total=settings.BUILD_TIMEOUT))
        context.check()
        work.rename(slug)
    shutil.rmtree(deployment.workspace, ignore_errors=True)
    return None


def _reused(context: Context, slug: Path) -> str:
    os.utime(slug)  # the reconciler removes those that nobody used for long
    context.say("Reusing existing build for this tree", GREEN)
    return "reused"


@contextmanager
def _lock(context: Context, slug: Path) -> Iterator[None]:
    """Held while the slug is built: an activity that needs the same one waits for it. The kernel lets go of it when its
    holder dies."""
    slug.parent.mkdir(parents=True, exist_ok=True)
    path = slug.parent / f".{slug.name}.lock"
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, descriptor):
                break
        except BlockingIOError:
            if not told:
                context.say("Another activity builds the same; waiting for it")
                told = True
        os.close(descriptor)
        context.check()
        time.sleep(_WAIT)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether the path still names the open file: whoever held the lock before removed it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
