"""Searching over the line: every kind of term, filters, pages, and what cannot be asked."""

from __future__ import annotations

import ast
import base64
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from indexer import run
from search.api import problems
from search.errors import ModelMissing
from search.live import LiveIndex
from search.store import Database, Intake, SqlStore
from tests.waiting import LONG, until


def ask(http, *terms, **options):
    return http.post("/v1/search", json={"query": list(terms), **options})


def names(response):
    assert response.status_code == 200, response.text
    return [hit["asset"]["name"] for hit in response.json()["hits"]]


def assert_problem(response, status, kind):
    problem = response.json()
    assert (response.status_code, problem["type"]) == (status, f"/v1/problems/{kind}"), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["remedy"]
    return problem


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_a_text_finds_a_picture_with_links_and_without_a_path(http, archive):
    hit = ask(http, {"text": "blue"}, targets=["image"], k=1).json()["hits"][0]
    assert (hit["asset"]["name"], hit["asset"]["folder"], hit["asset"]["collection"]) == ("blue.png", "pictures", "default")
    assert hit["asset"]["path"] is None
    assert str(archive.parent) not in http.post("/v1/search", json={"query": [{"text": "blue"}]}).text
    for link in ("media", "thumbnail"):
        assert http.get(hit["links"][link]).status_code == 200


@pytest.mark.parametrize("data_url", [False, True])
@pytest.mark.parametrize(("modality", "file"), [("image", "pictures/red.png"), ("audio", "tones/high.wav")])
def test_an_inlined_medium_finds_its_like(http, archive, modality, file, data_url):
    data = ("data:application/x-anything;base64," if data_url else "") + encoded(archive / file)
    assert names(ask(http, {modality: data}, targets=[modality], k=1)) == [file.partition("/")[2]]


def test_an_inlined_medium_is_encoded_once(http, archive, encoder):
    ask(http, {"image": encoded(archive / "pictures" / "red.png")})
    before = encoder.encoded
    ask(http, {"image": encoded(archive / "pictures" / "red.png")})
    assert encoder.encoded == before


def test_an_upload_finds_its_like(http, archive):
    upload = http.post("/v1/uploads", content=(archive / "tones" / "low.wav").read_bytes()).json()
    assert upload["modality"] == "audio"
    assert names(ask(http, {"upload": upload["id"]}, targets=["audio"], k=1)) == ["low.wav"]


def test_a_segment_finds_others_but_not_its_own_asset(still):
    hit = ask(still, {"text": "red"}, targets=["image"], k=1).json()["hits"][0]
    assert hit["asset"]["name"] == "red.png"
    found = names(ask(still, {"segment": hit["segment"]}, targets=["image"]))
    assert len(found) == 7
    assert "red.png" not in found


def test_a_negative_weight_subtracts(still):
    mixed = ask(still, {"text": "red flowers"}, {"text": "flowers", "weight": -0.5}, targets=["image"], k=1)
    assert names(mixed) == ["red.png"]


def test_a_file_is_found_once_by_its_name_and_that_of_its_folder(still):
    hits = ask(still, {"text": '"pictures red"'}).json()["hits"]
    assert [(hit["asset"]["name"], hit["channel"]) for hit in hits] == [("red.png", "visual")]
    hits = ask(still, {"text": '"pictures red"'}, words=True).json()["hits"]
    assert [(hit["asset"]["name"], hit["channel"]) for hit in hits] == [("red.png", "text")]


def test_filters_narrow(still):
    everything = ask(still, {"text": "red"}, k=100).json()
    assert everything["searched"] == 13
    assert set(names(ask(still, {"text": "red"}, k=100, filter={"under": "tones"}))) == {"low.wav", "middle.wav", "high.wav"}
    assert names(ask(still, {"text": "red"}, filter={"shortest_ms": 60_000})) == []
    assert len(names(ask(still, {"text": "red"}, k=100, filter={"collections": ["default"], "since": "2020-01-01"}))) == 13
    assert names(ask(still, {"text": "red"}, filter={"until": "1999-12-31"})) == []
    assert names(ask(still, {"text": "red"}, channels=["sound"], targets=["image"])) == []


