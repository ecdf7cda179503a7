"""Workers on a Ray cluster. This process scans, leases and commits as on one machine; what lies between runs on the nodes.

    queue in SQL -> this process -> a worker on each node: decoders, batches, encoders (or a reader) -> this process commits
                                                             └-> actors on GPUs, where there are any

Only this process knows the database. So what an actor, a node or this process had begun when it was killed has not been committed, and
nothing is done twice. Units of a worker that died are given back without an attempt; its decoders tell which files killed them.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.metadata
import itertools
import logging
import os
import random
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, TypeAlias, cast

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from indexer.pipeline import Pipeline, Progress, beating, count_done, others, put_aside
from indexer.reading import ReadingContext, check_revision, counting, read
from indexer.scan import unchanged_since
from search import encoders, readers
from search.encoders import Content, Encoder, GrainedEncoder
from search.errors import ClusterAway, DatabaseAway, InputError, ModelMissing, ReaderHangs, SensoriumError
from search.folders import is_address
from search.media import DecodePool
from search.media.objects import Objects
from search.models import Models
from search.settings import Settings, pack, unpack
from search.store import Finished, Queue, Unit
from search.store.intake import path_of
from search.store.queue import LARGE_BYTES, MAX_ATTEMPTS
from search.store.reading_queue import Read, ReadingQueue
from search.store.readings import ReaderEntry
from search.store.spaces import SpaceEntry, matches
from search.types import Modality, Vectors

_remote: Any = ray  # its types know neither every option of an actor nor what these functions return

ANSWER_SECONDS = 600.0
"""Seconds for which an actor is waited for. It may be loading a model, or waiting for room on another node."""

HEAD_SECONDS = 60.0
"""Seconds for which a head is waited for that does not answer. Nodes give up after as long."""

REFUSALS = 3
"""A head that refuses this many connections in a row, one every ``CENSUS_SECONDS``, is gone."""

CONNECT_SECONDS = 5.0
"""Seconds within which the head must take a connection."""

CENSUS_SECONDS = 2.0
"""Seconds between two looks at which nodes there are."""

TURN_SECONDS = 0.5
"""Seconds after which a worker answers even if it has nothing to tell."""

IDLE_SECONDS = 0.05
"""Seconds between two looks whether there is anything to do."""

CROWD_CRASHES = 2
"""A unit that was in this many workers that crashed is given to a worker alone. If ``MAX_ATTEMPTS`` more crash, it is to blame."""

MAX_PAUSE_SECONDS = 60.0
"""Seconds until an actor that keeps dying is started again, at most."""

Entry: TypeAlias = SpaceEntry | ReaderEntry


@dataclass(slots=True)
class Reply:
    """What became of a worker's units: results, failures with reason and detail, files that are not what was scanned, units given back."""

    done: list[Any] = field(default_factory=list)
    failed: list[tuple[Unit, str, str]] = field(default_factory=list)
    gone: list[Unit] = field(default_factory=list)
    back: list[Unit] = field(default_factory=list)

    def units(self) -> Iterator[Unit]:
        """All of them."""
        return itertools.chain((one.unit for one in self.done), (unit for unit, _, _ in self.failed), self.gone, self.back)


