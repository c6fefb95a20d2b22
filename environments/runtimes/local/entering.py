"""What a person's own sandbox beside a program has besides: bash, a prompt, or the server of SFTP."""

import os
import shlex
from collections.abc import Mapping

from environments.runtimes.base import Entry, RuntimeFailure
from environments.runtimes.local import toolbox

_COMMAND = "/run/slipway/command"
_RC = "/run/slipway/bashrc"
_SFTP = "/usr/lib/openssh/sftp-server"
_HISTORY = "/tmp/.history"  # noqa: S108 - the sandbox's own
# A session of its own with the terminal: what is typed there signals the programs inside and nothing around them.
_WITH_TERMINAL = "/usr/bin/setsid --ctty "


def environment(entry: Entry) -> Mapping[str, str]:
    # The app's folder, where these programs would keep their histories, is read-only.
    found = {"SHELL": "/bin/bash", "LOGNAME": "web", "LESSHISTFILE": "-"}
    found |= {"MYSQL_HISTFILE": f"{_HISTORY}-mysql", "PSQL_HISTORY": f"{_HISTORY}-psql"}
    return found | ({"TERM": entry.terminal} if entry.terminal else {})


def files(entry: Entry) -> dict[str, str]:
    """Files laid into the sandbox. A command lies in one of them: an argument could be read by everybody."""
    script = f"exec {_WITH_TERMINAL if entry.terminal else ''}{_program(entry)}"
    found = toolbox.with_script({_RC: _rc(entry)}, script)
    return found | ({_COMMAND: entry.command} if entry.command is not None else {})


def _program(entry: Entry) -> str:
    if entry.files:
        if not os.access(_SFTP, os.X_OK):
            message = (
                "SFTP is not installed on this host. Use scp -O or rsync, or ask who runs it for openssh-sftp-server."
            )
            raise RuntimeFailure("runtime-sftp", message, by_user=False)
        return _SFTP
    if entry.command is not None:
        return f"/bin/bash {_COMMAND}"
    return f"/bin/bash --rcfile {_RC} -i" if entry.terminal else "/bin/bash"


def _rc(entry: Entry) -> str:
    lines = [
        f"PS1={shlex.quote(entry.prompt or '$ ')}",
        f"HISTFILE={_HISTORY}-bash",
        "alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'",
        "shopt -s checkwinsize",
        "if [ -f ~/.bashrc ]; then . ~/.bashrc; fi",
    ]
    return "\n".join(lines) + "\n"
