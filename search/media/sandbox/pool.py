"""The pool of decoding processes, which the rest of Sensorium uses to decode media."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from search.errors import InputError, MediaError
from search.folders import is_address
from search.media.objects import Objects
from search.media.opening import Held
from search.media.sandbox.process import Process
from search.settings import Settings
from search.types import Cut, Gap, Info, Mask, MaskPrompt, Needs, Patch, Picture, ProvenanceReport

_FILES_PER_PROCESS = 800
"""A process is replaced after this many files, so that leaks in codecs stay small. Starting one takes as long as decoding 150
photographs."""


class DecodePool:
    """``size`` decoding processes, each within the limits of ``settings``. Thread-safe; use it as a context manager.

    A call of ``decode`` keeps one process until its iterator ends or is closed; further calls wait for an idle one. So one thread
    must not hold more open iterators than there are processes.
    """

    def __init__(self, settings: Settings, size: int, *, masks: bool = False) -> None:
        """Start the processes. The constructor does not wait for them. ``masks``: ``mask`` may be called, which takes OpenCV.

        Raises:
            InputError: the setting ``trust_anchors`` names no file of certificates.
        """
        if settings.trust_anchors:
            _check_anchors(Path(settings.trust_anchors))
        self._settings, self.size, self._masks, self.objects = settings, max(1, size), masks, Objects(settings)
        self.within: Sequence[bytes] = ()
        """The real folders that files must lie in, wherever links lead; none: anywhere."""
        self._change = threading.Condition()
        self._closed = False
        self._idle = [Process(settings, masks=masks) for _ in range(self.size)]
        self._all = set(self._idle)

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the pool."""
        self.close()

    @contextmanager
    def source(self, path: bytes, digest: bytes, size: int) -> Iterator[Path | Held]:
        """What the other methods take of a stored path: a file as it is; an object with this digest and size, fetched.

        Raises:
            MediaError: ``vanished``, the object is another one by now.
            ObjectsAway, DiskFull: it cannot be fetched.
        """
        if is_address(path):
            with self.objects.held(path, digest, size) as held:
                yield held
        else:
            yield Path(os.fsdecode(path))

    def decode(self, path: Path | Held, needs: Needs) -> Generator[Info | Cut | Gap]:
        """Decode a file: its ``Info``, then ``Cut`` and ``Gap``, by time in each channel, as decoding goes on.

        The duration of sound and video is a guess at first; where what was decoded lasts otherwise, a second ``Info`` comes last.

        Pictures are uint8 RGB (size, size, 3), shots and animations (frames, size, size, 3), sound is float32
        (samples,) at ``needs.rate``, texts are str. Closing the iterator early stops the decoding.

        Raises:
            MediaError: nothing more of the file can be had; also amid the cuts, where the decoder dies (``killed``) or
            takes
                too long (``too_slow``).
            RuntimeError: the pool is closed.
        """
        process = self._borrow()
        try:
            process.ask(path, needs, self.within)
            yield from process.replies()
        except MediaError:
            if self._closed:
                raise RuntimeError("the decode pool was closed while it decoded") from None
            raise
        finally:
            self._give_back(process)

    def positions(self, path: Path | Held) -> list[Patch]:
        """The changes that take out of a file where it was made; see ``search.media.metadata.positions``.

        Raises:
            MediaError: it cannot be looked through.
            RuntimeError: the pool is closed.
        """
        process = self._borrow()
        try:
            process.ask(path, "positions", self.within)
            return process.patches()
        finally:
            self._give_back(process)

    def provenance(self, path: Path | Held) -> ProvenanceReport:
        """All that a file states of its making. Credentials in a file of the same name that ends in ``.c2pa`` count as its own.

        Raises:
            MediaError: it cannot be looked through.
            RuntimeError: the pool is closed.
        """
        process = self._borrow()
        try:
            process.ask(path, "provenance", self.within, (path.path if isinstance(path, Held) else path).with_suffix(".c2pa"))
            return process.provenance()
        finally:
            self._give_back(process)

    def mask(self, path: Path | Held, needs: Needs, prompt: MaskPrompt) -> tuple[Picture, Mask]:
        """The first picture of a file (H, W, 3), without the border of a padded square, and the mask (H, W) of what ``prompt`` points at.

        Raises:
            MediaError: it cannot be decoded, or holds no picture.
            RuntimeError: the pool is closed.
        """
        process = self._borrow()
        try:
            process.ask(path, needs, self.within, prompt=prompt)
            return process.mask()
        finally:
            self._give_back(process)

    def close(self) -> None:
        """End every process. Threads that are decoding get a RuntimeError."""
        with self._change:
            self._closed = True
            idle, self._idle = self._idle, []
            for process in self._all:
                process.kill()
            self._change.notify_all()
        for process in idle:
            process.close()

    def _borrow(self) -> Process:
        with self._change:
            self._change.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise RuntimeError("the decode pool is closed")
            process = self._idle.pop()
            return process if process.alive else self._replace(process)

    def _give_back(self, process: Process) -> None:
        """Make a process idle again. Replace it if it is worn out, dead or still busy."""
        reusable = process.settle() and process.served < _FILES_PER_PROCESS
        with self._change:
            if self._closed:
                process.close()
                return
            self._idle.append(process if reusable else self._replace(process))
            self._change.notify()

    def _replace(self, process: Process) -> Process:
        self._all.discard(process)
        process.close()
        fresh = Process(self._settings, masks=self._masks)
        self._all.add(fresh)
        return fresh


def _check_anchors(file: Path) -> None:
    try:
        wrong = "" if b"-----BEGIN CERTIFICATE-----" in file.read_bytes() else "it holds no certificate in PEM"
    except OSError as error:
        wrong = error.strerror or str(error)
    if wrong:
        raise InputError(
            f"The setting trust_anchors names {file}, which cannot be used: {wrong}.",
            remedy="Name a file of certificates, or leave it empty.",
        )