class RelayQueue(ReadingQueue):
    """The queue of a worker. Its units come from elsewhere, and what becomes of them goes back there; it knows no database."""

    def __init__(self) -> None:
        self._inbox: deque[Unit] = deque()
        self._reply = Reply()
        self._change = threading.Condition()

    def give(self, units: Sequence[Unit]) -> None:
        """Add units to be leased."""
        with self._change:
            self._inbox.extend(units)
            self._change.notify_all()

    def take(self, over: Callable[[], bool]) -> Reply:
        """What became of units since the last call. Waits for it for ``TURN_SECONDS``, or until ``over``."""
        with self._change:
            self._change.wait_for(lambda: over() or any(self._reply.units()), TURN_SECONDS)
            told, self._reply = self._reply, Reply()
            return told

    def wait(self) -> bool:
        """Wait for units, for ``TURN_SECONDS``. Returns whether there are any."""
        with self._change:
            return self._change.wait_for(lambda: bool(self._inbox), TURN_SECONDS)

    def lease(self, count: int, *, large: int | None = None, suspect: bool = False) -> list[Unit]:  # noqa: ARG002 - chosen where they are given
        """See ``Queue``."""
        with self._change:
            return [self._inbox.popleft() for _ in range(min(count, len(self._inbox)))]

    def left(self) -> int:
        """See ``Queue``; of this worker."""
        return len(self._inbox)

    def last(self) -> int:
        """None is to be waited for."""
        return 0

    def unended(self, until: int) -> bool:  # noqa: ARG002
        """None is to be waited for."""
        return False

    def beat(self) -> None:
        """The leases are not this worker's."""

    def put(self, finished: Sequence[Finished]) -> list[Finished]:
        """See ``Queue``."""
        self._tell("done", *finished)
        return list(finished)

    def keep(self, read: Sequence[Read], source: str) -> list[Read]:  # noqa: ARG002
        """See ``ReadingQueue``."""
        self._tell("done", *read)
        return list(read)

    def fail(self, unit: Unit, reason: str, detail: str) -> bool:
        """See ``Queue``."""
        self._tell("failed", (unit, reason, detail))
        return True

    def forget(self, unit: Unit, *, gone: bool, away: bool = False) -> None:  # noqa: ARG002
        """See ``Queue``."""
        self._tell("gone", unit)

    def hand_back(self, units: Sequence[Unit]) -> None:
        """See ``Queue``."""
        self._tell("back", *units)

    def _tell(self, what: str, *told: Any) -> None:  # noqa: ANN401
        with self._change:
            getattr(self._reply, what).extend(told)
            self._change.notify_all()


class _EncodeActor:
    """An actor that encodes, with a part of a GPU."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        self._settings, self._name = unpack(settings), name
        self._encoder: Encoder | None = None

    def describe(self) -> Any:  # noqa: ANN401
        """The encoder's space and needs, and whether it has grains."""
        with _portable():
            self._encoder = self._encoder or _load(self._settings, self._name)
            return self._encoder.space, self._encoder.needs, isinstance(self._encoder, GrainedEncoder)

    def call(self, method: str, *given: Any) -> Any:  # noqa: ANN401
        """Call a method of the encoder."""
        self.describe()  # one that was started again has not loaded it yet
        with _portable():
            return getattr(self._encoder, method)(*given)


