"""Photographs of a burst are one hit, the best of them, which tells the others; so are a photograph and the film taken with it."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

import av
import numpy as np
import pytest
from PIL import Image

from indexer.run import RunRequest, index
from search import wire
from search.query import Engine, Term
from search.types import Filter, Modality
from tests.fakes.encoder import COLOURS
from tests.media_samples import tone, write_video

RED = Term("red", Modality.TEXT)
NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001  as EXIF has it, without a zone


def photo(path, colour="red", taken=None, dark=0, identifier=None):
    """A picture of a colour with black in it (nearest to its word at ``dark`` 9), no two of the same bytes; ``taken``: when, as EXIF has it;
    ``identifier``: what an iPhone writes into it and into the film that it takes with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 32, 3), COLOURS[colour], np.uint8)
    pixels[:1, : dark + 1] = 0
    exif = Image.Exif()
    if taken is not None:
        exif[0x010F] = "a camera"
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    if identifier is not None:
        exif[0x010F] = "Apple"
        entries = struct.pack(">HHII", 1, 9, 1, 14) + struct.pack(">HHII", 0x0011, 2, len(identifier) + 1, 16 + 24 + 4)
        exif.get_ifd(0x8769)[0x927C] = (
            b"Apple iOS\0\0\1MM" + struct.pack(">H", 2) + entries + bytes(4) + identifier.encode() + b"\0"
        )
    Image.fromarray(pixels).save(path, exif=exif)
    with path.open("ab") as file:
        file.write(str(path).encode())


@pytest.fixture
def found(settings, tmp_path, encoder):
    """Index what lies in a folder and give the hits to a text: (name, names of the others)."""

    def ask(group="moment", within=(Modality.IMAGE,), **options):
        index(settings, RunRequest([tmp_path / "photos"]), encoder=encoder)
        with Engine(settings, encoder=encoder) as engine:
            answer = engine.search(RED, Filter(modalities=within), k=100, group=group, **options)
            known = engine.store.segments([id_ for hit in answer.hits for id_ in hit.others])
            for hit in answer.hits:
                assert wire.hit(hit)["evidence"].get("others", []) == list(hit.others)
        return [(name(hit.segment), sorted(name(known[id_]) for id_ in hit.others)) for hit in answer.hits]

    return ask


def name(segment):
    return segment.path.rsplit("/", 1)[-1]


def test_a_burst_by_its_names_is_one_hit_and_the_best_stands_for_it(found, tmp_path):
    for number in range(6):
        photo(tmp_path / "photos" / f"DSC_{2000 + number}.png", dark=9 + 5 * abs(number - 3))
    photo(tmp_path / "photos" / "rose.png")
    photo(tmp_path / "photos" / "DSC_2020.png")
    hits = found()
    assert [one for one, _ in hits if one != "DSC_2003.png"] in (["rose.png", "DSC_2020.png"], ["DSC_2020.png", "rose.png"])
    assert dict(hits)["DSC_2003.png"] == [f"DSC_{2000 + number}.png" for number in (0, 1, 2, 4, 5)]
    assert len(found(group="segment")) == 8


def test_times_of_cameras_count_before_names(found, tmp_path):
    """Three at once, then one ten seconds later with the next number; two at once whose numbers lie far apart."""
    for number, second in ((2001, 0), (2002, 1), (2003, 2), (2004, 12), (3001, 40), (3900, 41)):
        photo(tmp_path / "photos" / f"IMG_{number}.png", taken=NOON + timedelta(seconds=second), dark=number % 7)
    assert sorted(1 + len(others) for _, others in found()) == [1, 2, 3]


def test_what_looks_different_is_no_burst(found, tmp_path):
    for number, colour in enumerate(("red", "blue", "red", "green")):
        photo(tmp_path / "photos" / f"DSC_{2000 + number}.png", colour, NOON)
    assert all(not others for _, others in found())


@pytest.mark.parametrize("names", [("a/DSC_2000.png", "b/DSC_2001.png"), ("DSC_2000.png", "DSX_2001.png"), ("1.png", "2.png"), ("0001.png", "0002.png"), ("rose.png", "rosa.png"), ("DSC_2000.png", "DSC_2010.png")])  # fmt: skip
def test_names_that_tell_no_burst_stay_apart(found, tmp_path, names):
    for number, one in enumerate(names):
        photo(tmp_path / "photos" / one, dark=number)
    assert len(found()) == 2


