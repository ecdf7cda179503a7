"""The chunks of a PNG (third edition, 5.3)."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import BinaryIO


def chunks(
    file: BinaryIO, kinds: Container[bytes], *, longest: int = 1 << 20, until: bytes = b"IEND"
) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of some kinds, each with its first ``longest`` bytes, until the first chunk of the kind ``until``."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        follows = file.tell() + length + 4
        if kind in kinds:
            yield kind, file.read(min(length, longest))
        if kind == until:
            return
        file.seek(follows)
