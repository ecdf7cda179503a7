"""The page's logic, without a browser: what it asks the service for, and what it says when that goes wrong."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from search.api import schemas as s
from search.errors import Refused, ServiceAway, ServiceLoading
from tests.waiting import LONG
from ui import phrasing
from ui.page import frame, library, look, moment, rail
from ui.page.state import State

SCRIPT = Path(frame.__file__).parent / "main.py"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def a_hit(segment: int, asset: int, start: int | None, confidence: float = 0.9, channel: str = "visual") -> s.Hit:
    ref = s.AssetRef(
        id=asset, sha256="0" * 64, modality="video" if start is not None else "image", name=f"file-{asset}", folder="", collection="default", format="mp4",
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
        self.held, self.heard = {"image": 1}, None
        self.lines, self.asked_lines = [], []
        self.facets_held, self.counted = [], []

    def search(self, **asked):
        self.asked.append(asked)
        if self.error:
            raise self.error
        return s.Found(
            hits=self.hits, cursor=None, generation=1, searched=9, coverage=COVERAGE, timings_ms={"total": 3.0}, heard=self.heard
        )  # fmt: skip

    def segments(self, asset, **asked):
        self.asked_lines.append({"asset": asset} | asked)
        return s.Segments(segments=[one for one in self.lines if one.channel == asked["channel"]], cursor=None)

    def status(self):
        if self.error:
            raise self.error
        return s.Status(
            engine="ready", generation=1, collections=[], spaces=[], files={}, assets=self.held, segments={}, units={}, ledger={}, job=None, version="0",
            hears="speech:tiny.en",
        )  # fmt: skip

    def collections(self, **_):
        return s.Collections(collections=[], cursor=None, roots=[s.Root(name="sample")], tags={})

    def facets(self, *names, **asked):
        if not names:
            self.counted.append(asked)
            return s.Facets(files=3, segments=3, facets=self.facets_held)
        return s.Facets(
            files=2,
            segments=2,
            facets=[
                s.Facet(name=name, values=[s.FacetValue(value=one, files=1) for one in ("b", "a")], more=0) for name in names
            ],
        )

    def assets(self, **_):
        return s.Assets(assets=[], cursor=None)

    def index(self, paths, **options):
        self.jobs.append((paths, options))
        raise Refused("Job 3 is running on it.", remedy="Wait for it.", status=409)


@pytest.fixture
def service(monkeypatch):
    fake = FakeService()
    monkeypatch.setattr(frame, "client", lambda: fake)
    frame._told.clear()
    frame._counted.clear()
    return fake


def run(**params: str) -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=LONG)
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


def test_folders_to_filter_by_are_those_that_hold_files(service):
    assert frame._folders() == ("a", "b")


def test_values_of_facets_are_links_that_choose_them_or_take_them_off(service):
    def facet(name, **files):
        return s.Facet(name=name, values=[s.FacetValue(value=value, files=count) for value, count in files.items()], more=0)

    service.facets_held = [
        facet("modality", image=1_200, video=1), facet("folder", **{"2024": 2, "2024/may": 3}), facet("month", **{"2023-12": 4, "2024-02": 5, "2024-05": 6}),
        facet("duration", **{"10..60": 2}), facet("collection", default=3), facet("field.Model", **{"Canon R5": 2, "X": 1}),
    ]  # fmt: skip
    state = State(
        text="a dog", targets=("video",), under="2024", since="2024-01-01", until="2024-12-31", fields=(("Model", "X"),)
    )
    groups = {one["title"]: one["values"] for one in rail.groups(state)}
    assert list(groups) == ["Medium", "Folder", "Date", "Length", "Model"]  # all files are in the one collection
    told = {title: [(one["label"], one["files"], one["on"], one["level"]) for one in some] for title, some in groups.items()}
    assert told["Medium"] == [("Images", "1,200", False, 0), ("Videos", "1", True, 0)]
    assert told["Folder"] == [("All folders", "", False, 0), ("2024", "", True, 1), ("may", "3", False, 2)]
    assert told["Date"] == [("2024", "11", True, 0), ("February", "5", False, 1), ("May", "6", False, 1), ("2023", "4", False, 0)]
    links = {one["label"]: State.link(one["href"]) for some in groups.values() for one in some}
    assert links["Images"] == replace(state, targets=("image", "video"))
    assert links["Videos"] == replace(state, targets=())
    assert links["may"].under == "2024/may"
    assert (links["February"].since, links["February"].until) == ("2024-02-01", "2024-02-29")
    assert (links["All folders"].under, links["X"].fields, links["2023"].since) == ("", (), "2023-01-01")
    assert links["Canon R5"].fields == (("Model", "X"), ("Model", "Canon R5"))
    # Each of what is chosen is counted as if it were not.
    assert [] in [list(asked["targets"]) for asked in service.counted]
    assert any("since" not in asked["filter"] and asked["filter"].get("under") for asked in service.counted)


def test_lanes_ask_for_what_they_show_and_lead_to_all_of_it(service):
    state = State(text="a dog", lanes=True, targets=("video", "audio"))
    assert [(name, one.targets, one.channels) for name, one in look.lanes(state)] == [
        ("Video", ("video",), ("visual", "motion")), ("Sounds", ("video", "audio"), ("sound",)),
        ("Said and written", ("video", "audio"), ("text", "speech", "ocr", "caption")),
    ]  # fmt: skip
    service.hits = [a_hit(1, 1, 0), a_hit(2, 2, 0)]
    run(q="a dog", lanes="1", **{"in": "video,audio"})
    assert [(asked["targets"], asked["channels"]) for asked in service.asked] == [
        (one.targets, one.channels) for _, one in look.lanes(state)
    ]


def test_more_hits_come_page_by_page_and_an_answer_is_begun_anew_when_the_archive_changes(service, monkeypatch):
    changes = iter([True, False, False])

    def search(**asked):
        service.asked.append(asked)
        if asked.get("cursor") and next(changes):
            raise Refused("Changed.", problem={"type": "/v1/problems/stale-cursor"})
        return service_search(**{name: value for name, value in asked.items() if name != "cursor"}).model_copy(
            update={"cursor": "next"}
        )

    service_search = service.search
    service.hits = [a_hit(number, number, None) for number in range(1, 101)]
    monkeypatch.setattr(service, "search", search)
    look.forget()
    found = look.answer(look.State(text="a dog", count=300))
    assert len(found.hits) == 300
    assert [one["k"] for one in service.asked if "cursor" not in one][:2] == [200, 200]


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
        (ServiceAway("Nobody answers."), "Connection lost."),
        (ServiceLoading("Loading.", status=503), "The service is loading its models."),
        (Refused("No.", remedy="Do that.", status=422, problem={"type": "/v1/problems/query", "title": "The query cannot be answered"}), "No. Do that."),
        (Refused("", status=404, problem={"type": "/v1/problems/no-upload"}), "An uploaded file in this search has expired."),
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
    assert "Connection lost." not in said(page)


def test_hits_of_one_file_become_one_card_with_lanes():
    state = look.State(text="a dog")
    hits = [a_hit(1, 1, 0), a_hit(2, 2, None), a_hit(3, 1, 4_000, 0.5, "sound"), a_hit(4, 1, 8_000, 0.01)]
    first, second = look.cards(state, hits)
    assert (first["asset"], second["asset"], first["more"]) == (1, 2, "2 moments")
    assert [(one["segment"], one["from"], one["lane"]) for one in first["strip"]] == [(1, 0.0, 0.0), (3, 0.4, 0.5)]
    assert len(look.cards(look.replace(state, group="moments"), hits)) == 4


@pytest.mark.parametrize(
    ("count", "cursor", "limit", "more", "ended"),
    [
        (60, "abc", None, True, ""),
        (look.MAX_HITS, "abc", None, False, "Only the first 6,000 hits can be listed"),
        (60, None, None, False, ""),
        (60, None, 40, False, "Only the first 40 hits can be listed"),
    ],
)
def test_the_page_says_where_its_list_ends_because_of_a_maximum(monkeypatch, count, cursor, limit, more, ended):
    found = s.Found(
        hits=[a_hit(1, 1, None)], cursor=cursor, limit=limit, generation=1, searched=1, timings_ms={},
        coverage=s.Coverage(files=1, seen=1, waiting=0, failed=0, unsampled_ms=0, without={}),
    )  # fmt: skip
    drawn = []
    monkeypatch.setattr(look, "answer", lambda _: found)
    monkeypatch.setattr(look, "grid", lambda data, _: drawn.append(data))
    look.show(look.State(text="a dog", count=count))
    assert drawn[0]["more"] is more
    assert drawn[0]["ended"].startswith(ended)
    assert bool(drawn[0]["ended"]) is bool(ended)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seen": 3, "failed": 0}, ""),
        ({}, "2 of 3 files searchable, 1 failed"),
        ({"files": 1_300, "seen": 0, "waiting": 1_299}, "0 of 1,300 files searchable, 1,299 waiting, 1 failed"),
        ({"seen": 3, "failed": 0, "unsampled_ms": 3_500, "without": {"sound": 2}}, "0:03.5 of sound and video not searchable, 2 files without sound"),
    ],
)  # fmt: skip
def test_what_a_search_cannot_see_is_said_in_a_few_words(changes, sentence):
    assert phrasing.unseen(COVERAGE.model_copy(update=changes)) == sentence


def a_line(segment: int, channel: str, start: int | None, text: str = "the dog barks", **read) -> s.SegmentEntry:
    span = None if start is None else s.Span(start_ms=start, end_ms=start + 2_000)
    links = s.Links(media="/v1/assets/1/media", moment="")
    return s.SegmentEntry(id=segment, asset=1, channel=channel, span=span, text=text, links=links, **read)


def a_detail(modality: str = "video", **segments: int) -> s.AssetDetail:
    links = s.Links(media="/v1/assets/1/media", moment="")
    return s.AssetDetail(
        id=1, modality=modality, name="pets", folder="", collection="default", format="mp4", duration_ms=900_000, bytes=1, added_at=NOW, links=links,
        sha256="0", locations=[], segments=segments, gaps=[], tags=[],
    )  # fmt: skip


def said_hit(segment: int, text: str, marks: list[tuple[int, int]], **more) -> s.Hit:
    hit = a_hit(segment, 1, 400_000, channel="speech")
    told = {"text": text, "marks": marks, "source": "faster-whisper base", "confidence": 0.9} | more
    return hit.model_copy(update={"evidence": hit.evidence.model_copy(update=told)})


@pytest.mark.parametrize(("verdict", "bars", "word"), [("yes", 4, "strong"), ("no", 1, "weak")])
def test_a_match_reads_the_same_on_its_card_and_its_strip(verdict, bars, word):
    (card,) = look.cards(look.State(text="dog"), [a_hit(1, 1, 0)], verdict)
    assert (card["bars"], card["sure"]) == (bars, word)
    assert [part["sure"] for part in card["strip"]] == [bars / 4]


def test_a_card_shows_the_words_that_were_found_and_who_heard_them():
    hits = [a_hit(1, 1, 0), said_hit(2, "there the dog barks", [(10, 13)])]
    (card,) = look.cards(look.State(text="dog"), hits)
    assert card["passage"] == {
        "pieces": [("there the ", False), ("dog", True), (" barks", False)], "language": "", "label": "speech",
        "by": "transcribed by faster-whisper base", "sure": "90%", "written": False, "mark": "record", "segment": 2, "href": "?q=dog&open=2",
    }  # fmt: skip
    assert look.cards(look.State(text="dog"), hits[:1])[0]["passage"] is None


def test_a_moment_starts_at_its_first_marked_word(service):
    service.hits = [said_hit(2, "there the dog barks", [(10, 13)], starts_ms=400_700)]
    near = s.Neighbours(segment=a_line(2, "speech", 400_000), before=[], after=[], asset=service.hits[0].asset)
    asked = look.State(text="dog", opened=2)
    look.forget()
    told = moment.describe(asked, near, a_detail(speech=1))
    assert (told["start"], told["strip"][0]["at"], told["place"]) == (400_700, 400_700, "")
    service.hits.insert(0, a_hit(1, 1, 0))
    service.hits.append(a_hit(3, 2, None))
    look.forget()
    told = moment.describe(asked, near, a_detail(speech=1))
    assert (told["start"], told["place"], told["after"]) == (400_700, "1 of 2", 3)  # the second hit of the first card
    assert moment.describe(look.State(opened=2), near, a_detail(speech=1))["start"] == 400_000


def test_what_is_said_and_shown_around_a_moment_comes_in_order_of_time(service):
    service.lines = [
        a_line(4, "speech", 401_000), a_line(2, "speech", 400_000), a_line(3, "ocr", 400_500, "DOG", source="rapidocr", confidence=0.5),
        a_line(9, "text", None, "Pets", source="XMP"), a_line(8, "speech", 399_000, ""),
    ]  # fmt: skip
    service.hits = [said_hit(2, "the dog barks", [(4, 7)])]
    look.forget()
    asked = look.State(text="dog", opened=2)
    found = moment.texts(asked, a_detail(visual=3, speech=3, ocr=1, text=1), 400_000)
    assert [(one["segment"], one["label"], one["clock"], one["here"]) for one in found["lines"]] == [
        (9, "metadata", "", False), (2, "subtitle", "6:40", True), (3, "on-screen text", "6:40.5", False), (4, "subtitle", "6:41", False),
    ]  # fmt: skip
    assert found["lines"][1]["pieces"] == [("the ", False), ("dog", True), (" barks", False)]
    assert [one for one in service.asked_lines if one["channel"] == "speech"] == [
        {"asset": 1, "channel": "speech", "from_ms": 100_000, "until_ms": 700_000, "limit": 1_000}
    ]
    assert {one["channel"] for one in service.asked_lines} == {"speech", "ocr", "text"}
    assert moment.texts(asked, a_detail(visual=3, sound=3), 0) is None
    assert moment.texts(asked, a_detail("text", text=3), 0) is None


def test_what_was_heard_in_a_recording_is_shown_and_can_be_asked_in_writing(service, monkeypatch):
    service.hits, service.heard = [a_hit(1, 1, None)], " two girls "
    drawn = []
    monkeypatch.setattr(look, "grid", lambda data, sent: drawn.append(data))
    look.forget()
    look.show(look.State.link(f"?with=upload~{'0' * 32}~1~audio~me.wav&in=video&spoken=1"))
    assert service.asked[-1]["spoken"] is True
    assert drawn[0]["heard"] == {"text": "two girls", "by": "speech:tiny.en", "href": "?q=two+girls&in=video"}


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
    assert library.progress(job.model_copy(update={"state": "queued"}))[1] == "sample: queued"
    writing = told.model_copy(update={"stage": "filling the lists of the index", "stage_done": 50_000, "stage_of": 200_000})
    shown = library.progress(job.model_copy(update={"progress": writing}))
    assert shown == (0.25, "sample: filling the lists of the index, 50,000 of 200,000 vectors, 14 s left")


def test_a_question_of_several_parts_leads_to_its_steps_and_back(service, monkeypatch):
    service.hits = [a_hit(1, 1, None)]
    drawn, asked = [], []

    def plan(**told):
        asked.append(told)
        row = {
            "useful": 0.9,
            "possible": 0.5,
            "worth": 0.45,
            "coverage": 1,
            "chance": 0.5,
            "recall": None,
            "ms": 3.0,
            "why": "",
            "remedy": "",
        }
        steps = [
            s.PlanRow(number=1, skill="words", form="red in:image", state="taken", gain=1.5, **row),
            s.PlanRow(number=2, skill="without", form="flowers", state="skipped", gain=None, **row),
        ]
        answer = service.search().model_copy(update={"hits": [a_hit(7, 7, None)]})
        return s.Plan(question="x", steps=steps, together=True, calls=1, stopped="", notes=[], answer=answer)

    monkeypatch.setattr(service, "plan", plan, raising=False)
    monkeypatch.setattr(look, "grid", lambda data, *_, **__: drawn.append(data))
    found = service.search()
    monkeypatch.setattr(service, "search", lambda **_: found.model_copy(update={"several": True}))
    look.show(State(text="red without flowers"))
    assert drawn[-1]["plan"] is None
    assert "plan=1" in drawn[-1]["steps"]["href"]
    monkeypatch.setattr(service, "search", FakeService().search)
    look.show(State(text="red without flowers", plan=True, skip=(2,)))
    assert asked[-1]["skip"] == (2,)
    first, second = drawn[-1]["plan"]["rows"]
    assert first["href"] == "?q=%3Dred+in%3Aimage"
    assert (first["skip"]["text"], first["state"]) == ("Skip", "about 1.5 relevant")
    assert second["skip"] == {"text": "Take", "href": "?q=red+without+flowers&plan=1"}
    assert [card["segment"] for card in drawn[-1]["cards"]] == [7]
