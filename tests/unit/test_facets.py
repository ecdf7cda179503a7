"""Facets and the filters that go with them, against counting by hand over an archive of made-up files."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from search.errors import InputError, UnknownName
from search.query import judging
from search.query.browsing import browsed
from search.query.facets import FacetCounter
from search.query.searcher import Searcher
from search.store import Database, Fields, Finished, Intake, Labels, Queue, Spaces, SqlStore
from search.store.fields import checked_field
from search.store.intake import Sighting
from search.types import Channel, Cut, Dated, DateSource, Filed, Filter, Info, Modality, Shape, Span
from tests.fakes.encoder import FakeEncoder

FILES = {
    # path: (modality, width, height, duration_ms, size, year, channels)
    "/a/one/x.jpg": (Modality.IMAGE, 4_000, 3_000, None, 3_000_000, 2019, (Channel.VISUAL,)),
    "/a/one/y.jpg": (Modality.IMAGE, 600, 800, None, 90_000, 2021, (Channel.VISUAL,)),
    "/a/two/deep/z.mp4": (Modality.VIDEO, 1_920, 1_080, 61_000, 50_000_000, 2021, (Channel.VISUAL, Channel.SOUND)),
    "/a/sq.png": (Modality.IMAGE, 500, 500, None, 1_000, None, (Channel.VISUAL,)),
    "/b/s.wav": (Modality.AUDIO, None, None, 10_000, 200_000, None, (Channel.SOUND,)),
}  # fmt: skip

STATED = {
    # path: (camera, rights, latitude and longitude)
    "/a/one/x.jpg": ("Canon EOS R5", "© Anna Berg; CC BY 4.0", (59.3293, 18.0686)),
    "/a/one/y.jpg": ("NIKON D750", "All rights reserved", (57.7089, 11.9746)),
    "/a/two/deep/z.mp4": ("Canon XA60", None, (-17.8, 179.9)),
    "/b/s.wav": (None, "CC BY-SA 4.0", (59.33, 18.07)),
}  # fmt: skip


class Archive:
    """The archive: one space that takes everything, and files in the collections a and b."""

    def __init__(self, settings) -> None:
        self.database = Database(settings.database)
        self.database.upgrade()
        self.encoder, self.store = FakeEncoder(), SqlStore(self.database)
        self.space = Spaces(self.database).add(self.encoder.space, "fake")
        self.intake, rng = Intake(self.database), np.random.default_rng(0)
        self.keys = {name: self.intake.collection(name, [f"/{name}".encode()]) for name in "ab"}
        for number, (path, (modality, width, height, length, size, year, channels)) in enumerate(FILES.items(), 1):
            self.put(path, size, number)
            queue = Queue(self.database, self.space.key, "one")
            day = None if year is None else int(np.datetime64(f"{year}-06-01").astype("datetime64[D]").astype(int))
            camera, rights, position = STATED.get(path, (None, None, None))
            dated = Dated(day, day, DateSource.EXIF if day else None, None)
            filed = Filed(dated, position=position, camera=camera, rights=rights)
            content = np.empty(0, np.uint8)
            cuts = [
                Cut(one, modality, Span(n * 10, n * 10 + 10) if length else None, content)
                for one in channels
                for n in range(2 if length else 1)
            ]
            vectors = rng.standard_normal((len(cuts), self.encoder.space.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            for unit in queue.lease(9):
                queue.put([Finished(unit, Info(modality, "x", width, height, length), cuts, vectors, filed=filed)])
        self.assets = self.store.assets_of(list(FILES))
        self.searcher = Searcher(settings, self.store, self.space, self.encoder)
        self.counter = FacetCounter(self.store)

    def put(self, path: str, size: int, number: int) -> None:
        file = Sighting(path.encode(), size, 1), number.to_bytes(32, "big")
        self.intake.put_files(self.keys[path[1]], self.intake.begin_scan(), [self.space.key], [file])

    def facets(self, wanted=None, *names) -> dict[str, dict[str, int]]:
        view = self.searcher.current(self.store.version())
        found = self.counter.count(self.searcher, view, wanted or Filter(), names)
        return {one.name: {value.value: value.files for value in one.values} for one in found.facets}

    def found(self, **wanted) -> set[str]:
        view = self.searcher.current(self.store.version())
        ids = np.concatenate([np.empty(0, np.int64), *self.searcher.targets(view, Filter(**wanted), ()).values()])
        return {one.path for one in self.store.segments(ids.tolist()).values()}


@pytest.fixture
def filed(settings):
    archive = Archive(settings)
    yield archive
    archive.searcher.close()
    archive.database.close()


def test_every_facet_counts_files(filed):
    found = filed.facets()
    assert found["modality"] == {"image": 3, "video": 1, "audio": 1}
    assert found["channel"] == {"visual": 4, "sound": 2}
    assert found["date"] == {"2019": 1, "2021": 2}
    assert found["month"] == {"2019-06": 1, "2021-06": 2}
    assert found["dated_by"] == {"exif": 3}
    assert found["duration"] == {"10..60": 1, "60..300": 1}
    assert found["size"] == {"..0.1": 2, "0.1..1": 1, "1..10": 1, "10..100": 1}
    assert found["pixels"] == {"..0.5": 2, "2..8": 1, "8..24": 1}
    assert found["shape"] == {"landscape": 2, "portrait": 1, "square": 1}
    assert found["collection"] == {"a": 4, "b": 1}
    assert found["folder"] == {"/a": 1, "/a/one": 2, "/a/two": 1, "/b": 1}
    assert found["speech"] == {"no": 5}
    assert found["camera"] == {"Canon EOS R5": 1, "NIKON D750": 1, "Canon XA60": 1}
    assert found["rights"] == {"© Anna Berg; CC BY 4.0": 1, "All rights reserved": 1, "CC BY-SA 4.0": 1}
    assert found["place"] == {"59,18,60,19": 2, "57,11,58,12": 1, "-18,179,-17,180": 1}
    assert "language" not in found
    assert "tag" not in found


@pytest.mark.parametrize(
    ("order", "names"),
    [("added", "s sq z y x"), ("date", "z y x s sq"), ("length", "z s sq y x"), ("size", "z x s y sq")],
)
def test_files_are_browsed_page_by_page_in_an_order(filed, order, names):
    view, pages, after = filed.searcher.current(filed.store.version()), [], None
    while True:
        found, after = browsed(filed.searcher, view, Filter(), order, after, 2)
        pages.append(list(found))
        if after is None:
            break
    paths = {filed.assets[path]: path.rpartition("/")[2].partition(".")[0] for path in FILES}
    assert [[paths[one] for one in page] for page in pages] == [names.split()[:2], names.split()[2:4], names.split()[4:]]


def test_a_browsed_file_comes_with_the_first_of_its_segments_that_passes(filed):
    view = filed.searcher.current(filed.store.version())
    for channel in (Channel.VISUAL, Channel.SOUND):
        found, after = browsed(filed.searcher, view, Filter(channels=(channel,)), "length", None, 1)
        (segment,) = filed.store.segments(list(found.values())).values()
        assert (segment.channel, segment.span, segment.path) == (channel, Span(0, 10), "/a/two/deep/z.mp4")
        assert after is not None
    assert browsed(filed.searcher, view, Filter(under=("/b",)), "added", None, 1)[1] is None


def test_counts_are_of_what_passes_the_filter(filed):
    assert filed.facets(Filter(modalities=(Modality.IMAGE,)), "date", "channel") == {
        "date": {"2019": 1, "2021": 1},
        "channel": {"visual": 3},
    }
    assert filed.facets(Filter(under=("/a/two",)), "folder") == {"folder": {"/a/two/deep": 1}}
    assert filed.facets(Filter(collections=("b",)), "folder", "collection") == {"folder": {"/b": 1}, "collection": {"b": 1}}
    assert filed.facets(Filter(channels=(Channel.SOUND,)), "modality") == {"modality": {"audio": 1, "video": 1}}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"smallest_bytes": 200_000}, "x z s"), ({"largest_bytes": 90_000}, "y sq"), ({"fewest_pixels": 480_000}, "x y z"),
        ({"fewest_pixels": 1, "most_pixels": 480_000}, "y sq"), ({"shapes": (Shape.PORTRAIT, Shape.SQUARE)}, "y sq"),
        ({"shapes": (Shape.LANDSCAPE,), "smallest_bytes": 4_000_000}, "z"), ({"speech": True}, ""), ({"speech": False}, "x y z sq s"),
        ({"languages": ("de",)}, ""), ({"least_confidence": 0.1}, ""),
    ],
)  # fmt: skip
def test_filters_let_through_what_they_say(filed, wanted, names):
    assert {path.rpartition("/")[2].partition(".")[0] for path in filed.found(**wanted)} == set(names.split())


def test_what_readers_read_is_filtered_by_language_and_confidence(filed):
    from sqlalchemy import insert

    from search.store import tables as t

    asset = filed.assets["/a/two/deep/z.mp4"]
    rows = [
        {"asset_id": asset, "channel": "speech", "ordinal": n, "unit": "ms", "start": 0, "end": 10, "text": "x", "reader_id": 7}
        | read
        for n, read in enumerate([{"language": "de", "confidence": 0.4}, {"language": "en", "confidence": 0.9}])
    ]
    with filed.database.writing() as connection:
        ids = connection.execute(insert(t.segment).returning(t.segment.c.id), rows).scalars().all()
        blob = np.eye(1, filed.encoder.space.dim, dtype="<f2").tobytes()
        connection.execute(insert(t.embedding), [{"space_id": filed.space.key, "segment_id": one, "vector": blob} for one in ids])
    found = filed.facets()
    assert (found["language"], found["confidence"], found["speech"]) == (
        {"de": 1, "en": 1},
        {"..0.5": 1, "0.9..": 1},
        {"no": 4, "yes": 1},
    )
    assert filed.found(speech=True) == {"/a/two/deep/z.mp4"}
    view = filed.searcher.current(filed.store.version())
    for wanted, which in (
        (Filter(languages=("de",)), ids[:1]),
        (Filter(least_confidence=0.5), ids[1:]),
        (Filter(languages=("fr",)), []),
    ):
        assert np.concatenate([np.empty(0), *filed.searcher.targets(view, wanted, ()).values()]).tolist() == which


def test_own_fields_are_filtered_and_counted(filed):
    fields, assets = Fields(filed.database), filed.assets
    fields.put({
        assets["/a/one/x.jpg"]: {"Model": "Canon R5", "iso": "100"}, assets["/a/one/y.jpg"]: {"Model": "canon r5", "iso": "1600"},
        assets["/b/s.wav"]: {"Model": "Zoom H4"},
    })  # fmt: skip
    assert filed.facets()["field.Model"] == {"Canon R5": 1, "Zoom H4": 1, "canon r5": 1}
    assert filed.found(fields=(("Model", "CANON R5"),)) == {"/a/one/x.jpg", "/a/one/y.jpg"}
    assert filed.found(fields=(("Model", "Canon R5"), ("iso", "200.."))) == {"/a/one/y.jpg"}
    assert filed.found(fields=(("iso", "..200"), ("iso", "1600"))) == {"/a/one/x.jpg", "/a/one/y.jpg"}
    with pytest.raises(UnknownName) as caught:
        filed.found(fields=(("Modell", "x"),))
    assert "Model" in caught.value.remedy
    with pytest.raises(InputError, match="before it begins"):
        filed.found(fields=(("iso", "9..1"),))
    with pytest.raises(UnknownName) as caught:
        filed.facets(None, "moddality")
    assert "modality" in caught.value.remedy
    fields.put({assets["/a/one/y.jpg"]: {"Model": "", "iso": "50"}})
    assert fields.of(assets["/a/one/y.jpg"]) == {"iso": "50"}
    assert filed.found(fields=(("iso", "..60"),)) == {"/a/one/y.jpg"}
    assert fields.drop("iso") == 2
    assert fields.names() == {"Model": 2}


def test_tags_are_counted(filed):
    Labels(filed.database).put(
        filed.space.key, {filed.assets["/a/sq.png"]: [("dog", 0.9), ("cat", 0.1)], filed.assets["/b/s.wav"]: [("dog", 1.0)]}
    )
    assert filed.facets(None, "tag") == {"tag": {"dog": 2, "cat": 1}}


def test_a_limited_caller_is_told_of_nothing_else(filed):
    filed.put("/b/copy.jpg", 3_000_000, 1)  # of /a/one/x.jpg
    Fields(filed.database).put({asset: {"secret": path} for path, asset in filed.assets.items()})
    found = filed.facets(Filter(within=("b",)))
    assert found["collection"] == {"b": 2}
    assert found["folder"] == {"/b": 2}
    assert found["field.secret"] == {"/b/s.wav": 1}  # what was said of a file that lies elsewhere too is not told
    assert filed.found(within=("b",), fields=(("secret", "/a/one/x.jpg"),)) == set()
    assert collections.Counter(found["modality"]) == {"audio": 1, "image": 1}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"cameras": ("canon",)}, "x z"), ({"cameras": ("eos", "nikon")}, "x y"), ({"rights": ("cc by",)}, "x s"),
        ({"areas": ((59.33, 18.07, 1.0),)}, "x s"), ({"areas": ((59.33, 18.07, 395.0),)}, "x s"), ({"areas": ((59.33, 18.07, 400.0),)}, "x s y"),
        ({"areas": ((-90.0, 179.0, 0.0, -179.0),)}, "z"), ({"areas": ((-17.8, -179.9, 25.0),)}, "z"), ({"areas": ((0.0, 0.0, 10.0), (57.0, 11.0, 58.0, 12.0))}, "y"),
        ({"areas": ((59.0, 18.0, 60.0, 19.0),), "located": ("b",)}, "s"), ({"areas": ((59.0, 18.0, 60.0, 19.0),), "within": ("a",)}, "x"),
    ],
)  # fmt: skip
def test_what_files_state_of_camera_rights_and_place_is_filtered(filed, wanted, names):
    """Stockholm and Göteborg lie 397 km apart by the spherical law of cosines."""
    assert {path.rpartition("/")[2][0] for path in filed.found(**wanted)} == set(names.split())


def test_places_are_told_of_collections_that_may_be_located_alone(filed):
    assert filed.facets(Filter(located=("b",)), "place")["place"] == {"59,18,60,19": 1}
    assert filed.facets(Filter(located=()), "place")["place"] == {}
    with pytest.raises(UnknownName) as told:
        filed.found(cameras=("cannon",))
    assert "Canon" in told.value.remedy
    with pytest.raises(UnknownName):
        filed.found(cameras=("canon",), within=("b",))


@pytest.mark.parametrize("name", ["", " ", "9lives", "a b", "a\0", "x" * 101, "-x"])
def test_names_that_no_field_can_have(name):
    with pytest.raises(InputError):
        checked_field(name)


def test_the_identifier_of_a_filter_is_what_it_was():
    """Samples that were drawn before filters knew sizes keep their filter."""
    assert judging.scope_of(Filter()) == "03e3f6539a5a6b55"
    assert judging.scope_of(Filter(modalities=(Modality.IMAGE,), under=("/a",), within=("b",))) == "4e66102305dcfd4d"
    assert judging.scope_of(Filter(smallest_bytes=1)) != judging.scope_of(Filter())
