"""The pipeline: leased units are decoded in child processes, their cuts are encoded in batches, and whole units are committed.

    scan thread -> queue in SQL -> decode threads (a child each) -> batches -> encode threads -> one writer

Every stage runs in parallel with the others. Every queue between stages is bounded, so that memory does not grow with the number
of files. Other processes may work on the same SQL queue.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from indexer import mounts
from indexer.scan import unchanged_since
from search import traces
from search.encoders import Content, Encoder, GrainedEncoder
from search.errors import ClusterAway, DatabaseAway, DiskFull, MediaError, ModelMissing, ObjectsAway, SensoriumError
from search.folders import is_address
from search.media import DecodePool, fingerprints
from search.media.metadata import dating
from search.media.objects import Objects
from search.settings import Settings
from search.store import Finished, Queue, Unit
from search.store.intake import path_of
from search.store.queue import BEAT_SECONDS, LARGE_BYTES
from search.types import KINDS, Channel, Cut, Filed, Fingerprint, Gap, Info, Kind, Modality, Needs, Picture, Vectors
from search.zones import Zones

MAX_WAITING_CUTS = 48
"""The maximum number of decoded cuts that wait for the encoder. A shot of ten frames has some two megabytes."""

PATIENCE_SECONDS = 0.5
"""How long content waits for a batch to fill while other kinds keep the encoder busy."""

LEASE_PAUSE_SECONDS = 0.5
"""How long no units are leased if only large files wait."""

COMMIT_UNITS, COMMIT_SECONDS = 64, 0.5
"""A transaction is written when this many units are done, or the first of them has waited this long."""


@dataclass(slots=True)
class Progress:
    """What the pipeline has done so far. ``media_ms`` is the length of the processed sound and video.

    ``read`` counts assets that readers read, ``passages`` the passages that they found. While a ``reader`` works, ``to_read`` is
    the number of assets that were waiting when it began, and ``behind`` how many of them are done after ``seconds``; an asset
    being read counts in part. While the index is written, ``stage`` is what is done to it, ``stage_done`` of ``stage_of`` vectors are behind it
    (0 of 0 where nobody knows) after ``stage_seconds``.
    """

    done: int = 0
    failed: int = 0
    segments: int = 0
    media_ms: int = 0
    current: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    read: int = 0
    passages: int = 0
    reader: str = ""
    to_read: int = 0
    behind: float = 0.0
    seconds: float = 0.0
    stage: str = ""
    stage_done: int = 0
    stage_of: int = 0
    stage_seconds: float = 0.0

    def count_failure(self, reason: str) -> None:
        """Count one more failed file."""
        self.failed += 1
        self.failures[reason] = self.failures.get(reason, 0) + 1


@dataclass(slots=True, eq=False)
class _Work:
    """A unit in progress. It is complete when it is ``decoded`` and every cut has its vector. ``stale``: its object is another one
    by now."""

    unit: Unit
    info: Info | None = None
    cuts: list[Cut] = field(default_factory=list)
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    frames: dict[int, Vectors] = field(default_factory=dict)
    fingerprints: dict[int, Fingerprint] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    decoded: bool = False
    error: MediaError | None = None
    settled: bool = False
    stale: bool = False
    filed: Filed | None = None

    @property
    def complete(self) -> bool:
        return self.decoded and (self.error is not None or len(self.vectors) == len(self.cuts))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The content of one cut, to be encoded."""

    work: _Work
    index: int
    modality: Modality
    content: Content

    @property
    def weight(self) -> int:
        """The number of pictures, windows or texts that the encoder processes for it."""
        return len(self.content) if self.modality is Modality.VIDEO else 1

    def keep(
        self, vector: NDArray[np.float32], frames: Vectors | None, codes: NDArray[np.uint64] | NDArray[np.uint32] | None
    ) -> None:  # fmt: skip
        """Store the encoder's result in the unit's work, before the vector, which makes it complete."""
        if frames is not None:
            self.work.frames[self.index] = frames
        if codes is not None:
            self.work.fingerprints[self.index] = Fingerprint(codes, self.work.cuts[self.index].times)
        self.work.vectors[self.index] = vector


