"""The build step for a tree that was built before.

    python -m benchmarks.second_build

Redeploys the python starter, whose first build installs packages, and then pushes its very tree as new branches:
an empty commit each, activated at once. Prints the build step's time beside that of the first build.
"""

import statistics

from benchmarks import scratch

ROUNDS = 5
AIM = 0.5


def measure(portal: scratch.Portal) -> None:
    project = portal.create_project("python")
    first = build_seconds(portal, portal.activities(project)[-1]["id"])
    redeployed = [portal.operate(project, "master", "redeploy") for _ in range(ROUNDS)]
    show(portal, "redeployment", redeployed, first)
    work = portal.instance.clone(project, "second-build", who=scratch.OWNER)
    for number in range(2):
        portal.instance.git("commit", "-q", "--allow-empty", "-m", "Nothing new", cwd=work, who=scratch.OWNER)
        active = ("-o", "environment.status=active")
        portal.instance.git("push", "-q", *active, "origin", f"HEAD:again-{number}", cwd=work, who=scratch.OWNER)
    pushed = [row["id"] for row in portal.activities(project)[-2:]]
    show(portal, "branch of the same tree", pushed, first)


def show(portal: scratch.Portal, what: str, activities: list[str], first: float) -> None:
    middle = statistics.median(build_seconds(portal, activity) for activity in activities)
    print(f"second build, {what}: {middle:.3f} s after {first:.1f} s the first time ", end="")
    print(f"({scratch.verdict(middle, AIM, 's')})", flush=True)
    scratch.print_steps(portal, activities)


def build_seconds(portal: scratch.Portal, activity: str) -> float:
    steps = [step for step in portal.steps(activity) if step["name"].startswith("build")]
    if not steps or any(step["state"] != "succeeded" for step in steps):
        raise SystemExit(f"activity {activity} did not build: {portal.activities}")
    return sum(scratch.seconds(step) for step in steps)


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
