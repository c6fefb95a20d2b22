"""The command line of ./slipway."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from launcher import checks, commands, home, progress
from launcher.errors import Refused

INTERRUPTED = 130
_EPILOG = """\
environment variables:
  SLIPWAY_HOME         folder of all state (default: ./var)
  SLIPWAY_PORT         public HTTP port (default: 8000)
  SLIPWAY_SSH_PORT     SSH port (default: 2222)
  SLIPWAY_BASE_DOMAIN  domain of the portal and of all sites (default: localhost)
  SLIPWAY_HTTPS_PORT   a port at which the edge itself speaks TLS, see docs/operating.md
  SLIPWAY_TRUSTED_PROXIES  addresses of proxies in front, see docs/operating.md
  DATABASE_URL         PostgreSQL instead of the embedded SQLite
  REDIS_URL            a Redis elsewhere instead of an own one
All but SLIPWAY_HOME are remembered in it from the last start.
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="slipway",
        description="A portal for teams that ship from Git.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (("demo", "set up, start, and load the demo project"), ("up", "set up and start")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--detach", action="store_true", help="return when everything answers")
    verbs.add_parser("stop", help="stop every process of this home")
    verbs.add_parser("status", help="what runs (exit code 1: a part is down, 3: nothing runs)")
    verb = verbs.add_parser("logs", help="the end of the logs")
    verb.add_argument("process", nargs="?", help="redis, web, worker, ssh, edge, supervisord or setup; default: all")
    verb.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    verb.add_argument("-n", "--lines", type=_count, default=40, help="how many lines (default: 40)")
    for name, text in (
        ("manage", "run manage.py"),
        ("test", "run every check and test, or pytest with arguments"),
    ):
        verb = verbs.add_parser(name, help=text, add_help=False, prefix_chars="\0")
        verb.add_argument("arguments", nargs=argparse.REMAINDER)
    return top


def main(arguments: Sequence[str], checkout: Path) -> int:
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _dispatch(given, checkout)
    except Refused as refusal:
        progress.error(str(refusal))
        return 1
    except KeyboardInterrupt:
        progress.error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as with `| head`; say nothing more to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        progress.error(_explain(error))
        return 1


def _dispatch(given: argparse.Namespace, checkout: Path) -> int:
    requested = home.requested_home(dict(os.environ), checkout)
    match given.command:
        case "up" | "demo":
            return commands.up(checkout, requested, detach=given.detach, demo=given.command == "demo")
        case "stop":
            return commands.stop(requested)
        case "status":
            return commands.status(requested)
        case "logs":
            return commands.logs(requested, given.process, follow=given.follow, lines=given.lines)
        case "manage":
            return commands.manage(checkout, requested, given.arguments)
        case _:
            return checks.run(checkout, requested, given.arguments)


def _explain(error: OSError) -> str:
    place = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk of {place}; free some and run the command again"
    if error.errno == errno.EROFS:
        return f"{place} is on a read-only file system; set SLIPWAY_HOME to a writable folder"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{place} may not be used by this user; run the command as the user that started Slipway, or as root"
    return f"{place}: {error.strerror or error}"


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
