"""One trace from who asks to the index, and one of a run of the indexer; nothing of either without being asked for."""

from __future__ import annotations

import sys

import pytest

from indexer.run import RunRequest, index
from search import traces

pytest.importorskip("opentelemetry.sdk")


@pytest.fixture
def spans(monkeypatch):
    """What is recorded from here on, by OpenTelemetry's exporter in memory."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracer = traces.tracer_of(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_tracer", lambda: tracer)
    return exporter


def test_a_question_is_one_trace_from_the_page_to_the_index_and_tells_nothing_of_it(http, spans):
    with traces.span("page"):
        given = traces.headers()
    found = http.post(
        "/v1/search", json={"query": [{"text": "secretflowers red"}], "k": 3}, headers=given | {"X-Request-Id": "abc-1"}
    ).json()
    http.get(f"/v1/assets/{found['hits'][0]['asset']['id']}/thumbnail")
    every = spans.get_finished_spans()
    page, request = (next(one for one in every if one.name == name) for name in ("page", "request"))
    assert request.parent.span_id == page.context.span_id
    assert dict(request.attributes) == {
        "request.id": "abc-1", "http.request.method": "POST", "http.route": "/v1/search", "http.response.status_code": 200,
    }  # fmt: skip
    inside = {one.name for one in every if one.parent and one.parent.span_id == request.context.span_id}
    assert inside >= {"encode", "words", "filter", "scan", "hydrate"}
    assert {one.context.trace_id for one in every if one.name in inside | {"request"}} >= {page.context.trace_id}
    assert "thumbnail" in {one.name for one in every}
    assert "secretflowers" not in "".join(one.to_json() for one in every)


def test_a_run_of_the_indexer_is_one_trace(settings, archive, encoder, spans):
    index(settings, RunRequest([archive]), encoder=encoder)
    every = spans.get_finished_spans()
    assert {one.name for one in every} == {"ingest", "scan", "decode", "encode", "commit"}
    assert len({one.context.trace_id for one in every}) == 1
    assert sum(one.name == "decode" for one in every) == 13
    assert sum(one.attributes["units"] for one in every if one.name == "commit") == 13
    told = "".join(one.to_json() for one in every)
    assert str(archive) not in told
    assert "red.png" not in told


def test_an_error_tells_its_kind_and_not_its_text(spans):
    with pytest.raises(ValueError, match="a/path"), traces.span("decode"):
        raise ValueError("a/path")
    (one,) = spans.get_finished_spans()
    assert dict(one.attributes) == {"error.type": "ValueError"}
    assert "a/path" not in one.to_json()


def test_nothing_is_recorded_unless_asked_for(monkeypatch):
    for name in (*traces.ENDPOINTS, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    traces._tracer.cache_clear()
    assert traces.span("request") is traces.OFF
    assert (traces.headers(), traces.here()) == ({}, None)
    for name, value in ((traces.ENDPOINTS[0], "http://127.0.0.1:9"), ("OTEL_SDK_DISABLED", "true")):
        monkeypatch.setenv(name, value)
    traces._tracer.cache_clear()
    assert traces.span("request") is traces.OFF
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    traces._tracer.cache_clear()
    assert traces.span("request") is traces.OFF  # where it is not installed
    traces._tracer.cache_clear()
