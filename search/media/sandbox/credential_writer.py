"""The disposable process that writes content credentials: it reads what was exported and what it was made of, and never sees a key.

It is run as ``python -P -m search.media.sandbox.credential_writer SOURCE MEMORY SECONDS`` by ``signed_files.py``, with the opened source as
descriptor ``SOURCE``. Over the socket at standard input come the request in JSON and the exported bytes; what has to be signed goes out,
and its signature comes in.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import sys
from typing import Any

from search.media.sandbox import confine

SIGN, DONE, FAILED = b"S", b"D", b"F"
"""What a message is: bytes to be signed, the signed file, or why there is none."""

_PREFIX = struct.Struct("<cQ")
_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}, "builder": {"thumbnail": {"enabled": False}}}


def send(control: socket.socket, kind: bytes, content: bytes) -> None:
    """Send a message."""
    control.sendall(_PREFIX.pack(kind, len(content)) + content)


def receive(control: socket.socket, most: int) -> tuple[bytes, bytes]:
    """The next message: its kind, and its content.

    Raises:
        EOFError: the other side has gone.
        ValueError: it has more than ``most`` bytes.
    """
    kind, length = _PREFIX.unpack(_exactly(control, _PREFIX.size))
    if length > most:
        raise ValueError("a message that is too long")
    return kind, _exactly(control, length)


def _exactly(control: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = control.recv(min(length - len(received), 1 << 20))
        if not part:
            raise EOFError
        received += part
    return bytes(received)


def main() -> None:
    """Sign one file."""
    descriptor, memory, seconds = map(int, sys.argv[1:4])
    import c2pa

    control = socket.socket(fileno=os.dup(0))
    confine.isolate()
    confine.limit(CORE=0, FSIZE=0, CPU=seconds, AS=memory)
    confine.restrict_calls()
    _, header = receive(control, sys.maxsize)
    _, content = receive(control, sys.maxsize)
    try:
        made = _signed(c2pa, control, json.loads(header), content, descriptor)
    except Exception as error:  # noqa: BLE001  hostile files raise anything
        send(control, FAILED, f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace"))
    else:
        send(control, DONE, made)


def _signed(c2pa: Any, control: socket.socket, asked: dict[str, Any], content: bytes, descriptor: int) -> bytes:  # noqa: ANN401 - it has no types
    def sign(data: bytes) -> bytes:
        send(control, SIGN, data)
        return receive(control, 1 << 16)[1]

    builder = c2pa.Builder(asked["manifest"], context=c2pa.Context.from_dict(_SETTINGS))
    if asked["source_form"]:
        with os.fdopen(descriptor, "rb") as source:
            builder.add_ingredient(asked["source"], asked["source_form"], source)
    signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg[asked["algorithm"]], asked["certificates"])
    made = io.BytesIO()
    builder.sign(signer, asked["form"], io.BytesIO(content), made)
    return made.getvalue()


if __name__ == "__main__":
    main()
