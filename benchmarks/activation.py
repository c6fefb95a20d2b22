"""Activation of the `store` starter with MariaDB and Redis.

    python -m benchmarks.activation

The first activation builds the store; it is printed and not counted. After it branches of the same commit are
activated, each with databases of its own, by the button and until the site answers. Also prints the steps.
"""

import statistics
import time

from benchmarks import scratch

ROUNDS = 3
AIM = 8.0


def measure(portal: scratch.Portal) -> None:
    began = time.perf_counter()
    project = portal.create_project("store")
    print(f"store: created and activated for the first time in {time.perf_counter() - began:.1f} s")
    taken, activities = [], []
    for number in range(ROUNDS):
        name = f"round-{number}"
        portal.post(f"/projects/{project}/environments/master/branch", parent="master", branch=name, title="")
        scratch.wait_for("the branch", lambda: portal.ended(project))
        began = time.perf_counter()
        activities.append(portal.operate(project, name, "activate"))
        portal.visitor(project, name).wait_for("Harbour Coffee")
        taken.append(time.perf_counter() - began)
    middle = statistics.median(taken)
    spread = ", ".join(f"{each:.2f}" for each in taken)
    print(f"store: activation {middle:.2f} s ({spread}; {scratch.verdict(middle, AIM, 's')})", flush=True)
    scratch.print_steps(portal, activities)


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