def test_pages_follow_each_other_and_hold_everything_once(still):
    seen, cursor = [], None
    for _ in range(10):
        page = ask(still, {"text": "red"}, k=5, group="segment", cursor=cursor).json()
        seen += [(hit["rank"], hit["segment"]) for hit in page["hits"]]
        if (cursor := page["cursor"]) is None:
            break
    assert [rank for rank, _ in seen] == list(range(1, 14))
    assert len({segment for _, segment in seen}) == 13


def test_the_archive_is_browsed_by_a_filter_in_an_order(still):
    browse = lambda **asked: still.post("/v1/browse", json=asked)  # noqa: E731
    every = [one["name"] for one in browse(limit=200).json()["assets"]]
    assert every == [one["name"] for one in still.get("/v1/assets?limit=200").json()["assets"]]
    largest = browse(order="size", targets=["image"], limit=2).json()
    rest = browse(order="size", targets=["image"], limit=200, cursor=largest["cursor"]).json()
    walked = [*largest["assets"], *rest["assets"]]
    counted = still.post("/v1/facets", json={"facets": ["modality"], "targets": ["image"]}).json()
    assert len({one["id"] for one in walked}) == len(walked) == counted["files"]
    assert {one["modality"] for one in walked} == {"image"}
    assert all(still.get(f"/v1/segments/{one['segment']}").json()["asset"]["id"] == one["id"] for one in walked)
    assert_problem(browse(cursor="nonsense"), 422, "cursor")
    assert_problem(browse(filter={"under": "nowhere"}), 422, "folder")


def test_a_cursor_of_another_query_is_refused(still):
    cursor = ask(still, {"text": "red"}, k=2).json()["cursor"]
    assert_problem(ask(still, {"text": "blue"}, k=2, cursor=cursor), 422, "cursor")
    for nonsense in ("", "x", "!!!", "bnVsbA", "W10", "é"):
        assert_problem(ask(still, {"text": "red"}, cursor=nonsense), 422, "cursor")


def test_a_cursor_from_before_a_new_generation_is_told(http, archive, settings, encoder):
    cursor = ask(http, {"text": "red"}, k=2).json()["cursor"]
    (archive / "texts" / "new.txt").write_text("Something new.\n")
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    assert ask(http, {"text": "red"}, k=2).json()["generation"] == 2
    assert_problem(ask(http, {"text": "red"}, k=2, cursor=cursor), 409, "stale-cursor")


def test_a_cursor_from_before_a_deletion_is_told(http, settings):
    first = ask(http, {"text": "red"}, k=2).json()
    database = Database(settings.database)
    Intake(database).delete(assets=[first["hits"][0]["asset"]["id"]])
    database.close()
    assert_problem(ask(http, {"text": "red"}, k=2, cursor=first["cursor"]), 409, "stale-cursor")


@pytest.mark.parametrize(
    "options",
    [{"sort": "name"}, {"group": "asset"}, {"targets": ["image"]}, {"words": True}, {"filter": {"since": "2020-01-01"}}],
)
def test_a_cursor_belongs_to_all_that_was_asked(still, options):
    cursor = ask(still, {"text": "red"}, k=2).json()["cursor"]
    assert_problem(ask(still, {"text": "red"}, k=2, cursor=cursor, **options), 422, "cursor")


def test_hits_come_sorted_by_name_over_pages(still):
    seen, cursor = [], None
    for _ in range(4):
        page = ask(still, {"text": "red"}, k=4, sort="name", cursor=cursor).json()
        seen += [hit["asset"]["name"] for hit in page["hits"]]
        cursor = page["cursor"]
    assert cursor is None
    assert page["limit"] is None
    assert seen == sorted(seen)
    assert len(seen) == 13


