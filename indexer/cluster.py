"""Workers on a Ray cluster. They lease from the same queue as this process, and commit by the same transactions. So what a worker, a node or
this process had begun when it was killed is leased again, and nothing that was committed is done again.

Encoders may run in actors of their own, each with a part of a GPU. Then decoding and encoding scale apart from each other.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import os
import platform
import random
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, RayError

from indexer.pipeline import Progress, added
from indexer.run import Indexer, Report, indexer
from indexer.scan import Tally
from search import encoders
from search.encoders import Content, Encoder, GrainedEncoder
from search.errors import ClusterAway, InputError, ModelMissing, SensoriumError
from search.models import Models
from search.settings import Settings, pack, unpack
from search.types import Modality, Vectors

_remote: Any = ray  # its types know neither every option of an actor nor what these functions return

ANSWER_SECONDS = 600.0
"""Seconds for which an encoder is waited for. It may be loading, or move to another node."""

POLL_SECONDS = 0.5
"""Seconds between two looks at what the workers have done."""

LEAVE_SECONDS = 60.0
"""How long workers may go on with the files that they are decoding when they are told to end."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """An error of ours on another node. Ray would wrap it into one of its own, and cannot carry all of ours."""

    message: str
    remedy: str
    lacks_model: bool

    @classmethod
    def of(cls, error: SensoriumError) -> _Trouble:
        return cls(str(error), error.remedy, isinstance(error, ModelMissing))

    def error(self) -> SensoriumError:
        return (ModelMissing if self.lacks_model else SensoriumError)(self.message, remedy=self.remedy)


class _Towers:
    """An actor that encodes. It loads each encoder when it is first asked for."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = unpack(settings)
        self._loaded: dict[str, Encoder] = {}

    def _encoder(self, name: str) -> Encoder:
        if name not in self._loaded:
            self._loaded[name] = encoders.load(name, Models.of(self._settings), self._settings.device)
        return self._loaded[name]

    def describe(self, name: str) -> Any:  # noqa: ANN401 - or trouble
        """The encoder's space and needs, and whether it has grains."""
        try:
            encoder = self._encoder(name)
        except SensoriumError as error:
            return _Trouble.of(error)
        return encoder.space, encoder.needs, isinstance(encoder, GrainedEncoder)

    def encode(self, name: str, modality: Modality, batch: Sequence[Content]) -> Any:  # noqa: ANN401
        """See ``Encoder``."""
        try:
            return self._encoder(name).encode(modality, batch)
        except SensoriumError as error:
            return _Trouble.of(error)

    def frames(self, name: str, shots: Sequence[NDArray[np.uint8]]) -> Any:  # noqa: ANN401
        """See ``GrainedEncoder``."""
        try:
            return cast("GrainedEncoder", self._encoder(name)).frames(shots)
        except SensoriumError as error:
            return _Trouble.of(error)


class _FarEncoder:
    """An Encoder that runs in actors, which are asked in turn."""

    def __init__(self, towers: Sequence[Any], name: str) -> None:
        self._name = name
        some = list(towers)
        random.shuffle(some)  # workers do not all begin with the same one
        self._turn, self._lock = itertools.cycle(some), threading.Lock()
        self.space, self.needs, self.grained = self._ask("describe")

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """See ``Encoder``."""
        return cast("Vectors", self._ask("encode", modality, list(batch)))

    def _ask(self, method: str, *given: Any) -> Any:  # noqa: ANN401 - what the method returns
        with self._lock:
            towers = next(self._turn)
        try:
            # An actor that dies amid a call is started again, twice: content that kills it fails, and no other does.
            found = ray.get(getattr(towers, method).remote(self._name, *given), timeout=ANSWER_SECONDS)
        except GetTimeoutError as error:
            raise ClusterAway(
                f"The cluster's encoders have not answered for {ANSWER_SECONDS:.0f} seconds.",
                remedy="Look at `ray status`: their nodes may be gone, or busy. Run the same command again to continue.",
            ) from error
        except RayError:  # the content's failure, or the actor's: see ``Pipeline``
            raise
        except Exception as error:  # the connection to the cluster is lost
            raise _away(error) from error
        if isinstance(found, _Trouble):
            raise found.error()
        return found


class _FarGrained(_FarEncoder):
    """The same for an encoder with grains."""

    def frames(self, shots: Sequence[NDArray[np.uint8]]) -> list[Vectors]:
        """See ``GrainedEncoder``."""
        return cast("list[Vectors]", self._ask("frames", list(shots)))

    def words(self, text: str) -> Vectors:
        """Texts are not searched for here."""
        raise NotImplementedError


class _Hand:
    """An actor that works off the queue: an ``Indexer`` that scans nothing."""

    def __init__(self, settings: Mapping[str, Any], version: str, roots: Sequence[str], towers: Sequence[Any]) -> None:
        self._settings, self._version, self._roots, self._towers = unpack(settings), version, roots, towers
        self._life, self._progress = uuid.uuid4().hex, Progress()
        self._running: Indexer | None = None
        self._told = threading.Event()

    def work(self) -> _Trouble | None:
        """Work until ``stop``. Returns why it ended early."""
        try:
            self._look()
            load = far(self._towers) if self._towers else None
            with indexer(self._settings, load=load, patience=ANSWER_SECONDS, stop=self._told) as running:
                self._running = running
                if self._told.is_set():
                    running.halt()
                running.bring(0, [], lambda *_: None, Tally(), self._progress, lingers=True)
        except SensoriumError as error:
            return _Trouble.of(error)
        return None

    def progress(self) -> tuple[str, Progress]:
        """What it has done in this life; one that was started again has another."""
        return self._life, self._progress

    def stop(self) -> None:
        """Finish what is being decoded, and end."""
        self._told.set()
        if self._running is not None:
            self._running.halt()

    def _look(self) -> None:
        """Check that this node can take part.

        Raises:
            InputError: it has another version, or does not see the files. It would take them for missing.
        """
        if (here := importlib.metadata.version("sensorium")) != self._version:
            raise InputError(
                f"{platform.node()} has Sensorium {here}, and this machine {self._version}.", remedy="Install the same on both."
            )
        if unseen := [root for root in self._roots if not os.path.lexists(root)]:
            raise InputError(f"{platform.node()} does not see {unseen[0]}.", remedy="Mount it there under the same path.")


