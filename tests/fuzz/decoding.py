"""Decoding in this process: runs of the indexer that start no children, and so take milliseconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import MediaError
from search.media.objects import Objects
from search.media.opening import head, opened
from search.media.sandbox.child import decode
from search.media.sniff import HEAD_BYTES, sensed, sniff
from search.media.source import Limits, Source, picture_formats
from search.settings import Settings
from search.types import Cut, Gap, Info, Needs


class InProcess:
    """A DecodePool without processes."""

    size = 1

    def __init__(self, settings: Settings, size: int) -> None:
        self.objects = Objects(settings)
        self._limits = Limits(
            settings.max_pixels, settings.max_frames, settings.decode_memory, picture_formats(settings.image_formats)
        )

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @contextmanager
    def source(self, path: bytes, _digest: bytes, _size: int) -> Iterator[Path]:
        yield Path(os.fsdecode(path))

    def decode(self, path: Path, needs: Needs) -> Iterator[Info | Cut | Gap]:
        suffix = os.path.splitext(path)[1].lower()
        with opened(path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            first = head(descriptor, HEAD_BYTES)
            source = Source(file, os.fstat(descriptor).st_size, first, suffix)
            try:
                yield from decode(sniff(first, suffix, sensed(os.fspath(path))), source, needs, self._limits)
            except MediaError:
                raise
            except Exception as error:
                raise MediaError("undecodable", f"{type(error).__name__}: {error}") from error
