"""WAV with samples narrower than their words, such as 24 bits in words of 32. FFmpeg assumes that samples fill their words."""

from __future__ import annotations

import os
from typing import BinaryIO

from search.media.source import Source

_EXTENSIBLE = 0xFFFE
_CHUNKS = 64
"""Chunks that are looked through for the one that tells the form of the samples, at most."""


def whole_words(source: Source) -> PaddedSamples | None:
    """The file with a changed header, whose samples fill their words: the sample is in the upper bits, with zeros below. None: no
    change is needed."""
    at = _form_at(source)
    if at is None:
        return None
    form = os.pread(source.file.fileno(), 20, at)
    tag, bits, valid = (int.from_bytes(form[first : first + 2], "little") for first in (0, 14, 18))
    if tag != _EXTENSIBLE or not valid or -(-valid // 8) >= bits // 8:
        return None
    return PaddedSamples(source.file, at + 18, bits.to_bytes(2, "little"))


def _form_at(source: Source) -> int | None:
    """The offset of the content of the chunk ``fmt `` in a WAV, RF64 or W64; None: there is none."""
    wide = source.head[:4] == b"riff"  # W64: names of 16 bytes, lengths of 8 that count these too
    if source.head[24 if wide else 8 :][:4].upper() != b"WAVE" or source.head[:4] not in (b"RIFF", b"RF64", b"riff"):
        return None
    name, length, at = (16, 8, 40) if wide else (4, 4, 12)
    for _ in range(_CHUNKS):
        begin = os.pread(source.file.fileno(), name + length, at)
        if begin[:4] == b"fmt ":
            return at + name + length
        size = int.from_bytes(begin[name:], "little")
        at += size + -size % 8 if wide else name + length + size + size % 2
        if not begin or at >= source.size:
            return None
    return None


class PaddedSamples:
    """A file for PyAV in which some bytes are replaced."""

    def __init__(self, file: BinaryIO, at: int, others: bytes) -> None:
        """``others`` are the new bytes from offset ``at`` on."""
        self._file, self._at, self._others = file, at, others

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        start = self._file.tell()
        found = bytearray(self._file.read(size))
        for number, other in enumerate(self._others, self._at - start):
            if 0 <= number < len(found):
                found[number] = other
        return bytes(found)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the read position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The read position."""
        return self._file.tell()
