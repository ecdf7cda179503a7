"""A decoder that has been taken over: as ``search.media.sandbox.child``, but what it "decodes" is an attack that the file names.

The file holds JSON, ``{"attack": name, "with": [argument…]}``. What an attack reports comes back as a text: "refused: …"
where the system did not let it, else what it could do.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from search.media.sandbox import child, protocol
from search.media.sandbox.slots import SLOT_BYTES
from search.types import Channel, Cut, Info, Modality, Span

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> str:
    """A system call of x86_64 by its number."""
    answer = libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"system call {number} gave {answer}"


def read(path: str) -> str:
    return os.read(os.open(path, os.O_RDONLY), 99).decode("latin-1")


def write(path: str) -> str:
    return f"opened {os.open(path, os.O_WRONLY | os.O_CREAT)}"


def reopen(_: str) -> str:
    """The archive's file once more, now to write."""
    return f"opened {os.open(f'/proc/self/fd/{descriptor()}', os.O_RDWR)}"


def change_mode(_: str) -> str:
    os.fchmod(descriptor(), 0o777)
    return "changed the file's mode"


def change_time(_: str) -> str:
    os.utime(descriptor(), (0, 0))
    return "changed the file's time"


def shorten(_: str) -> str:
    os.ftruncate(descriptor(), 0)
    return "cut the file"


def shrink(_: str) -> str:
    """The shared memory: whoever reads where it was would die."""
    os.ftruncate(int(sys.argv[2]), 0)
    return "cut the shared memory"


def descriptor() -> int:
    return current.file.fileno()


def connect(port: str) -> str:
    socket.create_connection(("127.0.0.1", int(port)), 1).close()
    return "connected"


def send(port: str) -> str:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(port)))
    return "sent"


def sockets(family: str) -> str:
    return f"made {socket.socket(getattr(socket, family), socket.SOCK_RAW if family == 'AF_NETLINK' else socket.SOCK_STREAM)}"


def fork(_: str) -> str:
    if os.fork() == 0:
        os._exit(0)
    return "forked"


def start_thread(_: str) -> str:
    try:
        threading.Thread(target=time.sleep, args=(0,)).start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return "started a thread"


def execute(path: str) -> str:
    return f"ran {subprocess.run([path], check=False)}"


def become(path: str) -> str:
    os.execv(path, [path])
    return "never"


def trace(pid: str) -> str:
    if libc.ptrace(16, int(pid), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "attached"


def kill(pid: str) -> str:
    os.kill(int(pid), signal.SIGCONT)
    return "signalled"


def peek(pid: str) -> str:
    buffer = ctypes.create_string_buffer(8)
    there = struct.pack("QQ", ctypes.addressof(buffer), 8)
    return call(310, ctypes.c_long(int(pid)), there, 1, there, 1, 0)


def own(pid: str) -> str:
    """Have the kernel send signals to somebody else when something can be read."""
    fcntl.fcntl(0, fcntl.F_SETOWN, int(pid))
    return "owned"


def raise_limits(_: str) -> str:
    """Even to set them as they are is refused."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU))
    except ValueError as error:
        raise OSError(str(error)) from error
    return "raised"


def eat(_: str) -> str:
    """Four gigabytes."""
    try:
        held = mmap.mmap(-1, 4 << 30)
    except (OSError, MemoryError) as error:
        raise OSError(str(error)) from error
    return f"held {len(held)}"


def spin(_: str) -> str:
    while True:
        pass


def abort(_: str) -> str:
    os.abort()


def hang_up(_: str) -> str:
    """Let go of everything, and live on."""
    os.closerange(0, 32)
    time.sleep(600)
    return "never"


def flood(_: str) -> str:
    """Complain without end."""
    while True:
        os.write(2, b"x" * 65536)


def number(value: str) -> str:
    return call(int(value), *[ctypes.c_long(0)] * 6)


def environment(_: str) -> str:
    return json.dumps(dict(os.environ))


ATTACKS: dict[str, Callable[[str], str]] = {
    one.__name__: one
    for one in (
        read, write, reopen, change_mode, change_time, shorten, shrink, connect, send, sockets, fork, start_thread, execute, become, trace, kill,
        peek, own, raise_limits, eat, spin, abort, hang_up, flood, number, environment,
    )
}  # fmt: skip


def lie(how: str) -> None:
    """Say something to the parent that no decoder says."""
    info = protocol.pack({"kind": "info", "modality": "image", "format": "x", "stamps": []})
    lasting = protocol.pack({"kind": "info", "modality": "video", "format": "x", "stamps": []})
    good = {"kind": "cut", "channel": "visual", "modality": "image", "span": None, "shape": [64, 64, 3]}
    size = 64 * 64 * 3
    gap = protocol.pack({"kind": "gap", "reason": "truncated", "detail": "x" * 400, "span": None})
    said: dict[str, bytes] = {
        "noise": os.urandom(4096),
        "a header without end": protocol.PREFIX.pack(0xFFFFFFFF, 0),
        "a payload without end": info + protocol.PREFIX.pack(9, 1 << 62) + b'{"kind":1',
        "no JSON": protocol.PREFIX.pack(4, 0) + b"\xff\xfe{}",
        "a deep header": protocol.PREFIX.pack(60_000, 0) + b"[" * 60_000,
        "a long number": protocol.PREFIX.pack(60_002, 0) + b'{"' + b"9" * 60_000,
        "a cut before the info": protocol.pack(good, size) + b"\0",
        "two infos": info + info,
        "three infos": lasting * 3,
        "a cut after the last info": lasting * 2 + protocol.pack(good, size) + b"\0",
        "a slot that is not there": info + protocol.pack(good, size) + b"\xc8",
        "slots that were not taken": info + (protocol.pack(good, size) + b"\0") * 200_000,
        "a shape that is too big": info + protocol.pack(good | {"shape": [1 << 20, 1 << 20, 3]}, 3 << 40),
        "a mask that nobody asked for": info + protocol.pack({"kind": "mask", "shape": [1, 1]}, 1) + b"\0",
        "a mask of any size": info + protocol.pack({"kind": "mask", "shape": [1 << 20, 1 << 20]}, 1 << 40),
        "a video of a million frames": info
        + protocol.pack(good | {"modality": "video", "shape": [1 << 20, 64, 64, 3]}, size << 20),
        "an unknown reason": protocol.pack({"kind": "error", "reason": "sorry", "detail": ""}),
        "gaps without end": info + gap * 20_000,
        "a pickle": protocol.PREFIX.pack(40, 0) + b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.".ljust(40),
        "more after the end": info + protocol.pack({"kind": "end"}) + info,
        "half a header": protocol.PREFIX.pack(500, 0) + b"{",
    }
    rest = memoryview(said[how])
    while rest:
        rest = rest[os.write(0, rest) :]
    if how == "half a header":
        os._exit(3)
    time.sleep(60)


def decode(modality: Modality, source: child.Source, needs: object, limits: object) -> Iterator[object]:
    global current
    current = source
    order = json.loads(source.file.read())
    name, argument = order["attack"], str(order.get("with", ""))
    if name == "lie":
        lie(argument)
    try:
        told = ATTACKS[name](argument)
    except OSError as error:
        told = f"refused: {error}"
    yield Info(Modality.TEXT, "txt")
    told = told[:300]
    yield Cut(Channel.TEXT, Modality.TEXT, Span(0, len(told), "char"), told)


if __name__ == "__main__":
    assert SLOT_BYTES
    child.decode = decode
    child.main()
