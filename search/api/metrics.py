"""Metrics of the service, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.api.access import name_route
from search.api.schemas import BASE
from search.store.tables import REVISION

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """The state of the archive and the machine. ``counts``: the last counts, keyed like ``Metrics.counts``; ``database``: whether
    it can be used; ``free`` and ``uploads`` in bytes; ``recall``: see ``wire.recall``."""

    counts: Mapping[str, Mapping[str, int]]
    generation: int | None
    database: bool
    free: int
    uploads: int
    recall: Sequence[Mapping[str, Any]] = ()


class Metrics:
    """The service's metrics, in a separate registry."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("sensorium_requests", "Requests", ("method", "route", "status"), registry=own)
        self.latency = Histogram(
            "sensorium_request_seconds", "Seconds until the answer began", ("method", "route"), buckets=_BUCKETS, registry=own
        )
        self.stages = Histogram("sensorium_search_seconds", "Seconds of a search", ("stage",), buckets=_BUCKETS, registry=own)
        self.loading = Gauge("sensorium_encoder_load_seconds", "Seconds that loading the encoder took", registry=own)
        self.generation = Gauge("sensorium_index_generation", "The generation of the index", registry=own)
        self.database = Gauge("sensorium_database_up", "Whether the database can be used", registry=own)
        self.counts = {
            "files": Gauge("sensorium_files", "Files in the archive", ("state",), registry=own),
            "units": Gauge("sensorium_units", "Units of work, each an asset for a space", ("state",), registry=own),
            "ledger": Gauge("sensorium_ledger", "Lines of the ledger", ("reason",), registry=own),
            "segments": Gauge("sensorium_segments", "Segments in the archive", ("kind",), registry=own),
            "jobs": Gauge("sensorium_jobs", "Index jobs", ("state",), registry=own),
        }
        self.recall = Gauge(
            "sensorium_recall_at_10",
            "What lists find of what an exact scan finds",
            ("space", "kind", "asked", "on"),
            registry=own,
        )
        self.free = Gauge("sensorium_disk_free_bytes", "Bytes free on the disk of the home", registry=own)
        self.uploads = Gauge("sensorium_uploads_bytes", "Bytes that uploads take", registry=own)
        Info("sensorium_build", "The program that runs", registry=own).info(
            {"version": version("sensorium"), "revision": REVISION}
        )

    def searched(self, timings_ms: dict[str, float]) -> None:
        """Record the times of the stages of a search."""
        for stage, spent in timings_ms.items():
            self.stages.labels(stage).observe(spent / 1000)

    def render(self, figures: Figures) -> bytes:
        """All metrics in Prometheus's text format."""
        for name, gauge in self.counts.items():
            gauge.clear()
            for label, count in figures.counts.get(name, {}).items():
                gauge.labels(label).set(count)
        self.database.set(figures.database)
        self.generation.set(figures.generation or 0)
        self.recall.clear()
        for one in figures.recall:
            on = "asked" if one["real"] else "samples"
            self.recall.labels(one["space"], one["kind"], one["asked"], on).set(one["recall"])
        self.free.set(figures.free)
        self.uploads.set(figures.uploads)
        return generate_latest(self._registry)


class Measured:
    """Middleware: counts requests by route template, so that ids do not become labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, and count it when the answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, has_begun = time.perf_counter(), False

        def note(status: int) -> None:
            nonlocal has_begun
            if has_begun:
                return
            has_begun = True
            route = getattr(scope.get("route"), "path", "none")
            name_route(scope, f"{BASE}{route}" if route != "none" else route)
            self._note(scope["method"], route, status, time.perf_counter() - began)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                note(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:  # answered further out
            note(500)
            raise

    def _note(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._metrics.requests.labels(known, route, str(status)).inc()
        self._metrics.latency.labels(known, route).observe(seconds)


_METHODS = {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"}