def test_a_list_that_ends_at_a_maximum_says_so(still, monkeypatch):
    for module in ("search.query.engine", "search.api.searching"):
        monkeypatch.setattr(f"{module}.MAX_DEPTH", 6)
    first = ask(still, {"text": "red"}, k=4).json()
    last = ask(still, {"text": "red"}, k=4, cursor=first["cursor"]).json()
    assert (len(first["hits"]), first["limit"], len(last["hits"]), last["cursor"], last["limit"]) == (4, None, 2, None, 6)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"query": []}, "validation"),
        ({}, "validation"),
        ({"query": [{}]}, "validation"),
        ({"query": [{"text": ""}]}, "validation"),
        ({"query": [{"text": " \n "}]}, "validation"),
        ({"query": [{"text": "a", "segment": 1}]}, "validation"),
        ({"query": [{"text": "a", "wight": 1}]}, "validation"),
        ({"query": [{"text": "a", "weight": 1e9}]}, "validation"),
        ({"query": [{"text": "a", "weight": 0}]}, "query"),
        ({"query": [{"text": "a"}, {"text": "a", "weight": -1}]}, "query"),
        ({"query": [{"text": "a"}], "k": 0}, "validation"),
        ({"query": [{"text": "a"}], "k": 10**30}, "validation"),
        ({"query": [{"text": "a"}], "targets": ["smell"]}, "validation"),
        ({"query": [{"text": "a"}], "sort": "colour"}, "validation"),
        ({"query": [{"text": "a"}], "filter": {"since": "yesterday"}}, "validation"),
        ({"query": [{"text": "a"}], "filter": {"under": "/etc"}}, "folder"),
        ({"query": [{"text": "a"}], "filter": {"under": "a/../../etc"}}, "folder"),
        ({"query": [{"text": "a"}], "filter": {"collections": ["defualt"]}}, "unknown-name"),
        ({"query": [{"segment": 424242}]}, "query"),
        ({"query": [{"segment": 2**70}]}, "validation"),
        ({"query": [{"image": "%%%"}]}, "inline"),
        ({"query": [{"image": "data:image/png,abc"}]}, "inline"),
        ({"query": [{"image": "AAAA"}]}, "query"),
        ({"query": [{"upload": "../../etc/passwd"}]}, "validation"),
    ],
)
def test_what_cannot_be_asked_says_so(still, body, kind):
    assert_problem(still.post("/v1/search", json=body), 422, kind)
    assert ask(still, {"text": "red"}, k=1).status_code == 200


def test_lone_surrogates_and_broken_json_are_refused(still):
    for body in (b'{"query": [{"text": "\\ud800"}]}', b"{", b"[]", b'{"query": [{"text": "a", "weight": NaN}]}'):
        response = still.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
        assert_problem(response, 422, "validation")
    response = still.post("/v1/search", content=b"\xff", headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "bad-request")


def test_an_unknown_upload_is_not_found(still):
    assert_problem(ask(still, {"upload": "0" * 32}), 404, "no-upload")


def test_an_inlined_medium_that_is_something_else_says_what_it_is(http, archive):
    problem = assert_problem(ask(http, {"audio": encoded(archive / "pictures" / "red.png")}), 422, "query")
    assert "not a sound but an image" in problem["detail"]
    assert "/" not in problem["detail"]


def test_a_large_inlined_medium_is_sent_to_uploads(still):
    problem = assert_problem(ask(still, {"image": "A" * (8 << 20)}), 413, "too-large")
    assert "/v1/uploads" in problem["remedy"]
    assert_problem(still.post("/v1/search", content=b" " * (30 << 20)), 413, "too-large")


def test_an_empty_archive_teaches_and_fills_by_itself(start, settings, archive):
    http = start(replace(settings, roots=str(archive)))
    problem = assert_problem(ask(http, {"text": "red"}), 409, "empty-archive")
    assert "/v1/index-jobs" in problem["remedy"]
    assert http.get("/v1/status").json()["engine"] == "empty"
    assert http.get("/readyz").status_code == 200
    job = http.post("/v1/index-jobs", json={"paths": ["archive"]}).json()
    assert wait_for(http, job["id"])["state"] == "done"
    assert names(ask(http, {"text": "red"}, targets=["image"], k=1)) == ["red.png"]
    assert http.get("/v1/status").json()["engine"] == "ready"


def wait_for(http, job):
    def ended():
        told = http.get(f"/v1/index-jobs/{job}").json()
        return told["state"] not in ("queued", "running") and told

    return until(ended, lambda: http.get(f"/v1/index-jobs/{job}").text)


