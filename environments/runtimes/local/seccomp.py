"""The system calls a sandboxed program may not make, as a classic BPF program for `bwrap --seccomp`.

An allow-list would break some user's program; what is refused here is what reaches into the kernel, other processes or
other namespaces and that no web app, worker, build tool or database needs.
"""

import errno
import platform
import struct

# (x86_64, aarch64) numbers; None where the call does not exist. From the kernel's system call tables.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "uselib": (134, None),
    "personality": (135, 92),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "iopl": (172, None),
    "ioperm": (173, None),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "clock_settime": (227, 112),
    "mbind": (237, 235),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "unshare": (272, 97),
    "vmsplice": (278, 75),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_IOCTL = (16, 29)
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: typing into somebody's terminal
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000  # x86_64's second table of calls

_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24  # offsets in struct seccomp_data; little-endian low words
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def program(machine: str | None = None) -> bytes:
    """The filter for this machine; empty where its system calls are not known here (bwrap's other walls remain)."""
    found = _ARCHITECTURES.get(machine or platform.machine())
    if found is None:
        return b""
    column, architecture = found
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, absent),
        # Its flags lie behind a pointer where no filter can look; without it, libraries use clone.
        *_when(_CLONE3[column], (_RETURN, 0, 0, absent)),
        *_when(_CLONE[column], (_LOAD, 0, 0, _ARG0), (_BITS, 0, 1, _NEW_NAMESPACES), (_RETURN, 0, 0, refuse)),
        *_when(_IOCTL[column], (_LOAD, 0, 0, _ARG1), *_one_of(_TERMINAL_INPUT, refuse)),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


_Instruction = tuple[int, int, int, int]


def _when(number: int, *body: _Instruction) -> list[_Instruction]:
    """`body` for one system call; whatever it leaves in the accumulator is replaced by the number again."""
    return [(_EQUAL, 0, len(body), number), *body, (_LOAD, 0, 0, _NUMBER)]


def _one_of(values: tuple[int, ...], answer: int) -> list[_Instruction]:
    return [part for value in values for part in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, answer))]
