"""Pseudo-terminals for people's programs: size, modes (RFC 4254, section 8), and whom a signal goes to."""

import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from environments import process

END_OF_INPUT = b"\x04"  # what a terminal is given where a pipe would be closed
_LARGEST = 0xFFFF

# opcode -> index in the control characters
_CHARACTERS = {
    1: termios.VINTR,
    2: termios.VQUIT,
    3: termios.VERASE,
    4: termios.VKILL,
    5: termios.VEOF,
    6: termios.VEOL,
    7: termios.VEOL2,
    8: termios.VSTART,
    9: termios.VSTOP,
    10: termios.VSUSP,
    12: termios.VREPRINT,
    13: termios.VWERASE,
    14: termios.VLNEXT,
}
_INPUT, _OUTPUT, _LOCAL = 0, 1, 3
_IUTF8 = 0x4000
# opcode -> (which of the flag words, flag)
_FLAGS = {
    34: (_INPUT, termios.ISTRIP),
    35: (_INPUT, termios.INLCR),
    36: (_INPUT, termios.ICRNL),
    37: (_INPUT, termios.IGNCR),
    38: (_INPUT, termios.IXON),
    39: (_INPUT, termios.IXANY),
    40: (_INPUT, termios.IXOFF),
    41: (_INPUT, termios.IMAXBEL),
    42: (_INPUT, _IUTF8),
    50: (_LOCAL, termios.ISIG),
    51: (_LOCAL, termios.ICANON),
    53: (_LOCAL, termios.ECHO),
    54: (_LOCAL, termios.ECHOE),
    55: (_LOCAL, termios.ECHOK),
    56: (_LOCAL, termios.ECHONL),
    57: (_LOCAL, termios.NOFLSH),
    58: (_LOCAL, termios.TOSTOP),
    59: (_LOCAL, termios.IEXTEN),
    60: (_LOCAL, termios.ECHOCTL),
    61: (_LOCAL, termios.ECHOKE),
    70: (_OUTPUT, termios.OPOST),
    72: (_OUTPUT, termios.ONLCR),
}

Size = tuple[int, int, int, int]  # columns, rows, and the same in pixels


@dataclass
class Terminal:
    """What the client has asked for; `open` makes it."""

    name: str
    size: Size
    modes: Mapping[int, int]
    master: int = -1

    def open(self) -> tuple[int, int]:
        """(ours, theirs)."""
        self.master, theirs = os.openpty()
        self.resize(self.size)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(theirs, termios.TCSANOW, _with_modes(termios.tcgetattr(theirs), self.modes))
        return self.master, theirs

    def resize(self, size: Size) -> None:
        self.size = size
        columns, rows, width, height = (min(max(0, number), _LARGEST) for number in size)
        if self.master >= 0:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    def signal(self, number: signal.Signals) -> bool:
        """Send it to whatever is in the foreground. False when nothing is."""
        with contextlib.suppress(OSError):
            group = os.tcgetpgrp(self.master)
            if group > 0:
                process.kill_group(group, number)
                return True
        return False


def _with_modes(attributes: list[Any], modes: Mapping[int, int]) -> list[Any]:
    characters = attributes[6]
    for opcode, value in modes.items():
        if opcode in _CHARACTERS and 0 <= value < 256:
            characters[_CHARACTERS[opcode]] = b"\0" if value == 255 else bytes([value])
        elif opcode in _FLAGS:
            word, flag = _FLAGS[opcode]
            attributes[word] = attributes[word] | flag if value else attributes[word] & ~flag
    return attributes
