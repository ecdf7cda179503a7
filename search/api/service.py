"""The service: holds one archive open, loads its engine in the background, and provides what the routes share."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any, Literal

from search import encoders, wire
from search.api import links
from search.api.calibrating import Calibrating
from search.api.drain import Drain
from search.api.imaginings import Imaginings
from search.api.index_jobs import IndexJobs, JobRunner
from search.api.lazy_models import LazyModel
from search.api.metrics import Figures, Metrics
from search.api.problems import DATABASE_RETRY_SECONDS, MODEL_RETRY_SECONDS
from search.api.seen import Seen
from search.api.standing import StandingQuestions
from search.api.thumbnails import Thumbnails
from search.api.turns import Turns
from search.api.uploads import Uploads
from search.encoders import Encoder
from search.errors import DatabaseAway, ModelMissing, Problem, SensoriumError, StillLoading
from search.locks import Worker
from search.media import DecodePool
from search.models import Models
from search.ondemand import ask, imagine, masking, translate
from search.query import Engine
from search.query.searcher import Searcher
from search.settings import Settings
from search.store import Database, Readers, Spaces, SqlStore
from search.store.saved import SavedQuestions
from search.store.spaces import encoder_name
from search.types import Coverage, Filter, Hit, Within

LOAD_SECONDS = 5.0
"""Seconds that a search waits for the engine to load before it is answered with Retry-After."""

MAX_SCOPES = 200
"""Sets of collections that callers are limited to, of which what they see is kept ready."""

_log = logging.getLogger(__name__)

State = Literal["ready", "loading", "empty", "failed"]


class Service:
    """Thread-safe. ``start`` begins loading; ``close`` stops everything."""

    def __init__(
        self, settings: Settings, *, load: Callable[[str], Encoder] | None = None, runner: JobRunner | None = None,
        patience: float = LOAD_SECONDS, again: float = MODEL_RETRY_SECONDS,
    ) -> None:  # fmt: skip
        """Open the archive of ``settings``, or create it. ``load`` returns encoders by name; ``runner`` runs index jobs.

        A search waits ``patience`` seconds for the encoder. After a failure, loading is retried after ``again`` seconds at the
        earliest.

        A database that cannot be reached yet is waited for in the background; until then, requests are answered with 503.

        Raises:
            NewerDatabase: a later program wrote the database.
        """
        self.settings = settings
        self.database = Database(settings.database)
        self.whole = Seen(settings, self.database)
        self._parts = lru_cache(MAX_SCOPES)(self._part)
        self.store, self.spaces, self.readers = self.whole.store, Spaces(self.database), Readers(self.database)
        self._failure: SensoriumError | None = None
        self._due, self._loaded = 0.0, threading.Event()
        try:
            self._prepare()
        except DatabaseAway as error:
            self._failure, self._due = error, math.inf
            self._loaded.set()
        self.places, self.metrics, self.drain = self.whole.places, Metrics(), Drain()
        self.pool = DecodePool(settings, max(1, settings.cores // 2))
        self.thumbnails = Thumbnails(settings, self.pool)
        self.searching = Turns("searches", settings.cores)
        self.picturing = Turns("pictures", settings.cores)
        self.decoding = Turns("files to be decoded", 4)  # by the processes of the pool; this many threads wait for them
        self.writing = Turns("questions to models", 4)
        self.uploads = Uploads(settings, self.pool, self.decoding)
        self._masks: DecodePool | None = None
        self._worker = Worker(settings.home)
        self.jobs = IndexJobs(self.database, self._worker, runner, webhook=settings.job_webhook, secret=settings.webhook_secret)
        self.calibrating = Calibrating(settings, lambda: self._engine)
        self.standing = StandingQuestions(
            SavedQuestions(self.database), lambda: self._engine, self._narrowed, self._hit, settings.webhook_secret
        )
        self._load = load or partial(encoders.load, models=Models.of(settings), device=settings.device)
        self._patience, self._again = patience, again
        models, device = Models.of(settings), settings.device
        often = {"patience": patience, "again": again}
        self.captioner = LazyModel(partial(ask.load, settings.captioner, models, device), **often)
        self.translator = LazyModel(partial(translate.load, settings.translator, models, device), **often)
        self.imaginer = LazyModel(partial(imagine.load, settings.imaginer, models, device), **often)
        self.imaginings = Imaginings(self.imaginer, self.uploads, self.places.hide(settings.imaginer) or "")
        self.segmenter = LazyModel(partial(masking.load, settings.masker, models, device), **often)
        self._encoder: tuple[str, Encoder] | None = None
        self._engine: Engine | None = None
        self._ending = threading.Event()
        self._waiting: threading.Thread | None = None
        self._opening, self._closed = threading.Lock(), False

    def start(self) -> None:
        """Load the encoder in the background, continue waiting jobs, and start automatic calibration; once the database is there."""
        if self._failure is None:
            self._begin()
            return
        self._waiting = threading.Thread(target=self._attend, name="database", daemon=True)
        self._waiting.start()

    def _prepare(self) -> None:
        """Bring the database up to date."""
        self.database.upgrade()
        self.spaces.renew()

    def _begin(self) -> None:
        threading.Thread(target=self._load_encoder, name="load", daemon=True).start()
        self.jobs.start()
        self.calibrating.start()
        if not self.database.read_only:  # what has been told is noted
            self.standing.start()

    def _attend(self) -> None:
        """Begin as soon as the database can be reached."""
        while self.database.wait(stop=self._ending):
            try:
                self._prepare()
            except DatabaseAway:
                continue
            except SensoriumError as error:  # a later program wrote it
                _log.error("The database cannot be used: %s", error)
                self._failure = error
                return
            with self._opening:
                self._failure = None
                self._loaded.clear()
            self._begin()
            return

    def close(self) -> None:
        """Stop jobs, decoding processes and connections."""
        self._ending.set()
        if self._waiting:
            self._waiting.join()
        self.jobs.close()
        self.imaginings.close()
        self.calibrating.close()
        self.standing.close()
        with self._opening:
            self._closed = True  # what is still loading opens no engine any more
        if self._engine:
            self._engine.close()
        self.pool.close()
        if self._masks:
            self._masks.close()
        self._worker.close()
        self.database.close()

    def engine(self) -> Engine:
        """The engine; waits a few seconds for it to load.

        Raises:
            Problem: it is still loading (503, with Retry-After), or nothing is indexed yet (409).
            ModelMissing: the encoder's weights are not installed.
        """
        self._load_again()
        if not self._loaded.wait(self._patience):
            raise _loading("The models are being loaded; searching begins in a moment.")
        if failure := self._failure:
            raise failure
        engine = self._open()
        if engine is None:
            raise Problem(
                409, "empty-archive", "The archive is empty", "Nothing is indexed yet, so nothing can be found.",
                remedy="Start an index job (POST /v1/index-jobs), or run `sensorium index PATH`.",
            )  # fmt: skip
        return engine

    def masks(self) -> DecodePool:
        """What makes masks, in a process of its own that is started when it is first needed.

        Raises:
            ModelMissing: OpenCV is not installed.
        """
        if find_spec("cv2") is None:
            raise ModelMissing(
                "Masks need the package cv2, which is not installed.", remedy="Install it: pip install 'sensorium[masks]'"
            )
        with self._opening:
            self._masks = self._masks or DecodePool(self.settings, 1, masks=True)
            return self._masks

    def seen(self, within: Within) -> Seen:
        """What somebody sees who is limited to the collections ``within``; None: to none."""
        return self.whole if within is None else self._parts(within)

    def _part(self, within: tuple[str, ...]) -> Seen:
        return Seen(self.settings, self.database, within, self.whole)

    def figures(self) -> Figures:
        """Metrics of the archive and the machine. Uses cached counts rather than the database where possible."""
        try:
            jobs, is_up = self.jobs.book.counts(), True
            counts, recall = self.whole.counts(), wire.recall(self.settings.home, self.spaces.all())
        except SensoriumError:
            counts, jobs, is_up, recall = self.whole.counted, {}, False, []
        told = {name: counts.get(name, {}) for name in ("files", "units", "ledger", "segments")} | {"jobs": jobs}
        return Figures(told, self.generation(), is_up, shutil.disk_usage(self.settings.home).free, self.uploads.taken(), recall)

    def generation(self) -> int | None:
        """The current generation of the index; None while there is no engine."""
        return self._engine.live.generation if self._engine else None

    def coverage(self, collections: Sequence[str]) -> dict[str, Coverage]:
        """How much of each of these collections a search in the default space can see."""
        store = SqlStore(self.database, tuple(collections))
        if self._engine is not None:
            self._engine.follow()
            return store.coverage(self._engine.searcher().entry.key)
        return store.coverage(self.spaces.find(self.settings.space).key) if self.spaces.all() else {}

    def searcher(self, name: str) -> Searcher:
        """The searcher of a space; see ``engine``. Waits a few seconds for a space that is not open yet.

        Raises:
            Problem: its model is still being loaded (503, with Retry-After).
        """
        try:
            return self.engine().searcher(name, patience=self._patience)
        except StillLoading as error:
            raise _loading(str(error)) from error

    def _narrowed(self, wanted: Filter) -> Filter:
        """A filter whose folders, relative to the roots of its collections, are absolute paths, and that tells no positions that are not
        shown."""
        under = tuple(path for folder in wanted.under for path in self.places.under(folder, wanted.collections))
        return replace(wanted, under=under, located=self.places.located())

    def _hit(self, hit: Hit) -> Any:  # noqa: ANN401 - any JSON value
        """A hit as callers of the API see it."""
        asset = self.whole.catalogue.assets([hit.segment.asset])[hit.segment.asset]
        return links.hit(hit, asset, self.places).model_dump(mode="json")

    def state(self) -> tuple[State, SensoriumError | None]:
        """The engine's state without waiting, and the error if it failed."""
        self._load_again()
        if not self._loaded.is_set():
            return "loading", None
        if self._failure:
            return "failed", self._failure
        try:
            self.store.version()  # an engine that is open says nothing of the database
            return ("ready" if self._open() else "empty"), None
        except SensoriumError as error:
            return "failed", error

    def _open(self) -> Engine | None:
        """The engine, opened as soon as there is anything to search. On a new archive that is after the first index job."""
        if self._engine is None:
            with self._opening:
                if self._engine is None and not self._closed and self._encoder and self._anything():
                    self._engine = Engine(self.settings, load=self._loaded_or_load)
        return self._engine

    def _anything(self) -> bool:
        entries = self.spaces.all()
        return bool(entries) and self.store.holds_any(self.spaces.find(self.settings.space).key)

    def _loaded_or_load(self, name: str) -> Encoder:
        """An encoder by name. The first one that the service needs is already loaded."""
        return self._encoder[1] if self._encoder and self._encoder[0] == name else self._load(name)

    def _load_again(self) -> None:
        """If loading failed some time ago, start it again in the background."""
        with self._opening:
            if self._failure is None or time.monotonic() < self._due:
                return
            self._failure = None
            self._loaded.clear()
        threading.Thread(target=self._load_encoder, name="load", daemon=True).start()

    def _load_encoder(self) -> None:
        began, self._due = time.perf_counter(), math.inf
        try:
            name = encoder_name(self.database, self.settings.space)
            self._encoder = name, self._load(name)
            self._open()
        except SensoriumError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the rest of the service stays up and says so
            self._failure = ModelMissing(f"The model could not be loaded: {error}", remedy="Run `sensorium doctor`.")
        finally:
            self._due = time.monotonic() + (DATABASE_RETRY_SECONDS if isinstance(self._failure, DatabaseAway) else self._again)
            self.metrics.loading.set(time.perf_counter() - began)
            self._loaded.set()


def _loading(detail: str) -> Problem:
    return Problem(503, "loading", "The engine is loading", detail, remedy="Ask again in a few seconds.", retry_after="2")