_Encoded: TypeAlias = "list[tuple[NDArray[np.float32], Vectors | None, NDArray[np.uint64] | NDArray[np.uint32] | None]]"
"""Of each content its vector (dim,), the vectors (frames, dim) of its frames where there are any, and the codes of its fingerprint."""


class _Leased:
    """Units that no decoder has started, in the order in which they came, for several threads."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._closed = False
        self._changed = threading.Condition()

    def sizes(self) -> tuple[int, int]:
        """How many units of smaller and of large files wait."""
        with self._changed:
            large = sum(unit.size >= LARGE_BYTES for unit in self._units)
            return len(self._units) - large, large

    def put(self, unit: Unit) -> None:
        """Add a unit."""
        with self._changed:
            self._units.append(unit)
            self._changed.notify()

    def get(self, *, large_first: bool) -> Unit | None:
        """Wait for a unit and take it: the first of a large file, or of a smaller one, if there is one, else the first of any. None
        after ``close``."""
        with self._changed:
            self._changed.wait_for(lambda: self._units or self._closed)
            if not self._units:
                return None
            at = next((at for at, unit in enumerate(self._units) if (unit.size >= LARGE_BYTES) is large_first), 0)
            return self._units.pop(at)

    def clear(self) -> list[Unit]:
        """Take all units."""
        with self._changed:
            taken, self._units = self._units, []
            return taken

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Pipeline:
    """Processes the units of a queue, once: until the scan has ended and none are left."""

    def __init__(
        self, settings: Settings, work: Queue, encoder: Encoder, kinds: Sequence[Kind], pool: DecodePool, progress: Progress,
        stop: threading.Event, elsewhere: Collection[Modality] = (), roots: Collection[bytes] = (),
    ) -> None:  # fmt: skip
        """Segments of ``kinds`` are embedded. Assets of kinds that ``elsewhere`` takes in may have none. ``roots``: folders whose
        file system may disappear during the run.

        ``progress`` is updated. Setting ``stop`` makes ``run`` return early.
        """
        self._elsewhere, self._roots = frozenset(elsewhere), tuple(roots)
        self._settings, self._queue, self._encoder, self._pool = settings, work, encoder, pool
        self._kinds, self._needs = frozenset(kinds), _narrowed(encoder.needs, kinds)
        self._batch, self._zones = encoder.needs.batch, Zones.of(settings.timezone)
        self.progress = progress
        self.changed: list[tuple[int, bytes]] = []
        """Files that changed while they were read, each with the key of its collection."""
        self._stop, self._abandoned, self._trace = stop, threading.Event(), traces.here()
        self._units = _Leased()
        self._decoded: queue.Queue[tuple[_Work, Info | Cut | Gap | SensoriumError | None]] = queue.Queue(
            max(MAX_WAITING_CUTS, 2 * self._batch)
        )
        self._waiting: dict[Modality, list[_Piece]] = {modality: [] for modality in Modality}
        self._oldest = dict.fromkeys(Modality, 0.0)
        """When the first piece that waits, of each modality, came."""
        self._served: Modality | None = None
        """The modality of the last batch."""
        self._encoding: dict[Future[_Encoded], list[_Piece]] = {}
        self._complete: list[_Work] = []
        self._leased: dict[int, Unit] = {}
        self._committed = time.monotonic()
        self._next_lease = 0.0

    def run(self, scanning: Callable[[], bool], report: Callable[[Progress], None], take_back: Callable[[], None]) -> None:
        """Work until ``scanning`` returns False and everything queued by then has ended, here or in other processes.

        ``report`` is called several times a second. ``take_back`` is called from time to time, to requeue units of dead workers.
        If the run ends early, unfinished leases are returned.

        Raises:
            ModelMissing: the encoder has no weights for what it is given.
        """
        decoders = self._pool.size
        encoders = self._settings.encoders or self._settings.cores
        with ThreadPoolExecutor(encoders, "encode") as executor:
            threads = [
                threading.Thread(target=self._decode, args=(number > 0,), daemon=True) for number in range(decoders)
            ]  # the first one keeps to smaller files while there are any
            beat = threading.Thread(target=beating, args=(self._queue, self._abandoned), name="heartbeat", daemon=True)
            for thread in (*threads, beat):
                thread.start()
            try:
                inherit = others(self._queue, self._stop, take_back)
                while self._feed(decoders, scanning) or inherit():
                    self._collect(executor, 2 * encoders)
                    self._commit()
                    report(self.progress)
                self._commit(everything=True)
                report(self.progress)
            finally:
                self._abandon(threads)

    def _feed(self, decoders: int, scanning: Callable[[], bool]) -> bool:
        """Lease units for idle decoders. Returns whether there is anything to do here."""
        if self._stop.is_set():
            self._hand_back(self._units.clear())
            return bool(self._leased)
        more = scanning()  # asked first, so that what was queued before the scan ended is seen below
        small, large = self._units.sizes()
        if small < decoders and time.monotonic() >= self._next_lease:
            units = self._queue.lease(4 * decoders, large=max(decoders - 1 - large, 0), suspect=not self._leased and not more)
            for unit in units:
                self._leased[unit.id] = unit
                self._units.put(unit)
            small, large = self._units.sizes()
            if large and not small:  # no decoder is idle
                self._next_lease = time.monotonic() + LEASE_PAUSE_SECONDS
        if not self._leased and more:
            time.sleep(0.02)
        return bool(self._leased) or more

    def _decode(self, large_first: bool) -> None:
        """A decode thread: decodes unit by unit and puts the cuts into the bounded queue."""
        while (unit := self._units.get(large_first=large_first)) is not None:
            work = _Work(unit)
            if not unchanged_since(unit.path, unit.size, unit.mtime_ns):  # it may have been scanned long ago
                self._decoded.put((work, MediaError("vanished", "It is not what was scanned.")))
                continue
            path, info = Path(path_of(unit.path)), None
            try:
                with traces.span("decode", self._trace), self._pool.source(unit.path, unit.digest, unit.size) as source:
                    for item in self._pool.decode(source, self._needs):
                        if self._abandoned.is_set():
                            return
                        info = item if isinstance(item, Info) else info
                        self._decoded.put((work, item))
                if info is not None:
                    beside = dating.read_beside(self._pool, path)
                    work.filed = dating.file_under(info, path, unit.mtime_ns, beside, self._zones)
                self._decoded.put((work, None))
            except MediaError as error:
                work.stale = error.reason == "vanished" and is_address(unit.path)
                self._decoded.put((work, error))
            except (ObjectsAway, DiskFull) as error:
                self._decoded.put((work, error))
            except Exception as error:  # noqa: BLE001 - one file never stops a run: the ledger says what happened
                self._decoded.put((work, MediaError("undecodable", f"{type(error).__name__}: {error}")))

    def _collect(self, executor: ThreadPoolExecutor, most: int) -> None:
        """Take decoded cuts, submit full batches, and collect encoded vectors."""
        try:
            for _ in range(max(MAX_WAITING_CUTS, self._batch)):
                self._take(*self._decoded.get(timeout=0.02))
                self._send(executor, full=True)
                if len(self._encoding) >= most:
                    break
        except queue.Empty:
            if len(self._encoding) < most // 2:  # the encoder is about to run idle: submit incomplete batches
                self._send(executor, full=False)
        self._gather(most)

    def _take(self, work: _Work, item: Info | Cut | Gap | SensoriumError | None) -> None:
        if isinstance(item, Cut):
            if work.info is None or Kind(work.info.modality, item.channel) not in self._kinds:
                return
            text = isinstance(item.content, str)
            if not self._waiting[item.modality]:
                self._oldest[item.modality] = time.monotonic()
            self._waiting[item.modality].append(_Piece(work, len(work.cuts), item.modality, item.content))
            work.cuts.append(item if text else replace(item, content=_NOTHING))  # pictures and sound are not kept
        elif isinstance(item, Gap):
            work.gaps.append(item)
        elif isinstance(item, Info):
            work.info = item
            self.progress.current = path_of(work.unit.path)
        elif isinstance(item, ObjectsAway | DiskFull):  # not the file's fault: all others would fail in the same way
            raise item
        elif item is None or isinstance(item, MediaError):
            work.decoded = True
            nothing = self._unknown(work) or (None if self._partial(work) else _NO_CONTENT)
            work.error = item or (None if work.cuts else nothing)
            self._settle(work)

    def _unknown(self, work: _Work) -> MediaError | None:
        """The error for an asset that no space of the archive can take in."""
        space, modality = self._encoder.space, work.info.modality if work.info else None
        if (
            modality is None
            or modality in self._elsewhere
            or any(kind.modality is modality and not kind.read for kind in space.kinds())
        ):
            return None
        more = " `sensorium spaces add motion --encoder series` makes one that does." if modality is Modality.IMU else ""
        return MediaError("unsupported", f"The encoder of the space {space.name} takes no {modality}.{more}")

    def _partial(self, work: _Work) -> bool:
        """Whether the space takes in only part of such an asset, or nothing. Then the asset may have no segments in it."""
        modality = work.info.modality if work.info else None
        return any(kind.modality is modality and not kind.read and kind not in self._kinds for kind in KINDS)

    def _send(self, executor: ThreadPoolExecutor, *, full: bool) -> None:
        """Submit batches. With ``full`` only full ones, and those of kinds that have waited long: a rare kind would otherwise wait
        until the encoder has nothing else to do."""
        now = time.monotonic()
        for modality, waiting in self._waiting.items():
            late = self._served not in (None, modality) and now - self._oldest[modality] > PATIENCE_SECONDS
            while waiting and (not full or late or sum(piece.weight for piece in waiting) >= self._batch):
                count, weight = 0, 0
                while count < len(waiting) and weight < self._batch:
                    weight += waiting[count].weight
                    count += 1
                batch, waiting[:count] = waiting[:count], []
                self._oldest[modality], self._served = now, modality
                contents = [piece.content for piece in batch]
                self._encoding[executor.submit(self._encode, modality, contents)] = batch

    def _encode(self, modality: Modality, contents: Sequence[Content]) -> _Encoded:
        with traces.span("encode", self._trace, contents=len(contents), modality=str(modality)):
            return self._encoded(modality, contents)

    def _encoded(self, modality: Modality, contents: Sequence[Content]) -> _Encoded:
        frames: list[Vectors] | list[None] = [None] * len(contents)
        if modality is Modality.VIDEO and isinstance(self._encoder, GrainedEncoder):
            frames = self._encoder.frames(cast("Sequence[Picture]", contents))
            means = np.stack([some.mean(axis=0) for some in frames])
            vectors = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        else:
            vectors = self._encoder.encode(modality, contents)
        if vectors.shape != (len(contents), self._encoder.space.dim):
            raise ValueError(f"the encoder gave shape {vectors.shape}")
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):  # also false for NaN
            raise ValueError("the encoder gave vectors that are not finite and of unit length")
        codes = [fingerprints.codes_of(modality, content, self._needs.rate) for content in contents]
        return list(zip(vectors, frames, codes, strict=True))

    def _gather(self, most: int) -> None:
        """Assign encoded vectors to their units. Waits only if the encoder has more than enough work queued."""
        timeout = None if len(self._encoding) >= most else 0
        done, _ = wait(self._encoding, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            batch = self._encoding.pop(future)
            if (error := future.exception()) is None:
                for piece, found in zip(batch, future.result(), strict=True):
                    piece.keep(*found)
            elif isinstance(
                error, ModelMissing | ClusterAway
            ):  # not the files' fault: all other files would fail in the same way
                raise error
            else:
                self._encode_singly(batch, error)
            for piece in batch:
                self._settle(piece.work)

    def _encode_singly(self, batch: Sequence[_Piece], error: BaseException) -> None:
        """After a failed batch, encode its pieces one by one, so that only the file that caused the failure fails."""
        for piece in batch:
            try:
                piece.keep(*self._encode(piece.modality, [piece.content])[0])
            except (ModelMissing, ClusterAway):
                raise
            except Exception:  # noqa: BLE001 - any failure of a model is this file's failure
                piece.work.error = MediaError("encoder", f"{type(error).__name__}: {error}")

    def _settle(self, work: _Work) -> None:
        if work.complete and not work.settled:
            work.settled = True
            self._complete.append(work)

    def _commit(self, *, everything: bool = False) -> None:
        """Write the complete units, the successful ones in one transaction."""
        if not self._complete:
            self._committed = time.monotonic()
            return
        late = time.monotonic() - self._committed > COMMIT_SECONDS
        if not (everything or late or len(self._complete) >= COMMIT_UNITS or len(self._leased) == len(self._complete)):
            return
        works, self._complete = self._complete, []
        finished = []
        for work in works:
            unit = work.unit
            if work.stale or not unchanged_since(unit.path, unit.size, unit.mtime_ns):
                there = put_aside(self._queue, unit, self._roots, self._pool.objects)
                self.changed += [(unit.collection, unit.path)] if there else []
            elif work.error is not None:
                if self._queue.fail(unit, work.error.reason, str(work.error)):
                    self.progress.count_failure(work.error.reason)
            elif work.info is not None:
                rows = [work.vectors[index] for index in range(len(work.cuts))]
                vectors = np.array(rows, np.float32).reshape(len(rows), self._encoder.space.dim)
                finished.append(
                    Finished(unit, work.info, work.cuts, vectors, work.gaps, work.frames, work.filed, work.fingerprints)
                )
        with traces.span("commit", self._trace, units=len(finished)):
            count_done(self.progress, self._queue.put(finished) if finished else ())
        for work in works:
            del self._leased[work.unit.id]
        self._committed = time.monotonic()

    def _hand_back(self, units: Sequence[Unit]) -> None:
        self._queue.hand_back(units)
        for unit in units:
            del self._leased[unit.id]

    def _abandon(self, threads: Sequence[threading.Thread]) -> None:
        """End the decode threads and return uncommitted units. There are some only if ``run`` was interrupted."""
        self._abandoned.set()
        self._units.clear()
        self._units.close()
        while any(thread.is_alive() for thread in threads):
            try:
                self._decoded.get(timeout=0.05)  # a thread may be waiting for space in the queue
            except queue.Empty:
                continue
        with contextlib.suppress(DatabaseAway):  # report the original error instead; leases time out by themselves
            self._hand_back(list(self._leased.values()))


def beating(queue: Queue, over: threading.Event) -> None:
    """Extend the leases until ``over``. A failed heartbeat is made up for by the next."""
    while not over.wait(BEAT_SECONDS):
        with contextlib.suppress(SensoriumError):
            queue.beat()


def others(queue: Queue, stop: threading.Event, take_back: Callable[[], None]) -> Callable[[], bool]:
    """A function for a worker without work: it waits a moment. True while others hold units that this worker may inherit."""
    last: list[int] = []

    def wait() -> bool:
        if stop.is_set():
            return False
        last[:] = last or [queue.last()]
        take_back()
        if not queue.unended(last[0]):
            return False
        stop.wait(0.2)
        return True

    return wait


def put_aside(queue: Queue, unit: Unit, roots: Collection[bytes], objects: Objects) -> bool:
    """Return a unit whose file is not what was scanned. Returns whether the file is still there, and so has changed."""
    gone = objects.look(unit.path) is None if is_address(unit.path) else not os.path.lexists(unit.path)
    queue.forget(unit, gone=gone, away=gone and mounts.is_away(unit.path, unit.device, roots))
    return not gone


def count_done(progress: Progress, items: Sequence[Finished]) -> None:
    """Count units that are committed."""
    progress.done += len(items)
    progress.segments += sum(len(item.cuts) for item in items)
    progress.media_ms += sum(item.info.duration_ms or 0 for item in items)


def _narrowed(needs: Needs, kinds: Sequence[Kind]) -> Needs:
    """The needs, reduced to what has to be decoded for ``kinds``."""
    channels = {kind.channel for kind in kinds}
    return replace(
        needs, size=needs.size if Channel.VISUAL in channels else 0, rate=needs.rate if Channel.SOUND in channels else 0
    )


_NO_CONTENT = MediaError("no_content", "Nothing in it can be searched.")
_NOTHING = np.empty(0, np.uint8)
