"""The page's logic, without a browser: what it asks the service for, and what it says when that goes wrong."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from search.api import schemas as s
from search.errors import Refused, ServiceAway, ServiceLoading
from ui import words
from ui.page import ask, frame, library, look

SCRIPT = Path(frame.__file__).parent / "app.py"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def a_hit(segment: int, asset: int, start: int | None, confidence: float = 0.9, channel: str = "visual") -> s.Hit:
    ref = s.AssetRef(
        id=asset, modality="video" if start is not None else "image", name=f"file-{asset}", folder="", collection="default", format="mp4",
        duration_ms=10_000 if start is not None else None,
    )  # fmt: skip
    links = s.Links(media=f"/v1/assets/{asset}/media", moment="", thumbnail=f"/v1/assets/{asset}/thumbnail")
    span = None if start is None else s.Span(start_ms=start, end_ms=start + 2_000)
    evidence = s.Evidence(cosine=0.3, segments=[segment])
    return s.Hit(
        rank=1, score=2.0, confidence=confidence, channel=channel, space="fake", asset=ref, span=span, segment=segment, evidence=evidence, links=links
    )  # fmt: skip


COVERAGE = s.Coverage(files=3, seen=2, waiting=0, failed=1, unsampled_ms=0, without={})


class FakeService:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.hits, self.asked, self.jobs, self.error = [], [], [], None
        self.held = {"image": 1}

    def search(self, **asked):
        self.asked.append(asked)
        if self.error:
            raise self.error
        return s.Found(hits=self.hits, cursor=None, generation=1, searched=9, coverage=COVERAGE, timings_ms={"total": 3.0})

    def status(self):
        if self.error:
            raise self.error
        return s.Status(
            engine="ready", generation=1, collections=[], spaces=[], files={}, assets=self.held, segments={}, units={}, ledger={}, job=None, version="0"
        )  # fmt: skip

    def collections(self):
        return s.Collections(collections=[], roots=[s.Root(name="sample")], tags={})

    def assets(self, **_):
        return s.Assets(assets=[], cursor=None)

    def index(self, paths, **options):
        self.jobs.append((paths, options))
        raise Refused("Job 3 is running on it.", remedy="Wait for it.", status=409)


@pytest.fixture
def service(monkeypatch):
    fake = FakeService()
    monkeypatch.setattr(frame, "client", lambda: fake)
    ask._listed.clear()
    return fake


def run(**params: str) -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=20)
    for name, value in params.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def said(page: AppTest) -> str:
    return " ".join(one.value.replace("\\", "") for one in page.markdown)


def test_the_address_is_what_is_asked(service):
    service.hits = [a_hit(1, 1, None)]
    run(q="a dog", **{"in": "image,video"})
    assert service.asked[0]["query"] == [{"text": "a dog"}]
    assert service.asked[0]["targets"] == ("image", "video")


def test_a_question_is_asked_once_however_often_the_page_is_drawn(service):
    service.hits = [a_hit(1, 1, None)]
    page = run(q="a dog")
    page.run()
    assert len(service.asked) == 1


def test_an_empty_archive_offers_the_sample_and_says_why_it_cannot_be_taken(service):
    service.held = {}
    page = run()
    assert "The archive is empty" in said(page)
    next(one for one in page.button if one.label.startswith("Try it")).click().run()
    assert service.jobs[0][0] == ["sample"]
    assert "Job 3 is running on it. Wait for it." in page.warning[0].value.replace("\\", "")


def test_nothing_found_offers_to_take_the_filters_away(service):
    page = run(q="a dog", since="2090-01-01")
    assert "Nothing found." in said(page)
    page.button[0].click().run()
    assert page.query_params.get("since") is None
    assert service.asked[-1]["filter"] == {}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ServiceAway("Nobody answers."), "The service is away."),
        (ServiceLoading("Loading.", status=503), "The service is loading its models."),
        (Refused("No.", remedy="Do that.", status=422, problem={"type": "/v1/problems/query", "title": "The query cannot be answered"}), "No. Do that."),
        (Refused("", status=404, problem={"type": "/v1/problems/no-upload"}), "A file of this question is not kept any more."),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(service, error, sentence):
    service.error = error
    assert sentence in said(run(q="a dog"))


def test_a_service_that_comes_back_is_asked_again(service):
    service.error = ServiceAway("Nobody answers.")
    page = run(q="a dog")
    service.error, service.hits = None, [a_hit(1, 1, None)]
    page.run()
    assert "The service is away." not in said(page)


def test_hits_of_one_file_become_one_card_with_lanes():
    state = look.State(text="a dog")
    hits = [a_hit(1, 1, 0), a_hit(2, 2, None), a_hit(3, 1, 4_000, 0.5, "sound"), a_hit(4, 1, 8_000, 0.1)]
    first, second = look.cards(state, hits)
    assert (first["asset"], second["asset"], first["more"]) == (1, 2, "2 moments")
    assert [(one["segment"], one["from"], one["lane"]) for one in first["strip"]] == [(1, 0.0, 0.0), (3, 0.4, 0.5)]
    assert len(look.cards(look.replace(state, group="moments"), hits)) == 4


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seen": 3, "failed": 0}, ""),
        ({}, "2 of 3 files can be found, 1 failed"),
        ({"files": 1_300, "seen": 0, "waiting": 1_299}, "0 of 1,300 files can be found, 1,299 waiting, 1 failed"),
        ({"seen": 3, "failed": 0, "unsampled_ms": 3_500, "without": {"sound": 2}}, "0:03.5 of sound and video could not be read, 2 files without sound"),
    ],
)  # fmt: skip
def test_what_a_search_cannot_see_is_said_in_a_few_words(changes, sentence):
    assert words.unseen(COVERAGE.model_copy(update=changes)) == sentence


def test_progress_says_rate_and_time_left():
    told = s.Progress(scanning=False, files=90, to_do=80, done=20, failed=1, files_per_second=4.25, seconds_left=14.0)
    job = s.Job(
        id=1,
        state="running",
        collection="default",
        kind="index",
        folders=["sample"],
        retry=False,
        prune=False,
        progress=told,
        created_at=NOW,
    )
    assert library.progress(job) == (21 / 80, "sample: 21 of 80, 4.2 files a second, 14 s left")
    assert library.progress(job.model_copy(update={"state": "queued"}))[1] == "sample: waits for its turn"