def test_a_search_while_the_engine_loads_waits_or_is_told_to_come_again(start, indexed, encoder):
    loaded = threading.Event()

    def load(_):
        loaded.wait(LONG)
        return encoder

    http = start(indexed, load=load, patience=0.2)
    response = ask(http, {"text": "red"})
    assert_problem(response, 503, "loading")
    assert response.headers["retry-after"] == "2"
    assert http.get("/readyz").status_code == 503
    assert http.get("/livez").status_code == 200
    assert http.get("/v1/status").json()["engine"] == "loading"
    assert http.get("/v1/assets").status_code == 200
    assert http.get("/v1/collections").json()["collections"][0]["coverage"]["seen"] == 13  # which takes no model
    loaded.set()
    until(lambda: ask(http, {"text": "red"}).status_code == 200)


def test_a_model_that_is_not_here_is_told_and_the_rest_stays_up(start, indexed):
    def load(_):
        raise ModelMissing("The weights are not here.", remedy="Fetch them.")

    http = start(indexed, load=load)
    assert_problem(ask(http, {"text": "red"}), 503, "model-missing")
    status = http.get("/v1/status").json()
    assert (status["engine"], status["remedy"]) == ("failed", "Fetch them.")
    assert http.get("/v1/assets").status_code == 200


def test_a_model_that_failed_to_load_is_tried_again(start, indexed, encoder):
    tries = []

    def load(_):
        tries.append(len(tries))
        if len(tries) < 3:
            raise ModelMissing("The weights are not here yet.", remedy="Fetch them.")
        return encoder

    http = start(indexed, load=load, again=0.1)
    statuses = []

    def answered():
        response = ask(http, {"text": "red"})
        statuses.append(response.status_code)
        assert response.status_code == 200 or response.headers["retry-after"] == "30"
        return response.status_code == 200

    until(answered)
    assert (statuses[0], statuses[-1], len(tries)) == (503, 200, 3)


def test_every_problem_says_what_it_means_where_its_type_points_to(still):
    for kind, (status, meaning) in problems.MEANINGS.items():
        assert still.get(f"/v1/problems/{kind}").json() == {"type": f"/v1/problems/{kind}", "status": status, "meaning": meaning}
    assert_problem(still.get("/v1/problems/none"), 404, "no-problem")


def test_no_problem_is_raised_that_has_no_meaning():
    """Every kind that stands in the code of the API, found by reading it."""
    kinds = set()
    for file in Path(problems.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Problem"
                and isinstance(node.args[1], ast.Constant)
            ):
                kinds.add((node.args[1].value, node.args[0].value))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "not_found":
                assert isinstance(node.args[0], ast.Constant)
                kinds.add((f"no-{node.args[0].value}", 404))
    kinds |= {(name, status) for _, status, name, _ in problems._KINDS}
    assert len(kinds) > 30
    assert kinds <= {(kind, status) for kind, (status, _) in problems.MEANINGS.items()}


def test_our_own_fault_is_told_without_its_insides(start, indexed, monkeypatch):
    http = start(indexed)
    monkeypatch.setattr(http.service, "engine", lambda: 1 / 0)
    problem = assert_problem(ask(http, {"text": "red"}), 500, "internal")
    assert "division" not in str(problem)


def test_searches_go_on_while_the_archive_grows_and_generations_change(http, archive, settings, encoder):
    wrong, stop = [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            response = ask(http, {"text": "red"}, targets=["image"], k=1)
            if response.status_code != 200 or names(response) != ["red.png"]:
                wrong.append(response.text)

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(4):
        (archive / "texts" / f"new-{number}.txt").write_text(f"Paragraph number {number}.\n")
        run.index(settings, run.RunRequest([archive]), encoder=encoder)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert ask(http, {"text": "red"}).json()["searched"] == 17
    database = Database(settings.database)
    live = LiveIndex(SqlStore(database), settings.home, encoder.space, 1)
    assert (live.generation, len(live.index)) == (5, 17)
    database.close()


def test_a_model_that_is_not_here_is_told_without_the_programs_own_path(start, indexed):
    from search.encoders.pocket import WEIGHTS

    def absent(_):
        raise ModelMissing(f"{WEIGHTS / 'text.onnx'} cannot be read.", remedy="Install Sensorium again.")

    problem = assert_problem(ask(start(indexed, load=absent), {"text": "blue"}), 503, "model-missing")
    assert "text.onnx" in problem["detail"]
    assert str(WEIGHTS.parents[3]) not in problem["detail"]