class Cluster:
    """Workers on the nodes of a Ray cluster, as ``Workers`` are on this machine. ``errors`` are the reasons why some ended early."""

    def __init__(
        self, settings: Settings, address: str, paths: Sequence[Path], *, workers: int = 0, towers: int = 0, gpus: float = 0.0
    ) -> None:
        """``address`` of the cluster's head. ``workers``: 0 means one a node. ``towers``: actors that encode, each with this part of a
        GPU; 0 means as many as there are GPUs for, and if there are none, that workers encode by themselves. Use it as a context manager.
        """
        self._settings, self._address, self._paths = settings, address, [os.path.abspath(path) for path in paths]
        self._count, self._asked, self._gpus = workers, towers, gpus
        self._lives: dict[str, Progress] = {}
        self._over = threading.Event()
        self.errors: list[str] = []
        self.hands: list[Any] = []
        self.towers: list[Any] = []

    def __enter__(self) -> Cluster:
        try:
            ray.init(address=self._address, namespace="sensorium", log_to_driver=False, logging_level=logging.ERROR)
        except RuntimeError as error:
            if "ersion mismatch" not in str(error):
                raise _away(error) from error
            raise InputError(" ".join(str(error).split()), remedy="Install the same versions on all nodes.") from error
        except (ConnectionError, ValueError, RayError) as error:
            raise _away(error) from error
        try:
            self._start()
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._over.set()
        try:
            for hand in self.hands:
                hand.stop.remote()
            ray.wait(self._works, num_returns=len(self._works), timeout=LEAVE_SECONDS)
            self._thread.join()
            self._count_up()
        except RayError as error:  # it is gone: what was committed is safe, and this process has done the rest
            self.errors.append(str(_away(error)))
        finally:
            ray.shutdown()  # which ends the actors

    @property
    def load(self) -> Callable[[str], Encoder] | None:
        """Loads an encoder that runs in the cluster; None if none do."""
        return far(self.towers) if self.towers else None

    def together(self, own: Progress) -> Progress:
        """The progress of all workers, with this process's ``own``."""
        return added(own, list(self._lives.values()))

    def reporting(self, report: Report) -> Report:
        """A report function that reports the progress of all workers."""
        return lambda tally, own, scanning: report(tally, self.together(own), scanning)

    def _start(self) -> None:
        nodes = [node for node in _remote.nodes() if node["Alive"]]
        if len({node["NodeManagerAddress"] for node in nodes}) > 1 and not self._settings.database_url.startswith("postgresql"):
            raise InputError(
                "The cluster has several machines, and SQLite serves one.",
                remedy="Set SENSORIUM_DATABASE_URL to a PostgreSQL database that all of them reach.",
            )
        cards = sum(node["Resources"].get("GPU", 0.0) for node in nodes)
        part = self._gpus or (1.0 if cards else 0.0)
        count = self._asked or (int(cards / part) if part else 0)
        told = pack(self._settings)
        tower = _remote.remote(
            max_restarts=-1, max_task_retries=2, num_cpus=0 if part else 1, num_gpus=part, scheduling_strategy="SPREAD"
        )(_Towers)
        self.towers = [tower.remote(told) for _ in range(count)]
        hand = _remote.remote(max_restarts=-1, max_task_retries=-1, num_cpus=1, max_concurrency=4, scheduling_strategy="SPREAD")(
            _Hand
        )
        given = (told, importlib.metadata.version("sensorium"), self._paths, self.towers)
        self.hands = [hand.remote(*given) for _ in range(self._count or len(nodes))]
        self._works = [hand.work.remote() for hand in self.hands]
        self._thread = threading.Thread(target=self._listen, name="cluster", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        waiting = list(self._works)
        while not self._over.wait(POLL_SECONDS):
            self._count_up()
            ended, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
            for work in ended:
                try:
                    trouble = ray.get(work)
                except RayError as error:
                    trouble = _Trouble(str(error).strip().partition("\n")[0], "", False)
                if trouble is not None:
                    self.errors.append(f"{trouble.message} {trouble.remedy}".strip())

    def _count_up(self) -> None:
        """Ask every worker what it has done."""
        for ask in [hand.progress.remote() for hand in self.hands]:
            try:
                life, progress = ray.get(ask, timeout=POLL_SECONDS)
            except (RayError, OSError):  # it is being started, or started again
                continue
            self._lives[life] = progress


def far(towers: Sequence[Any]) -> Callable[[str], Encoder]:
    """Loads encoders that run in actors."""

    def load(name: str) -> Encoder:
        encoder = _FarEncoder(towers, name)
        return _FarGrained(towers, name) if encoder.grained else encoder

    return load


def _away(error: BaseException) -> ClusterAway:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return ClusterAway(
        f"The Ray cluster cannot be reached: {told}.",
        remedy="Check with `ray status --address …` that it runs. What was committed is safe; run the same command again to continue.",
    )
