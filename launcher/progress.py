"""Progress for the person at the terminal: one line per thing, with the seconds since the start."""

import sys
import time

_started = time.monotonic()


def line(text: str) -> None:
    print(f"{time.monotonic() - _started:6.1f} s  {text}", flush=True)


def plain(text: str = "") -> None:
    print(text, flush=True)


def error(text: str) -> None:
    print(f"slipway: {text}", file=sys.stderr, flush=True)
