"""The reader of what is written in and beside media, through the confined pool and from sidecars."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from PIL import Image

from search import readers
from search.errors import MediaError
from search.media import DecodePool
from search.media.metadata import sidecars
from search.models import Models
from search.types import Channel, Cut, Gap, Info, Modality, Passage, Span
from tests.media_samples import picture, tone, write_sound, write_video
from tests.unit.media_pool import settings
from tests.unit.test_media_written import CAPTION, CAPTIONED, behind_the_picture, rdf, srt, write


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "plain.mp4", [("red", 0.4)]).read_bytes()


@pytest.fixture
def reader(tmp_path):
    return readers.load("written", Models(settings()))


def read(pool, reader, path) -> tuple[list[Passage], list[Gap]]:
    """What is read of a file and its sidecars, and the gaps of both the decoder and the reader."""
    info, *rest = sidecars.decode(pool, path, reader.needs)
    assert isinstance(info, Info)
    read = list(reader.read(info, rest))
    gaps = [one for one in (*rest, *read) if isinstance(one, Gap)]
    return [one for one in read if isinstance(one, Passage)], gaps


def test_the_reader_is_found_by_its_name_and_keeps_to_the_seam(reader):
    assert isinstance(reader, readers.Reader)
    assert (reader.name, reader.channels) == ("written", {Channel.SPEECH, Channel.TEXT})
    assert reader.reads == {Modality.IMAGE, Modality.AUDIO, Modality.VIDEO}
    assert (reader.needs.size, reader.needs.rate, reader.needs.metadata) == (0, 0, True)


def test_a_caption_is_a_passage_that_says_where_it_stood(pool, reader, tmp_path):
    picture("red").save(tmp_path / "a.jpg", xmp=CAPTIONED)
    passages, gaps = read(pool, reader, tmp_path / "a.jpg")
    assert gaps == []
    assert {(one.source, one.confidence, one.span, one.channel) for one in passages} == {("XMP", None, None, Channel.TEXT)}
    assert [(one.text, one.language) for one in passages] == [told for told in CAPTION if told != ("Der Hafen", None)]


def test_what_is_said_twice_is_one_passage_and_what_is_long_is_several(pool, reader, tmp_path):
    long = "The lorry waits at the gate. Its engine runs all morning. " * 60
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "Boats &amp; buoys", long
    picture("red").save(tmp_path / "a.jpg", exif=exif, xmp=rdf("", 'photoshop:Headline="Boats &amp;amp; BUOYS"'))
    passages, _ = read(pool, reader, tmp_path / "a.jpg")
    assert (passages[0].text, passages[0].source) == ("Boats &amp; BUOYS", "XMP")
    assert all(len(one.text) <= 1000 and one.source == "EXIF" for one in passages[1:])
    assert " ".join(one.text for one in passages[1:]) == long.strip()


def test_a_cut_without_a_source_is_nothing_that_was_written(reader):
    cuts = [
        Cut(Channel.TEXT, Modality.TEXT, None, "prose"),
        Gap("truncated", "x"),
        Cut(Channel.TEXT, Modality.TEXT, None, "title", "ID3"),
    ]
    assert list(reader.read(Info(Modality.AUDIO, "mp3"), cuts)) == [Passage(Channel.TEXT, None, "title", "ID3")]


def test_subtitles_beside_a_film_are_its_speech_in_the_language_of_their_name(pool, reader, tmp_path, film):
    path = write(tmp_path / "film.mp4", film)
    write(tmp_path / "film.de.srt", srt((1000, 2000, "<i>Ein Bus\nhält.</i>"), (3000, 4000, "Ende")))
    write(tmp_path / "film.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nA bus stops.\n")
    write(tmp_path / "other.fr.srt", srt((0, 1000, "Rien")))
    passages, gaps = read(pool, reader, path)
    assert gaps == []
    assert passages == [
        Passage(Channel.SPEECH, Span(1000, 2000), "Ein Bus hält.", "film.de.srt", language="de"),
        Passage(Channel.SPEECH, Span(3000, 4000), "Ende", "film.de.srt", language="de"),
        Passage(Channel.SPEECH, Span(1000, 2000), "A bus stops.", "film.vtt"),
    ]


@pytest.mark.parametrize("name", ["photo.xmp", "photo.jpg.xmp", "photo.XMP"])
def test_xmp_beside_a_photograph_is_its_caption(pool, reader, tmp_path, name):
    picture("red").save(tmp_path / "photo.jpg")
    write(tmp_path / name, rdf("", 'photoshop:Headline="A red bus"'))
    assert read(pool, reader, tmp_path / "photo.jpg") == ([Passage(Channel.TEXT, None, "A red bus", name)], [])


def test_a_sidecar_that_cannot_be_read_is_a_gap_and_the_others_are_read(pool, reader, tmp_path, film):
    path = write(tmp_path / "film.mp4", film)
    write(tmp_path / "film.de.srt", b"1\n00:00:01,000 --> 00:00:02,000\nA\0B\n")
    write(tmp_path / "film.en.srt", b"")
    write(tmp_path / "film.fr.srt", srt((0, 1000, "Un bus")))
    (tmp_path / "film.it.srt").mkdir()
    write(tmp_path / "film.xmp", "<!DOCTYPE x []><x/>")
    passages, gaps = read(pool, reader, path)
    assert [one.source for one in passages] == ["film.fr.srt"]
    assert {gap.reason for gap in gaps} == {"not_read"}
    assert [gap.detail.partition(":")[0] for gap in gaps] == ["film.de.srt", "film.en.srt", "film.it.srt", "film.xmp"]


def test_a_file_that_cannot_be_read_stays_an_error(pool, reader, tmp_path):
    write(tmp_path / "film.mp4", b"\0\0\0\x18ftypmp42rubbish")
    write(tmp_path / "film.srt", srt((0, 1000, "A bus")))
    with pytest.raises(MediaError):
        read(pool, reader, tmp_path / "film.mp4")


def test_sidecars_are_left_alone_where_only_the_picture_is_wanted(pool, reader, tmp_path):
    picture("red").save(tmp_path / "photo.jpg")
    write(tmp_path / "photo.xmp", "rubbish")
    needs = replace(reader.needs, size=8, metadata=False)
    assert [type(one) for one in sidecars.decode(pool, tmp_path / "photo.jpg", needs)] == [Info, Cut]


@pytest.mark.parametrize(("medium", "name", "language"), [
    ("film.mp4", "film.srt", None),
    ("film.mp4", "film.en.srt", "en"),
    ("film.MP4", "film.pt-BR.VTT", "pt"),
    ("film.mkv", "film.mkv.ger.srt", "de"),
    ("film.mp4", "film.German.forced.srt", "de"),
    ("film.mp4", "film.en.hi.srt", "en"),
    ("my.en.film.mp4", "my.en.film.srt", None),
    ("song.mp3", "song.en.srt", "en"),
    ("film.mp4", "film.xmp", None),
    ("film.mp4", "FILM.FR.SRT", "fr"),
    ("Film.mp4", "film_en.srt", "en"),
    ("film.mp4", "film-de.ass", "de"),
    ("film.mp4", "film.2.en.srt", "en"),
    ("film.mp4", "film.en.2.srt", "en"),
    ("film.mp4", "film.commentary.en.srt", "en"),
    ("film.mp4", "film [en].ttml", "en"),
    ("film.mp4", "film (English) [forced].dfxp", "en"),
    ("film.mp4", "film.zh-Hans.scc", "zh"),
    ("film.mp4", "film.hi.srt", "hi"),
    ("film.mp4", "film.nor.hi.srt", "no"),
    ("film.mp4", "film.sup", None),
    ("song.flac", "song.lrc", None),
    ("mac.mp4", "mac.en.srt", "en"),
    ("photo.jpg", "photo.NEF.xmp", None),
    ("Photo.JPG", "photo.xmp", None),
])  # fmt: skip
def test_a_sidecar_is_known_by_its_name(tmp_path, medium, name, language):
    (tmp_path / name).touch()
    assert sidecars.sidecars(tmp_path / medium) == [tmp_path / name]
    assert sidecars._language(name, sidecars._names(tmp_path / medium)) == language


@pytest.mark.parametrize(("medium", "name"), [
    ("film.mp4", "film2.srt"), ("film.mp4", "film.director.srt"), ("film.mp4", "film.en.txt"), ("photo.jpg", "photo.srt"), ("film.mp4", "en.srt"),
    ("film.srt", "film.en.srt"), ("film.txt", "film.xmp"), ("film.mp4", ".srt"), ("film.mp4", "film.png.xmp"),
    ("film.mp4", "film.2.srt"), ("film.mp4", "film-Hans.srt"), ("film.mp4", "filmen.srt"), ("photo.nef", "photo.jpg.xmp"), ("film.mp4", "2_English.srt"),
])  # fmt: skip
def test_what_only_looks_like_a_sidecar_is_none(tmp_path, medium, name):
    (tmp_path / name).touch()
    assert sidecars.sidecars(tmp_path / medium) == []
    assert sidecars.fingerprint(tmp_path / medium) == ""


def test_of_several_media_the_one_with_the_longest_name_has_the_sidecar(tmp_path):
    for name in (
        "film.mp4",
        "film.en.mp4",
        "film.en.de.srt",
        "film.mkv",
        "film.de.srt",
        "photo.jpg",
        "photo.nef.xmp",
        "photo.xmp",
    ):
        write(tmp_path / name, "x")
    own = {
        name: [one.name for one in sidecars.sidecars(tmp_path / name)]
        for name in ("film.mp4", "film.mkv", "film.en.mp4", "photo.jpg")
    }
    assert own == {
        "film.mp4": ["film.de.srt"], "film.mkv": ["film.de.srt"], "film.en.mp4": ["film.en.de.srt"], "photo.jpg": ["photo.nef.xmp", "photo.xmp"],
    }  # fmt: skip
    assert [path.name for path in sidecars.owners(tmp_path / "film.en.de.srt")] == ["film.en.mp4"]


def test_subtitles_may_lie_in_a_folder_of_their_own(tmp_path):
    film, other = tmp_path / "Film.2019.mkv", tmp_path / "Other.mkv"
    write(film, "x")
    below = [tmp_path / "Subs" / name for name in ("2_English.srt", "Film.2019.de.srt", "Film.2019/3_French.srt", "Other.fr.srt")]
    for path in below:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, "x")
    assert sidecars.sidecars(film) == sorted(below[:3])
    before = sidecars.fingerprint(film)
    assert [sidecars.owners(path) for path in below] == [[film], [film], [film], []]
    write(other, "x")  # which of the two a nameless one belongs to, nobody can tell
    assert sidecars.sidecars(film) == sorted(below[1:3])
    assert sidecars.sidecars(other) == below[3:]
    assert [sidecars.owners(path) for path in below] == [[], [film], [film], [other]]
    assert sidecars.fingerprint(film) != before


def test_a_time_code_that_begins_at_ten_o_clock_is_counted_from_there(pool, reader, tmp_path, film):
    path = write(tmp_path / "film.mp4", film)
    write(tmp_path / "film.en.srt", srt((36_000_100, 36_000_300, "A bus"), (36_000_300, 36_000_400, "stops")))
    passages, _ = read(pool, reader, path)
    assert [(one.text, one.span) for one in passages] == [("A bus", Span(100, 300)), ("stops", Span(300, 400))]


def test_subtitles_that_are_pictures_are_told_and_models_of_solids_are_none(pool, reader, tmp_path, film):
    path = write(tmp_path / "film.mp4", film)
    for name, content in (
        ("film.en.sub", b"\0\0\1\xba" + bytes(100)), ("film.sup", b"PG" + bytes(100)), ("film.sub", b"{25}{75}A bus"), ("film.stl", b"solid cube"), ("film.2.en.stl", bytes(200)),
    ):  # fmt: skip
        write(tmp_path / name, content)
    (tmp_path / "film.de.srt").mkdir()
    passages, gaps = read(pool, reader, path)
    assert passages == []
    assert [gap.detail for gap in gaps] == [
        "film.de.srt: not a regular file", "film.en.sub: the subtitles are pictures",
        "film.sub: its times are frames, and it does not say how many there are a second", "film.sup: the subtitles are pictures",
    ]  # fmt: skip


def test_a_fingerprint_changes_whenever_a_sidecar_does(tmp_path):
    film = tmp_path / "film.mp4"
    told = [sidecars.fingerprint(film)]
    write(tmp_path / "film.srt", "a")
    told.append(sidecars.fingerprint(film))
    write(tmp_path / "film.srt", "ab")
    told.append(sidecars.fingerprint(film))
    os.utime(tmp_path / "film.srt", ns=(1, 1))
    told.append(sidecars.fingerprint(film))
    (tmp_path / "film.srt").rename(tmp_path / "film.en.srt")
    told.append(sidecars.fingerprint(film))
    assert len({*told}) == len(told)
    assert sidecars.fingerprint(film) == told[-1]
    (tmp_path / "film.en.srt").unlink()
    assert sidecars.fingerprint(film) == told[0] == ""


def test_a_folder_is_listed_once_until_it_changes(tmp_path, monkeypatch):
    listed = []
    monkeypatch.setattr(sidecars.os, "listdir", lambda folder: listed.append(folder) or ["a.xmp", "b.xmp"])
    os.utime(tmp_path, ns=(1, 1))
    assert [len(sidecars.sidecars(tmp_path / name)) for name in ("a.jpg", "b.jpg", "c.jpg")] == [1, 1, 0]
    assert len(listed) == 1
    os.utime(tmp_path, ns=(2, 2))
    sidecars.sidecars(tmp_path / "a.jpg")
    assert len(listed) == 2


def test_names_of_any_bytes_are_shown(pool, reader, tmp_path, film):
    stem = os.fsdecode(b"f\xff\n\xe2\x80\xaeilm")
    path = write(tmp_path / f"{stem}.mp4", film)
    write(tmp_path / f"{stem}.en.srt", srt((0, 1000, "A bus")))
    passages, _ = read(pool, reader, path)
    assert [(one.source, one.language) for one in passages] == [("f\ufffd\ufffd\ufffdilm.en.srt", "en")]


def test_a_folder_that_is_not_there_has_no_sidecars(tmp_path):
    assert sidecars.sidecars(tmp_path / "gone/film.mp4") == []
    assert sidecars.fingerprint(tmp_path / "gone/film.mp4") == ""


def test_sound_has_its_lyrics_beside_it(pool, reader, tmp_path):
    write_sound(tmp_path / "song.wav", tone(440, 0.5))
    write(tmp_path / "song.en.vtt", "WEBVTT\n\n00:00.000 --> 00:00.500\nA bus\n")
    assert [one.text for one in read(pool, reader, tmp_path / "song.wav")[0]] == ["A bus"]


def test_a_picture_without_words_gives_nothing(pool, reader, tmp_path):
    picture("red").save(tmp_path / "a.png")
    assert read(pool, reader, tmp_path / "a.png") == ([], [])
    behind_the_picture(tmp_path / "a.png", b"zTXt", b"Title\0\0rubbish")
    assert [gap.reason for gap in read(pool, reader, tmp_path / "a.png")[1]] == ["not_read"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("film.de.forced.srt", ["film.mp4"]), ("film.mp4.xmp", ["film.mp4"]), ("film.xmp", ["film.jpg", "film.mp4"]),
        ("film.srt", ["film.mp4"]), ("FILM.SRT", ["film.mp4"]), ("film.old_de.ttml", ["film.old.mp4"]), ("film.mp4", []), ("other.srt", []), ("gone/film.srt", []),
    ],
)  # fmt: skip
def test_a_sidecar_has_owners_whether_it_is_there_or_not(tmp_path, name, expected):
    for there in ("film.mp4", "film.jpg", "film.txt", "film.old.mp4"):
        write(tmp_path / there, "x")
    assert [path.name for path in sidecars.owners(tmp_path / name)] == expected
    assert sidecars.is_sidecar(name) == (not name.endswith(".mp4"))
