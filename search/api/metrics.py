"""What the service measures of itself, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The service's figures, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("sensorium_requests", "Requests", ("method", "route", "status"), registry=own)
        self.latency = Histogram(
            "sensorium_request_seconds", "Seconds until the answer began", ("method", "route"), buckets=_BUCKETS, registry=own
        )
        self.stages = Histogram("sensorium_search_seconds", "Seconds of a search", ("stage",), buckets=_BUCKETS, registry=own)
        self.loading = Gauge("sensorium_encoder_load_seconds", "Seconds that loading the encoder took", registry=own)
        self.segments = Gauge("sensorium_segments", "Segments in the archive", ("kind",), registry=own)
        self.generation = Gauge("sensorium_index_generation", "The generation of the index", registry=own)
        self.database = Gauge("sensorium_database_up", "Whether the database can be used", registry=own)

    def searched(self, timings_ms: dict[str, float]) -> None:
        """Take note of what the stages of a search took."""
        for stage, spent in timings_ms.items():
            self.stages.labels(stage).observe(spent / 1000)

    def render(self, segments: dict[str, int], generation: int | None, *, database: bool) -> bytes:
        """Everything in Prometheus's text format. ``segments`` are those that were last counted, ``database`` whether that could be used just now."""
        self.database.set(database)
        self.segments.clear()
        for kind, count in segments.items():
            self.segments.labels(kind).set(count)
        self.generation.set(generation or 0)
        return generate_latest(self._registry)


class Measured:
    """Middleware: counts requests by the template of their route, so that ids do not become labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and take note when the answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._note(scope["method"], route, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, note)

    def _note(self, method: str, route: str, status: Any, seconds: float) -> None:  # noqa: ANN401 - a message's value
        known = method if method in _METHODS else "other"
        self._metrics.requests.labels(known, route, str(status)).inc()
        self._metrics.latency.labels(known, route).observe(seconds)


_METHODS = {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"}
