"""Confinement: what a process that reads hostile media gives up, permanently, before it reads the first byte.

A decoder needs no files, since its parent passes it an opened one; no network; and few system calls. Everything else is taken
away: by a network namespace without any interface, by Landlock (no path can be opened, no signal leaves, nothing outside can be
traced), and by a seccomp filter that allows only what decoding needs. Each protection is applied if the kernel supports it. A
missing one is reported, and the program goes on.

The module imports only the standard library, since it is also run by path, as ``python -I -S confine.py SECONDS BYTES PROGRAM…``.
It then confines itself and becomes that program. Without arguments it prints the missing protections as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

Absent = dict[str, str]
"""Protections that the system did not grant: name -> why."""

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""The files that a program reads to start, besides itself."""

_NETWORK, _PRIVILEGES, _LANDLOCK, SECCOMP = "a network namespace", "dropped privileges", "Landlock", "seccomp"
REMEDIES = {
    _NETWORK: "Allow user namespaces (sysctl user.max_user_namespaces, the container's seccomp profile, AppArmor).",
    _PRIVILEGES: "Run Sensorium on Linux for this.",
    _LANDLOCK: "Linux 5.13 or newer has it: `landlock` must stand in the kernel's `lsm=` list.",
    SECCOMP: "Run Sensorium on Linux for x86_64 or aarch64 for this.",
}
"""Protections -> what to do if one is missing."""

_NEW_USER, _NEW_NET, _THREAD = 0x10000000, 0x40000000, 0x00010000
"""Flags of ``unshare`` and ``clone``."""
_NO_NEW_PRIVS = 38
_CAPABILITIES = 0x20080522
"""Version of the structure that ``capset`` takes."""

