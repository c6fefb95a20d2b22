"""Runs the benchmarks, all or those that are named, against one scratch instance, one after the other.

    python -m benchmarks.run [name ...]

Names: memory, activation, second_build, push_to_live, log_latency, wake, and by themselves git_ssh, pages, visitors,
data.
"""

import subprocess
import sys

from benchmarks import activation, log_latency, memory, push_to_live, scratch, second_build, wake

ON_AN_INSTANCE = {
    "memory": memory.measure,  # first: nothing has happened yet
    "activation": activation.measure,
    "second_build": second_build.measure,
    "push_to_live": push_to_live.measure,
    "log_latency": log_latency.measure,
    "wake": wake.measure,
}
ALONE = ("git_ssh", "pages", "visitors", "data")


def main() -> None:
    parser = scratch.arguments(__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="which ones; all when none is named")
    given = parser.parse_args()
    names = given.names or [*ON_AN_INSTANCE, *ALONE]
    unknown = set(names) - {*ON_AN_INSTANCE, *ALONE}
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    chosen = [measure for name, measure in ON_AN_INSTANCE.items() if name in names]
    if chosen:
        with scratch.portal() as portal:
            for measure in chosen:
                measure(portal)
            if len(chosen) > 1 and memory.measure in chosen:
                memory.show(portal, "memory, after the other benchmarks")
    for name in ALONE:
        if name in names:
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
