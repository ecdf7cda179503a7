"""Traces by OpenTelemetry, where it is installed and its own variables say where to send them: ``OTEL_EXPORTER_OTLP_ENDPOINT``, or
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``. Otherwise nothing is recorded, and nothing is sent.

A span tells its stage, numbers, the template of a route and the request's id; never a question, a path or a name.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, Protocol

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_log = logging.getLogger(__name__)


class Noting(Protocol):
    """A span that is going on."""

    def note(self, **figures: str | int | float) -> None:
        """Add attributes to it."""
        ...


class _Nothing:
    def note(self, **figures: str | int | float) -> None:
        pass


OFF: AbstractContextManager[Noting] = nullcontext(_Nothing())
"""No span."""


def span(name: str, parent: Any = None, **figures: str | int | float) -> AbstractContextManager[Noting]:  # noqa: ANN401
    """A span for as long as the context lasts, below the one that is going on, or below ``parent`` (from ``here`` or ``told``)."""
    tracer = _tracer()
    return OFF if tracer is None else _span(tracer, name, parent, figures)


def lapsed(name: str, seconds: float) -> None:
    """Record a stage that has just ended, after so long."""
    if (tracer := _tracer()) is not None:
        now = time.time_ns()
        tracer.start_span(name, start_time=now - round(seconds * 1e9)).end(now)


def here() -> Any:  # noqa: ANN401 - what OpenTelemetry calls a context
    """The span that is going on, as the ``parent`` of spans in other threads; None: there is none."""
    return None if _tracer() is None else importlib.import_module("opentelemetry.context").get_current()


def headers() -> dict[str, str]:
    """Headers that tell another process of the span that is going on."""
    carrier: dict[str, str] = {}
    if _tracer() is not None:
        _propagator().inject(carrier)
    return carrier


def told(given: Mapping[str, str]) -> Any:  # noqa: ANN401
    """The span that headers tell of, as a ``parent``; None: nothing is recorded."""
    if _tracer() is None:
        return None
    return _propagator().extract({name: given[name] for name in ("traceparent", "tracestate") if name in given})


@contextmanager
def _span(tracer: Any, name: str, parent: Any, figures: Mapping[str, str | int | float]) -> Iterator[Noting]:  # noqa: ANN401
    kept = {"context": parent, "attributes": dict(figures), "record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(name, **kept) as one:
        try:
            yield _Span(one)
        except BaseException as error:  # its text may name a file
            one.set_attribute("error.type", type(error).__name__)
            raise


class _Span:
    def __init__(self, one: Any) -> None:  # noqa: ANN401
        self._one = one

    def note(self, **figures: str | int | float) -> None:
        self._one.set_attributes(figures)


@lru_cache(maxsize=1)
def _tracer() -> Any:  # noqa: ANN401
    """What makes spans; None: nobody asked for them."""
    asked = any(os.environ.get(name) for name in ENDPOINTS) and os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    if not asked or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        exporting = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        batching = importlib.import_module("opentelemetry.sdk.trace.export")
    except ModuleNotFoundError:
        _log.warning("Traces are asked for, but OpenTelemetry is not installed: pip install 'sensorium[telemetry]'")
        return None
    return tracer_of(batching.BatchSpanProcessor(exporting.OTLPSpanExporter()))


def tracer_of(processor: Any) -> Any:  # noqa: ANN401
    """A tracer whose spans go to this span processor. It tells nothing of the machine but its name for the service."""
    sdk, resources = importlib.import_module("opentelemetry.sdk.trace"), importlib.import_module("opentelemetry.sdk.resources")
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "sensorium"}
    provider = sdk.TracerProvider(resource=resources.Resource.create(named))
    provider.add_span_processor(processor)
    return provider.get_tracer("sensorium")


def _propagator() -> Any:  # noqa: ANN401
    return importlib.import_module("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator()
