from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and how it is mended."""

    found: str  # "master: v3 does not run"
    mended: str = ""  # what was done, once it was: "master: v3 was started again"; empty: not worth telling
    mend: Callable[[], object] | None = None  # safe to repeat; returns False when there was nothing to do any more.
    # None: only a person can mend it.


# Looks only. It may be asked for one finding after the other, with each mended before it looks for the next.
Check = Callable[[], Iterable[Finding]]