class FarEncoder:
    """An Encoder that runs in actors, which are asked in turn. One that dies is not the content's fault, unless it dies on this alone."""

    def __init__(self, actors: Sequence[Any]) -> None:
        """Waits until one of them has loaded the encoder."""
        some = random.sample(list(actors), len(actors))  # workers do not all begin with the same one
        self._turns, self._lock = itertools.cycle(some), threading.Lock()
        self.space, self.needs, self.grained = self._ask(lambda actor: actor.describe.remote())

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """See ``Encoder``."""
        return cast("Vectors", self._ask(lambda actor: actor.call.remote("encode", modality, list(batch))))

    def _ask(self, call: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """What an actor answers. Asks another one when it dies.

        Raises:
            ClusterAway: none has answered for ``ANSWER_SECONDS``.
            RuntimeError: as many as ``MAX_ATTEMPTS`` crashed on this call.
        """
        until, crashes = time.monotonic() + ANSWER_SECONDS, 0
        for pause in _pauses():
            with self._lock:
                actor = next(self._turns)
            begun = False
            try:
                if crashes:  # behind what others asked of it, so that it does not die of that
                    ray.get(actor.describe.remote(), timeout=max(until - time.monotonic(), 0))
                begun = True
                return ray.get(call(actor), timeout=max(until - time.monotonic(), 0))
            except RayTaskError as error:
                raise _cause(error) from None
            except (RayError, OSError) as error:
                crashes += begun and _crashed(error)
                if crashes >= MAX_ATTEMPTS:
                    raise RuntimeError(f"the encoder crashed {crashes} times on it") from error
                if isinstance(error, GetTimeoutError) or time.monotonic() + pause > until:
                    raise ClusterAway(
                        f"The cluster's encoders have not answered for {ANSWER_SECONDS:.0f} seconds.",
                        remedy="Look at `ray status`: their nodes may be gone, or busy. Run the same command again to continue.",
                    ) from error
            time.sleep(pause)
        raise AssertionError("pauses have no end")


class FarGrainedEncoder(FarEncoder):
    """The same for an encoder with grains."""

    def frames(self, shots: Sequence[NDArray[np.uint8]]) -> list[Vectors]:
        """See ``GrainedEncoder``."""
        return cast("list[Vectors]", self._ask(lambda actor: actor.call.remote("frames", list(shots))))

    def words(self, text: str) -> Vectors:
        """See ``GrainedEncoder``."""
        return cast("Vectors", self._ask(lambda actor: actor.call.remote("words", text)))


class _NodeWorker:
    """An actor that decodes and encodes, or reads, what it is given."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings, self._relay = unpack(settings), RelayQueue()
        self._stop = threading.Event()
        self._error: BaseException | None = None

    def begin(self, entry: Entry, elsewhere: Collection[Modality], roots: Sequence[bytes], actors: Sequence[Any]) -> None:
        """Load what is needed, and start to work.

        Raises:
            InputError: the model is another than the entry's, or a root is not seen from here.
            ModelMissing: the model is not here.
            ClusterAway: the actors do not answer.
        """
        with _portable():
            if unseen := [root for root in roots if not (is_address(root) or os.path.lexists(root))]:
                raise InputError(f"It does not see {path_of(unseen[0])}.", remedy="Mount it there under the same path.")
            model: Any
            if isinstance(entry, ReaderEntry):
                model = readers.load(entry.name, Models.of(self._settings), self._settings.device, entry.labels)
                check_revision(entry, model)
            elif actors:
                model = FarEncoder(actors)
                model = FarGrainedEncoder(actors) if model.grained else model
                matches(entry, model.space)
            else:
                model = _load(self._settings, entry.encoder)
                matches(entry, model.space)
        threading.Thread(target=self._run, args=(entry, model, elsewhere), name="work", daemon=True).start()

    def exchange(self, units: Sequence[Unit]) -> Reply:
        """Take units, and tell what became of earlier ones.

        Raises:
            SensoriumError: it has ended, for example because the model lacks weights.
        """
        self._relay.give(units)
        told = self._relay.take(self._stop.is_set)
        if self._error is not None and not any(told.units()):
            with _portable():
                raise self._error
        return told

    def _run(self, entry: Entry, model: Any, elsewhere: Collection[Modality]) -> None:  # noqa: ANN401
        settings, progress = self._settings, Progress()
        try:
            with DecodePool(settings, settings.decoders) as pool:
                if isinstance(entry, SpaceEntry):
                    pipeline = Pipeline(settings, self._relay, model, entry.kinds, pool, progress, self._stop, elsewhere)
                    pipeline.run(lambda: True, lambda _: None, lambda: None)
                while not self._stop.is_set():
                    if self._relay.wait():
                        read(ReadingContext(pool, settings.readers, self._stop, ()), self._relay, model, progress, lambda _: None)
        except BaseException as error:  # noqa: BLE001 - raised again in ``exchange``
            self._error = error
            self._stop.set()


@dataclass(eq=False, slots=True)
class _Seat:
    """A worker's place on a node. ``asked``: what was asked last and is not answered, ``since`` when.

    ``alone``: its only unit may crash it. ``last``: about how many units it ends in a turn. ``deaths`` in a row; it is started again
    after ``rest_until``. ``closed``: it takes no part.
    """

    node: str
    name: str
    cpus: int
    gpus: float
    asked: Any = None
    since: float = 0.0
    actor: Any = None
    ready: bool = False
    units: dict[int, Unit] = field(default_factory=dict)
    alone: bool = False
    last: int = 0
    deaths: int = 0
    rest_until: float = 0.0
    closed: bool = False

    def ask(self, reference: Any) -> None:  # noqa: ANN401
        """Wait for an answer."""
        self.asked, self.since = reference, time.monotonic()

    def empty(self) -> list[Unit]:
        """Forget the actor. Returns the units that it had."""
        units = list(self.units.values())
        self.asked, self.actor, self.ready, self.alone, self.last = None, None, False, False, 0
        self.units.clear()
        return units

    def rest(self) -> None:
        """Wait before starting again, longer each time."""
        self.deaths += 1
        self.rest_until = time.monotonic() + min(2.0 ** min(self.deaths - 1, 10), MAX_PAUSE_SECONDS)


class _Shift:
    """A queue that is worked off on a cluster. Every unit is leased, and ended, here."""

    def __init__(
        self, cluster: Cluster, queue: Queue, entry: Entry, progress: Progress, stop: threading.Event,
        elsewhere: Collection[Modality], roots: Sequence[bytes],
    ) -> None:  # fmt: skip
        self._cluster, self._queue, self._entry, self._progress, self._stop = cluster, queue, entry, progress, stop
        self._elsewhere, self._roots = elsewhere, roots
        self._seats: dict[tuple[str, int], _Seat] = {}
        self._suspects: list[Unit] = []
        self._crashes: Counter[int] = Counter()
        """How many workers crashed with a unit in them."""
        self._encoders: list[Any] = []
        self._worked = time.monotonic()
        self.changed: list[tuple[int, bytes]] = []

    def run(self, scanning: Callable[[], bool], report: Callable[[Progress], None], take_back: Callable[[], None]) -> None:
        """See ``Pipeline.run``."""
        over, inherit = threading.Event(), others(self._queue, self._stop, take_back)
        threading.Thread(target=beating, args=(self._queue, over), name="heartbeat", daemon=True).start()
        self._encoders, self._worked = self._cluster.encode_actors(self._entry), time.monotonic()
        count = counting(self._queue, self._entry.name, self._progress) if isinstance(self._entry, ReaderEntry) else None
        try:
            while self._feed(scanning()) or inherit():
                self._collect()
                if count is not None:
                    count(0.0)
                report(self._progress)
        finally:
            over.set()
            self._progress.reader = ""
            self._abandon()

    def _feed(self, more: bool) -> bool:
        """Give work to the workers that have little. Returns whether there is anything to do here."""
        if self._stop.is_set():
            return False
        self._take_seats()
        for seat in self._seats.values():
            if seat.closed or seat.asked is not None or time.monotonic() < seat.rest_until:
                continue
            if seat.ready:
                self._give(seat, more)
            elif seat.actor is None and self._cluster.steady():
                seat.ask(self._cluster.greet(seat))
        now = time.monotonic()
        if any(seat.ready for seat in self._seats.values()):
            self._worked = now
        elif now - self._worked > ANSWER_SECONDS:
            raise ClusterAway(
                f"No worker has started on the Ray cluster for {ANSWER_SECONDS:.0f} seconds.",
                remedy="`ray status` shows what uses its processors. Run the same command again to continue.",
            )
        return more or bool(self._suspects) or any(seat.units for seat in self._seats.values())

    def _take_seats(self) -> None:
        """Follow which nodes there are."""
        nodes, reads = self._cluster.nodes(), isinstance(self._entry, ReaderEntry)
        for node in nodes:
            cpus, part = int(node["Resources"]["CPU"]), self._cluster.part if reads else 0.0
            count = max(1, int(node["Resources"].get("GPU", 0.0) / part)) if part else 1
            gpus = part if node["Resources"].get("GPU", 0.0) >= part else 0.0
            for number in range(min(count, cpus)):
                seat = _Seat(node["NodeID"], node["NodeManagerHostname"], max(1, cpus // count), gpus)
                self._seats.setdefault((seat.node, number), seat)
        living = {node["NodeID"] for node in nodes}
        self._seats = {key: seat for key, seat in self._seats.items() if seat.node in living or seat.asked is not None}

    def _give(self, seat: _Seat, more: bool) -> None:
        """Ask a worker what it has done, and give it more to do."""
        units: list[Unit] = []
        if not seat.alone and not (room := 2 * seat.cpus + 2 * seat.last - len(seat.units)) <= 0:
            if self._suspects and not seat.units:
                units = [self._suspects.pop()]
            else:
                large = sum(unit.size >= LARGE_BYTES for unit in seat.units.values())
                units = self._queue.lease(room, large=max(seat.cpus - 1 - large, 0), suspect=not (seat.units or more))
        seat.alone = seat.alone or any(unit.attempts > 1 or self._crashes[unit.id] >= CROWD_CRASHES for unit in units)
        seat.units |= {unit.id: unit for unit in units}
        if seat.units:
            seat.ask(seat.actor.exchange.remote(units))

    def _collect(self) -> None:
        """Commit what the workers tell."""
        asked = {seat.asked: seat for seat in self._seats.values() if seat.asked is not None}
        if not asked:
            self._stop.wait(IDLE_SECONDS)
            return
        if ray.wait(list(asked), timeout=TURN_SECONDS)[0]:
            told = list[tuple[_Seat, Reply]]()
            for reference in ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]:
                seat = asked[reference]
                try:
                    answer = ray.get(reference)
                except RayTaskError as error:
                    self._failed(seat, _cause(error))
                except RayError as error:
                    self._died(seat, crashed=_crashed(error))
                else:
                    seat.asked = None
                    told += [(seat, answer)] if seat.ready else self._started(seat, answer)
            self._settle(told)
        for seat in asked.values():
            if seat.asked is not None and time.monotonic() - seat.since > ANSWER_SECONDS:
                self._died(seat, crashed=False)

    def _started(self, seat: _Seat, answer: Any) -> Sequence[Any]:  # noqa: ANN401
        """Take the next step towards a worker."""
        if seat.actor is not None:
            seat.ready = True
        elif answer != (own := importlib.metadata.version("sensorium")):
            there = f"has Sensorium {answer}" if answer else "has no Sensorium"
            self._refuse(seat, InputError(f"It {there}, and this machine {own}.", remedy="Install the same on all nodes."))
        elif self._cluster.steady():
            seat.actor = self._cluster.worker(seat, len(self._encoders))
            seen = [root for root in self._roots if is_address(root) or os.path.lexists(root)]
            seat.ask(seat.actor.begin.remote(self._entry, self._elsewhere, seen, self._encoders))
        return ()

    def _settle(self, told: Sequence[tuple[_Seat, Reply]]) -> None:
        """End units. What is done is committed in one transaction."""
        queue, progress, done = self._queue, self._progress, list[Any]()
        for seat, reply in told:
            seat.last, seat.deaths = max(len(list(reply.units())), seat.last // 2), 0
            done += reply.done
            for unit, reason, detail in reply.failed:
                if queue.fail(unit, reason, detail):
                    progress.count_failure(reason)
            for unit in reply.gone:
                if not is_address(unit.path) and unchanged_since(unit.path, unit.size, unit.mtime_ns):
                    reply.back.append(unit)
                    unseen = f"It does not see {path_of(unit.path)} as it is."
                    self._refuse(seat, InputError(unseen, remedy="Mount the same folder there."))
                elif put_aside(queue, unit, self._roots, self._cluster.objects):
                    self.changed.append((unit.collection, unit.path))
            queue.hand_back(reply.back)
        if done and isinstance(queue, ReadingQueue):
            kept = queue.keep(done, self._entry.name)
            progress.read += len(kept)
            progress.passages += sum(one.count for one in kept)
        elif done:
            count_done(progress, queue.put(done))
        for seat, reply in told:  # last, so that none is lost if the database goes away meanwhile
            for unit in reply.units():
                seat.units.pop(unit.id, None)
                progress.current = path_of(unit.path)
            seat.alone = seat.alone and bool(seat.units)

    def _failed(self, seat: _Seat, error: BaseException) -> None:
        """A worker ended by itself."""
        if isinstance(error, ClusterAway):
            raise error
        if isinstance(error, ReaderHangs):  # the file is in the ledger
            self._died(seat, crashed=False)
        else:
            self._refuse(seat, error)

    def _died(self, seat: _Seat, *, crashed: bool) -> None:
        """Give back what a dead worker had, without an attempt: it cannot tell why it died. A unit that was in several that crashed is tried alone."""
        alone, units = seat.alone, self._empty(seat)
        seat.rest()
        back = []
        for unit in units:
            self._crashes[unit.id] += crashed
            if alone and self._crashes[unit.id] >= CROWD_CRASHES + MAX_ATTEMPTS:
                detail = f"It was given to a worker alone {MAX_ATTEMPTS} times, and each crashed."
                if self._queue.fail(replace(unit, attempts=MAX_ATTEMPTS), "killed", detail):
                    self._progress.count_failure("killed")
            elif self._crashes[unit.id] >= CROWD_CRASHES:
                self._suspects.append(unit)
            else:
                back.append(unit)
        self._queue.hand_back(back)

    def _refuse(self, seat: _Seat, error: BaseException) -> None:
        """Let a node take no part in this queue. If none is left, raise the reason."""
        self._queue.hand_back(self._empty(seat))
        seat.closed = True
        reason = self._cluster.refuse(seat, error)
        if all(other.closed for other in self._seats.values()):
            raise reason

    def _empty(self, seat: _Seat) -> list[Unit]:
        """End the actor of a seat. Returns the units that it had."""
        if seat.actor is not None:
            self._cluster.end(seat.actor)
        return seat.empty()

    def _abandon(self) -> None:
        """End the actors and return the units that are not done."""
        units = [*self._suspects, *itertools.chain.from_iterable(self._empty(seat) for seat in self._seats.values())]
        for actor in self._encoders:
            self._cluster.end(actor)
        self._seats, self._suspects, self._encoders = {}, [], []
        with contextlib.suppress(DatabaseAway):  # report the original error instead; leases time out by themselves
            self._queue.hand_back(units)


class Cluster:
    """A connection to a Ray cluster. ``errors`` are the reasons why nodes took no part; others did their work."""

    def __init__(self, settings: Settings, address: str = "auto", nodes: int = 0) -> None:
        """``address`` of the head; ``auto``: that of the cluster to which this machine belongs. Use at most so many ``nodes``; 0: all.
        Use it as a context manager.

        Raises:
            InputError: the address is one of Ray Client, which knows no actors on given nodes; or Ray is another there.
            ClusterAway: nobody answers.
        """
        if "://" in address:
            raise InputError(
                f"{address} is an address of Ray Client.", remedy="Give the head's own address, such as 10.0.0.1:6379."
            )
        self._settings = replace(settings, database_url="", vectors="")  # the database's password stays here
        self._address, self._most, self.objects = address, nodes, Objects(settings)
        self._head = address if ":" in address else ""
        self._nodes: list[dict[str, Any]] = []
        self._heard, self._refused, self._lost, self._over = 0.0, 0, False, threading.Event()
        self.errors: list[str] = []

    def __enter__(self) -> Cluster:
        self._connect()
        self._census = threading.Thread(target=self._count, name="census", daemon=True)
        self._census.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._over.set()
        if self._lost:
            atexit.register(_leave)
            return
        self._census.join(CONNECT_SECONDS)
        ray.shutdown()

    def work(
        self, queue: Queue, entry: Entry, progress: Progress, stop: threading.Event, scanning: Callable[[], bool],
        report: Callable[[Progress], None], take_back: Callable[[], None], elsewhere: Collection[Modality] = (),
        roots: Sequence[bytes] = (),
    ) -> list[tuple[int, bytes]]:  # fmt: skip
        """Work off a queue as ``Pipeline`` does. Returns the files that changed meanwhile, with their collections.

        Raises:
            ClusterAway: it went away, or let no worker start.
            InputError, ModelMissing: no node can take part, for this reason.
        """
        shift = _Shift(self, queue, entry, progress, stop, elsewhere, roots)
        shift.run(scanning, report, take_back)
        return shift.changed

    def nodes(self) -> list[dict[str, Any]]:
        """The living nodes that have processors.

        Raises:
            ClusterAway: the head does not answer.
        """
        if self._refused >= REFUSALS or time.monotonic() - self._heard > HEAD_SECONDS:
            self._lost = True
            raise ClusterAway(f"The Ray head at {self._head} has gone away.", remedy=_REMEDY)
        able = [node for node in self._nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        return sorted(able, key=lambda node: str(node["NodeID"]))[: self._most or None]

    def steady(self) -> bool:
        """Whether the head is there. If not, what asks it blocks."""
        try:
            self._knock()
        except OSError:
            return False
        return not self._refused

    def end(self, actor: Any) -> None:  # noqa: ANN401
        """End an actor, if the head answers."""
        if self.steady():
            with contextlib.suppress(RayError):  # it is dead
                ray.kill(actor)

    def refuse(self, seat: _Seat, error: BaseException) -> SensoriumError:
        """Note why a node takes no part. Returns the reason as an error of ours."""
        ours = isinstance(error, SensoriumError)
        told = f"{seat.name}: {error}" if ours else f"{seat.name}: {type(error).__name__}: {error}"
        remedy = error.remedy if isinstance(error, SensoriumError) else "Look into Ray's logs on that node."
        if (sentence := f"{told} {remedy}") not in self.errors:
            self.errors.append(sentence)
        return (type(error) if isinstance(error, _PORTABLE) else SensoriumError)(told, remedy=remedy)

    @property
    def part(self) -> float:
        """The part of a GPU that an actor takes; 0: none takes any."""
        return 1 / self._settings.gpu_encoders if self._settings.gpu_encoders else 0.0

    def greet(self, seat: _Seat) -> Any:  # noqa: ANN401
        """Ask a node which Sensorium it has: its version, or nothing."""
        return self._version.options(scheduling_strategy=_on(seat)).remote()

    def worker(self, seat: _Seat, encoders: int) -> Any:  # noqa: ANN401
        """A worker on a node."""
        cpus = min(seat.cpus, self._settings.decoders or seat.cpus)
        settings = replace(
            self._settings, decoders=cpus, encoders=self._settings.encoders or max(cpus, encoders),
            readers=self._settings.readers or cpus,
        )  # fmt: skip
        return self._worker.options(num_cpus=cpus, num_gpus=seat.gpus, scheduling_strategy=_on(seat)).remote(pack(settings))

    def encode_actors(self, entry: Entry) -> list[Any]:
        """Actors that encode, as many as there are GPUs for. None without GPUs, or for a reader."""
        cards = sum(node["Resources"].get("GPU", 0.0) for node in self.nodes())
        if not isinstance(entry, SpaceEntry) or not self.part:
            return []
        actor = _remote.remote(max_restarts=-1, num_cpus=0, num_gpus=self.part, scheduling_strategy="SPREAD")(_EncodeActor)
        return [actor.remote(pack(self._settings), entry.encoder) for _ in range(int(cards / self.part))]

    def _knock(self) -> None:
        """Raise an OSError if nobody listens at the head's address. Ray itself tries for minutes, and asking for the nodes may then end this process."""
        host, _, port = self._head.rpartition(":")
        if host:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()

    def _connect(self) -> None:
        def version() -> str:  # it travels as it is here, whatever is there
            try:
                return importlib.metadata.version("sensorium")
            except importlib.metadata.PackageNotFoundError:
                return ""

        os.environ.setdefault(
            "RAY_gcs_rpc_server_reconnect_timeout_s", "100000"
        )  # else Ray ends this process a minute after the head
        ray._private.worker.print_to_stdstream = lambda *_, **__: None  # else it prints to standard output when nodes die
        try:
            self._knock()
            ray.init(address=self._address, namespace="sensorium", log_to_driver=False, logging_level=logging.ERROR)
            self._head = ray.get_runtime_context().gcs_address
            self._nodes, self._heard = _remote.nodes(), time.monotonic()
            self._version, self._worker = _remote.remote(num_cpus=0, max_retries=0)(version), _remote.remote(_NodeWorker)
        except (RuntimeError, OSError, ValueError, RayError) as error:
            why = " ".join(str(error).split())
            if "ersion mismatch" in why:
                raise InputError(why, remedy="Install the same versions on all nodes.") from error
            raise ClusterAway(f"The Ray cluster at {self._address} cannot be reached: {why[:300]}", remedy=_REMEDY) from error

    def _count(self) -> None:
        """Look again and again which nodes there are. It has a thread, since without a head it blocks."""
        while not self._over.wait(CENSUS_SECONDS):
            try:
                self._knock()
            except OSError:
                self._refused += 1
                continue
            if self._refused < REFUSALS:  # else another one may listen there, and Ray must not be asked of it
                with contextlib.suppress(Exception):  # it is told by what comes next
                    self._nodes, self._heard, self._refused = _remote.nodes(), time.monotonic(), 0


_PORTABLE = (ModelMissing, InputError, ReaderHangs, ClusterAway)
"""Errors that mean something on the other side. Others travel as what they are kinds of."""

_REMEDY = "Check it with `ray status`. This machine must belong to it: `ray start --address=HEAD:6379`. What was committed is safe: run the same command again."


@contextlib.contextmanager
def _portable() -> Iterator[None]:
    """Raise errors of ours in a form that can be sent."""
    try:
        yield
    except SensoriumError as error:
        kind = next((kind for kind in _PORTABLE if isinstance(error, kind)), SensoriumError)
        raise kind(str(error), remedy=error.remedy) from None


def _leave() -> None:
    """End this process at once. Without a head Ray cannot be shut down: it would wait for the head, and crash if it is not shut down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _load(settings: Settings, name: str) -> Encoder:
    return encoders.load(name, Models.of(settings), settings.device)


def _on(seat: _Seat) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(seat.node, soft=False)


def _cause(error: RayTaskError) -> BaseException:
    """What was raised on the other side."""
    return error.cause if isinstance(error.cause, BaseException) else RuntimeError(str(error))


def _crashed(error: BaseException) -> bool:
    """Whether an actor's process ended by itself, not with its node, by ``ray.kill`` or by Ray's watch on memory."""
    return "SYSTEM_ERROR" in str(error)


def _pauses() -> Iterator[float]:
    """Seconds, more and more, without end."""
    return (min(2.0**turn / 2, MAX_PAUSE_SECONDS) for turn in itertools.count())
