"""Judgements over the API and in the terminal."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from search import encoders
from search.errors import InputError
from tests.fakes.partial import Shelf
from ui.cli import app

QUESTION = "red"


def find(http, **more) -> dict:
    return http.post("/v1/search", json={"query": [{"text": QUESTION}], "k": 50, **more}).json()


def test_judgements_travel_and_show_in_answers(http):
    hits = find(http)["hits"]
    right, wrong = hits[0]["asset"]["id"], hits[-1]["asset"]["id"]
    told = http.post("/v1/judgements", json={"question": QUESTION, "right": [right], "wrong": [wrong]}).json()
    assert told["files"] == [
        {"asset": right, "right": True, "of_sample": False},
        {"asset": wrong, "right": False, "of_sample": False},
    ]
    answer = find(http)
    assert {hit["asset"]["id"]: hit["judged"] for hit in answer["hits"]}[wrong] is False
    assert (answer["review"]["judged"], answer["review"]["right"], answer["review"]["left_at_most"]) == (2, 1, None)
    assert http.get("/v1/judgements", params={"question": f" {QUESTION}  "}).json()["files"] == told["files"]
    assert http.delete("/v1/judgements", params={"question": QUESTION, "asset": wrong}).json() == {"forgotten": 1}
    assert http.delete("/v1/judgements", params={"question": QUESTION}).json() == {"forgotten": 1}
    assert find(http)["review"] is None


def test_a_sample_is_drawn_judged_and_bounds_what_is_left(http):
    asked = {"question": QUESTION, "targets": ["image"], "count": 3}
    drawn = http.post("/v1/judgements/sample", json=asked).json()
    assert drawn["population"] == 8
    numbers = [one["id"] for one in drawn["files"]]
    assert {one["modality"] for one in drawn["files"]} == {"image"}
    body = {"question": QUESTION, "targets": ["image"], "wrong": numbers, "of_sample": True}
    refused = http.post("/v1/judgements", json=body | {"wrong": numbers[1:]})
    assert refused.status_code == 422
    assert "sample" in refused.json()["remedy"]
    review = http.post("/v1/judgements", json=body).json()["review"]
    assert (review["sampled"], review["population"], review["left_at_most"]) == (3, 8, 4)
    assert find(http, targets=["image"])["review"] == review
    assert find(http)["review"]["population"] is None  # the sample says nothing of other media


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": ""}, 422), ({"question": "x" * 501}, 422), ({"question": "x", "right": [1], "wrong": [1]}, 422),
        ({"question": "x", "right": [999]}, 422), ({"question": "x", "right": ["one"]}, 422), ({"question": "x", "more": 1}, 422),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_a_problem(still, body, status):
    answer = still.post("/v1/judgements", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_client_judges(client):
    drawn = client.sample(QUESTION, 2)
    told = client.judge(QUESTION, wrong=[one.id for one in drawn.files], of_sample=True)
    assert told.review.sampled == 2
    assert client.judgements(QUESTION).files == told.files
    assert client.forget_judgements(QUESTION, drawn.files[0].id).forgotten == 1


def test_the_command_judges_draws_and_forgets(indexed, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *_, **__: encoder)
    monkeypatch.setenv("SENSORIUM_HOME", str(indexed.home))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, done.output
        return done.stdout

    sample = json.loads(run("judge", QUESTION, "--sample", "2", "--json"))["sample"]
    assert sample["population"] == 13
    segments = ",".join(str(one["segment"]) for one in sample["files"])
    review = json.loads(run("judge", QUESTION, "--drawn", "--wrong", segments, "--json"))["review"]
    assert (review["judged"], review["sampled"]) == (2, 2)
    hits = json.loads(run("search", QUESTION, "--json"))["hits"]
    run("judge", QUESTION, "--right", str(hits[0]["segment"]))
    assert "✓ right" in run("search", QUESTION, "--estimate")
    assert json.loads(run("judge", QUESTION, "--forget", "--json"))["review"] is None
    for listed in ("one", "999"):
        refused = CliRunner().invoke(app, ["judge", QUESTION, "--right", listed])
        assert isinstance(refused.exception, InputError)


def test_judgements_become_a_manifest_and_a_run(http, indexed, encoder, monkeypatch, tmp_path):
    """The manifest evaluates as it is, and the run is that of a search, without ties."""
    hits = find(http, group="asset")["hits"]
    right, wrong = hits[0]["asset"], hits[-1]["asset"]
    http.post("/v1/judgements", json={"question": QUESTION, "right": [right["id"]], "wrong": [wrong["id"]]})
    http.post("/v1/judgements", json={"question": "nothing of it", "wrong": [wrong["id"]]})
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    runner, home, folder = CliRunner(), ["--home", str(indexed.home)], tmp_path / "judged"
    made = runner.invoke(app, ["eval", "make", str(folder), "--json", *home])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["questions"] == 2
    assert (folder / "topics.tsv").read_text() == f"1\t{QUESTION}\n2\tnothing of it\n"
    names = {one["id"]: one["sha256"][:32] for one in (right, wrong)}
    assert (folder / "qrels.txt").read_text().splitlines() == [
        f"1 0 {names[right['id']]} 1", f"1 0 {names[wrong['id']]} 0", f"2 0 {names[wrong['id']]} 0",
    ]  # fmt: skip
    run = [line.split() for line in (folder / "run.txt").read_text().splitlines() if line.startswith("1 ")]
    assert [name for _, _, name, _, _, _ in run] == [hit["asset"]["sha256"][:32] for hit in hits]
    scores = [float(score) for _, _, _, _, score, _ in run]
    assert scores == sorted(set(scores), reverse=True)
    figures = json.loads(runner.invoke(app, ["eval", str(folder / "manifest.jsonl"), "--json", *home]).stdout)
    assert figures["directions"]["text->any"]["R@1"] == 1.0
    for name in (QUESTION, "nothing of it"):
        http.delete("/v1/judgements", params={"question": name})
    with pytest.raises(InputError, match="Nobody has judged"):
        runner.invoke(app, ["eval", "make", str(folder), *home], catch_exceptions=False)
