"""How long the first visitor of a paused environment waits: the `store` starter with MariaDB and Redis.

    python -m benchmarks.wake

From the visitor's request, which wakes it, to the site's answer; and beside it a request to the site when it is awake.
"""

import statistics
import time

from benchmarks import scratch

ROUNDS = 5
AIM = 5.0


def measure(portal: scratch.Portal) -> None:
    project = portal.create_project("store")
    visitor = portal.visitor(project)
    visitor.wait_for("Harbour Coffee")
    awake, asleep = [], []
    activities = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        visitor.get()
        awake.append(time.perf_counter() - began)
        portal.operate(project, "master", "pause")
        began = time.perf_counter()
        asleep.append(visitor.wait_for("Harbour Coffee") - began)
        scratch.wait_for("the end of waking", lambda: portal.ended(project))
        activities.append(portal.activities(project)[-1]["id"])
    middle = statistics.median(asleep)
    spread = ", ".join(f"{each:.2f}" for each in asleep)
    usual = statistics.median(awake) * 1000
    print(f"wake: {middle:.2f} s ({spread}; {scratch.verdict(middle, AIM, 's')}); awake, a page takes {usual:.0f} ms")
    scratch.print_steps(portal, activities)


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