_FILES = ((1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (5, 0xFFFF))
"""All of Landlock's rights on files, by the version of its interface."""
_TCP, _SCOPES = 0b11, 0b11
"""Landlock: binding and connecting (version 4); abstract sockets and signals (version 6)."""
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Landlock's system calls have the same numbers everywhere."""

_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
"""Machine -> column of the tables below, its name in a filter, the number of ``seccomp``."""
_DECODING: Mapping[str, tuple[int | None, ...]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "newfstatat": (262, 79), "lseek": (8, 62), "dup": (32, 23),
    "pread64": (17, 67), "preadv": (295, 69), "readv": (19, 65), "writev": (20, 66), "poll": (7, None), "ppoll": (271, 73),
    "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "madvise": (28, 233),
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "membarrier": (324, 283), "sched_yield": (24, 124),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "times": (100, 153), "getrusage": (98, 165), "getrandom": (318, 278), "getcpu": (309, 168),
    "getpid": (39, 172), "gettid": (186, 178), "sched_getaffinity": (204, 123), "sysinfo": (99, 179), "uname": (63, 160),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
"""System calls that decoding needs: name -> (x86_64, aarch64)."""
_RUNNING: Mapping[str, tuple[int | None, ...]] = {
    "execve": (59, 221), "open": (2, None), "openat": (257, 56), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "stat": (4, None), "lstat": (6, None), "statx": (332, 291), "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
    "getdents64": (217, 61), "ioctl": (16, 29), "dup2": (33, None), "dup3": (292, 24), "pipe2": (293, 59), "eventfd2": (290, 19),
    "select": (23, None), "pselect6": (270, 72), "arch_prctl": (158, None), "prctl": (157, 167), "set_tid_address": (218, 96),
    "prlimit64": (302, 261), "getrlimit": (97, 163), "rt_sigaction": (13, 134), "mincore": (27, 232), "mlock": (149, 228),
    "sched_setaffinity": (203, 122), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getppid": (110, 173),
}  # fmt: skip
"""Further system calls for starting and running a program. Landlock limits what it may open and execute."""
_CLONE, _CLONE3, _FCNTL, _TGKILL = (56, 220), (435, 435), (72, 25), (234, 131)
_DUPLICATING = (0, 1, 2, 3, 4, 1030)
"""Commands of ``fcntl`` that copy a descriptor or ask for its flags. F_SETOWN would be a way to send signals."""

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
"""Instructions of a filter: load a word of the call, compare it, answer."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


def limit(**limits: int) -> None:
    """Lower limits of this process: ``limit(AS=1 << 30)`` sets RLIMIT_AS. Limits that the system does not support stay unchanged."""
    try:
        import resource
    except ImportError:
        return
    for name, most in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses it
            _, hard = resource.getrlimit(kind)
            lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (lowered, lowered))


def isolate(readable: Iterable[str] = ()) -> Absent:
    """Give up network, files and privileges. Only ``readable`` files and folders can still be read and executed.

    Call it before the process starts a thread; later threads inherit the isolation.
    """
    return _all({_NETWORK: _no_network, _PRIVILEGES: _no_privileges, _LANDLOCK: lambda: _no_files(readable)})


def restrict_calls(*, threads: bool = False, program: bool = False) -> Absent:
    """Give up, in all threads, every system call that decoding does not need.

    ``threads``: new threads may be started. ``program``: the process may replace itself with another program.
    """
    return _all({SECCOMP: lambda: _filter_calls(threads=threads or program, program=program)})


def absent() -> Absent:
    """The protections that the system does not grant, found by trying them in a process."""
    tried = subprocess.run([sys.executable, "-I", "-S", __file__], stdout=subprocess.PIPE, check=True)  # noqa: S603
    answer: Absent = json.loads(tried.stdout)
    return answer


def _all(steps: Mapping[str, Callable[[], None]]) -> Absent:
    absent: Absent = {}
    for name, step in steps.items():
        try:
            step()
        except (OSError, AttributeError) as error:  # AttributeError: a C library without that function
            absent[name] = getattr(error, "strerror", None) or f"not on {platform.system()}, {platform.machine()}"
    return absent


def _no_network() -> None:
    """Give up the network. A user namespace allows a network namespace and keeps the owners of files."""
    _checked(_libc().unshare(_NEW_USER | _NEW_NET))


def _no_privileges() -> None:
    """Give up privileges: executed programs gain none, and root has no special rights."""
    libc = _libc()
    _checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.capset(struct.pack("=Ii", _CAPABILITIES, 0), bytes(24)))


def _no_files(readable: Iterable[str]) -> None:
    libc = _libc()
    version = _checked(libc.syscall(_CREATE_RULESET, None, 0, 1))
    files = next(rights for since, rights in reversed(_FILES) if since <= version)
    rules = struct.pack("=QQQ", files, _TCP, _SCOPES)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _checked(libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0))
    try:
        for path in readable:
            with contextlib.suppress(FileNotFoundError):
                _allow(libc, ruleset, path)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _EXECUTE | _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)
        _checked(libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0))
    finally:
        os.close(place)


def _filter_calls(*, threads: bool, program: bool) -> None:
    column, machine, seccomp = _MACHINES.get(platform.machine(), (0, 0, 0))
    if not machine or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no table of system calls for {platform.machine()}")
    steps = [_step(_LOAD, 4), _step(_EQUAL, machine, 1, 0), _step(_RETURN, _REFUSE | errno.EPERM), _step(_LOAD, 0)]
    for numbers in (*_DECODING.values(), *(_RUNNING.values() if program else ())):
        if (number := numbers[column]) is not None:
            steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    steps += _only(_FCNTL[column], 1, [_step(_EQUAL, command, 0, 1) for command in _DUPLICATING])
    steps += _only(_TGKILL[column], 0, [_step(_EQUAL, os.getpid(), 0, 1)])  # how a process aborts
    if threads:
        steps += _only(_CLONE[column], 0, [_step(_ANY_BIT, _THREAD, 0, 1)])
    steps += [_step(_EQUAL, _CLONE3[column], 0, 1), _step(_RETURN, _REFUSE | errno.ENOSYS)]  # C libraries then use clone
    steps.append(_step(_RETURN, _REFUSE | errno.EPERM))
    code = b"".join(steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HP", len(steps), ctypes.addressof(buffer))
    _checked(_libc().syscall(seccomp, 1, 1, filter_))  # a filter, for all threads


def _only(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """Allow a call only if one of the tests on the lower half of an argument holds."""
    tested = [step for test in tests for step in (test, _step(_RETURN, _ALLOW))]
    body = [_step(_LOAD, 16 + 8 * argument), *tested, _step(_RETURN, _REFUSE | errno.EPERM)]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One filter instruction. ``then`` and ``otherwise``: how many instructions to skip, depending on the comparison."""
    return struct.pack("=HBBI", code, then, otherwise, value)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def main() -> None:
    """Confine this process and become the program in the arguments. Without arguments, print the missing protections."""
    if len(sys.argv) < 2:
        print(json.dumps(isolate() | restrict_calls()))
        return
    seconds, memory, *command = sys.argv[1:]
    isolate((command[0], *LIBRARIES))
    limit(CORE=0, FSIZE=0, NOFILE=64, CPU=int(seconds), AS=int(memory))
    restrict_calls(program=True)
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