def test_a_burst_longer_than_a_level_is_one_hit(found, tmp_path, monkeypatch):
    monkeypatch.setattr("search.query.ranking.CANDIDATES_PER_SPACE", 4)
    for number in range(30):
        photo(tmp_path / "photos" / f"DSC_{2000 + number}.png", dark=number)
    photo(tmp_path / "photos" / "rose.png", dark=31)
    hits = dict(found())
    assert set(hits) >= {"rose.png"}
    assert sum(1 + len(others) for others in hits.values()) == 31
    assert len(hits) <= 12


BOTH = (Modality.IMAGE, Modality.VIDEO)


@pytest.mark.parametrize(("dark", "best"), [(9, "IMG_0001.JPG"), (600, "IMG_0001.MOV")])
def test_a_photograph_and_the_film_taken_with_it_are_one_hit(found, tmp_path, dark, best):
    """The better of the two. A long film is one of its own, and so is one in another folder."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    write_video(folder / "live.mov", [("red", 1.5), ("blue", 1.5)], sound=tone(220, 3)).rename(folder / "IMG_0001.MOV")
    photo(folder / "IMG_0001.jpg", dark=dark)
    (folder / "IMG_0001.jpg").rename(folder / "IMG_0001.JPG")
    write_video(folder / "a" / "IMG_0001.mov", [("red", 2.0)])
    write_video(folder / "IMG_0400.mov", [("red", 8.0)])
    photo(folder / "IMG_0400.jpg", dark=2)
    hits = found(within=BOTH)
    assert sorted(len(others) for _, others in hits if others) == [1]
    (others,) = (others for one, others in hits if one == best and others)
    assert {best, *others} == {"IMG_0001.JPG", "IMG_0001.MOV"}
    names = [one for one, _ in hits]
    assert not {*others} & {*names}
    assert {"IMG_0001.mov", "IMG_0400.mov", "IMG_0400.jpg"} <= {*names}
    assert "IMG_0001.MOV" in [one for one, _ in found(group="segment", within=BOTH)]


def test_the_film_of_a_photograph_in_a_burst_stands_behind_the_burst(found, tmp_path):
    for number in range(3):
        photo(tmp_path / "photos" / f"IMG_{2000 + number}.jpg", dark=9 + number)
    write_video(tmp_path / "photos" / "IMG_2002.mov", [("red", 2.0)])
    ((best, others),) = found(within=BOTH)
    assert sorted([best, *others]) == ["IMG_2000.jpg", "IMG_2001.jpg", "IMG_2002.jpg", "IMG_2002.mov"]


def film(path, identifier):
    """A film of two seconds as an iPhone takes it with a photograph."""
    plain = write_video(path.with_name("plain.mov"), [("red", 2.0)])
    with av.open(str(plain)) as source, av.open(str(path), "w", format="mov", options={"movflags": "use_metadata_tags"}) as made:
        made.metadata["com.apple.quicktime.content.identifier"] = identifier
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    plain.unlink()


def test_a_photograph_and_its_film_with_other_names_are_told_by_what_they_hold(found, tmp_path):
    """What they hold counts before their names, and within one folder."""
    one, other = "1B7D1F7C-5A52-4C5B-9E77-0C1F4E3F0A11", "6F0E3D44-5A52-4C5B-9E77-0C1F4E3F0A22"
    folder = tmp_path / "photos"
    photo(folder / "2024-05-01 beach.jpg", identifier=one)
    photo(folder / "IMG_0700.jpg", "blue", identifier=other)
    film(folder / "IMG_0700.mov", one)
    (folder / "elsewhere").mkdir()
    film(folder / "elsewhere" / "IMG_0800.mov", other)
    hits = found(within=BOTH)
    assert sorted(sorted([best, *others]) for best, others in hits) == [
        ["2024-05-01 beach.jpg", "IMG_0700.mov"],
        ["IMG_0700.jpg"],
        ["IMG_0800.mov"],
    ]
