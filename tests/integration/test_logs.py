"""The log and the figures of a service: what happened, when, to which request, and nothing of what was asked for."""

from __future__ import annotations

import datetime
import json
import logging

import pytest

from search import log
from search.errors import InputError
from search.settings import load
from tests.integration.test_api_search import assert_problem


@pytest.fixture
def lines(capsys):
    """Set up the log; gives a function that reads the lines that it has written."""
    loggers = [logging.getLogger(name) for name in ("", "search", "indexer", "ui")]
    before = [(one, one.level, one.handlers[:]) for one in loggers]

    def go(level: str, *, as_json: bool):
        log.set_up(level, as_json=as_json)
        return lambda: capsys.readouterr().err.splitlines()

    yield go
    for one, level, handlers in before:
        one.setLevel(level)
        one.handlers[:] = handlers


def test_a_request_has_an_id_that_its_problem_and_its_line_name(still, lines):
    written = lines("info", as_json=True)
    answer = still.get("/v1/assets/987654/segments?channel=sound", headers={"X-Request-Id": "from-a-proxy.1"})
    assert_problem(answer, 404, "no-asset")
    assert answer.json()["request"] == answer.headers["x-request-id"] == "from-a-proxy.1"
    (told,) = written()
    line = json.loads(told)
    assert line["request"] == "from-a-proxy.1"
    assert (line["method"], line["route"], line["status"], line["level"]) == ("GET", "/v1/assets/{id}/segments", 404, "info")
    assert line["ms"] >= 0
    assert datetime.datetime.fromisoformat(line["time"]).tzinfo is not None
    assert "987654" not in told
    assert "sound" not in told


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", 'x"y', "é"])
def test_an_id_that_is_none_is_replaced(still, given):
    headers = {} if given is None else {"X-Request-Id": given.encode()}
    ids = [still.get("/v1/status", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert all(len(one) == 16 and one.isascii() and one != given for one in ids)
    assert ids[0] != ids[1]


def test_an_unexpected_error_is_logged_once_with_the_request_and_answered_without_its_insides(start, indexed, lines, monkeypatch):
    http = start(indexed)
    monkeypatch.setattr(http.service.whole.catalogue, "assets", lambda *_: 1 / 0)
    written = lines("warning", as_json=True)
    answer = http.get("/v1/assets/1")
    assert_problem(answer, 500, "internal")
    assert "division" not in answer.text
    (line,) = map(json.loads, written())
    assert "ZeroDivisionError" in line["traceback"]
    assert line["request"] == answer.json()["request"]
    assert line["message"] == "GET /v1/assets/{id} failed"
    assert 'route="/assets/{id}",status="500"' in http.get("/metrics").text


def test_lines_have_times_and_levels_and_no_control_characters(lines):
    written = lines("info", as_json=False)
    logging.getLogger("search.x").info("a name\n2026-01-01 ERROR forged \x1b]0;title\x07\x9b")
    logging.getLogger("search.x").debug("not told")
    logging.getLogger("others").info("not told")
    (line,) = written()
    assert "INFO search.x: a name\\x0a2026-01-01 ERROR forged \\x1b]0;title\\x07\\x9b" in line
    assert datetime.datetime.fromisoformat(line.split()[0])


def test_a_level_that_is_none_is_refused(tmp_path):
    assert load({"home": tmp_path, "log_level": "debug"}, {}).log_level == "debug"
    with pytest.raises(InputError, match="log_level is 'loud'"):
        load({"home": tmp_path, "log_level": "loud"}, {})


def test_figures_tell_of_work_jobs_ledger_disk_uploads_database_and_build(start, indexed, archive):
    (archive / "texts" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 99)
    http = start(indexed)
    content = (archive / "tones" / "low.wav").read_bytes()
    http.post("/v1/uploads", content=content)
    job = http.post("/v1/index-jobs", json={"paths": ["archive"]}).json()["id"]
    while http.get(f"/v1/index-jobs/{job}").json()["ended_at"] is None:
        pass
    told = http.get("/metrics").text
    assert 'sensorium_units{state="done"} 13.0' in told
    assert 'sensorium_jobs{state="done"} 1.0' in told
    assert 'sensorium_ledger{reason="undecodable"} 1.0' in told
    assert 'sensorium_files{state="present"} 14.0' in told
    assert f"sensorium_uploads_bytes {float(len(content))}" in told
    assert "sensorium_database_up 1.0" in told
    assert 'sensorium_build_info{revision="' in told
    free = next(line for line in told.splitlines() if line.startswith("sensorium_disk_free_bytes "))
    assert float(free.split()[1]) > 0


def test_probes_answer_under_any_name_and_nothing_else_does(still):
    for path in ("/livez", "/readyz"):
        assert still.get(path, headers={"Host": "pod-7.example"}).status_code == 200
        assert still.post(path, headers={"Host": "pod-7.example"}).status_code == 421
    for path in ("/metrics", "/v1/status", "/livez/x", "/"):
        assert_problem(still.get(path, headers={"Host": "pod-7.example"}), 421, "foreign-host")
