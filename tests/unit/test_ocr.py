"""The reader of on-screen text keeps the seam's promises, and lays out what it reads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from search.errors import REASONS, ModelMissing
from search.media import DecodePool
from search.models import Model
from search.readers import Reader, ocr
from search.readers.ocr.layout import Line, blocks, bounds, pieces, text
from search.settings import Settings
from search.types import Channel, Cut, Gap, Info, Modality, Passage, Span
from tests import screens

pytest.importorskip("rapidocr")

LINES = ("The harbour station opens", "every morning at seventeen", "minutes past eight")
SAID = " ".join(LINES)
SPAN = Span(1000, 5000)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return ocr.load(None, "auto")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    with DecodePool(Settings(home=tmp_path_factory.mktemp("home")), 1) as pool:
        yield pool


def font(size: int, name: str = "DejaVuSans.ttf") -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        pytest.skip(f"the font {name} is not installed")


def sign(*lines: str, size: tuple[int, int] = (640, 240), left: int = 40, top: int = 30) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text((left, top + 50 * number), line, "black", font(32))
    return picture


def read(reader: Reader, picture: Image.Image) -> list:
    info = Info(Modality.IMAGE, "png", *picture.size)
    return list(reader.read(info, [Cut(Channel.VISUAL, Modality.IMAGE, None, screens.padded(picture, reader.needs.size))]))


def decoded(reader: Reader, pool: DecodePool, path: Path) -> list:
    """What is read of a file."""
    info, *cuts = pool.decode(path, reader.needs)
    return list(reader.read(info, cuts))


def shot(reader: Reader, pictures: list[Image.Image], span: Span | None = SPAN) -> Cut:
    content = np.stack([screens.padded(picture, reader.needs.size) for picture in pictures])
    return Cut(Channel.VISUAL, Modality.VIDEO, span, content)


def film(reader: Reader, *cuts: Cut | Gap, size: tuple[int, int] = (640, 240)) -> list:
    return list(reader.read(Info(Modality.VIDEO, "mp4", *size, 60_000), cuts))


# What the seam promises.


def test_a_reader_says_what_it_is(reader):
    assert isinstance(reader, Reader)
    assert (reader.name, reader.channels) == ("ocr", {Channel.OCR})
    assert reader.reads == {Modality.IMAGE, Modality.VIDEO}
    assert reader.revision == ocr.load(None, "auto").revision
    assert (reader.needs.fit, reader.needs.rate) == ("pad", 0)


def test_no_cuts_give_no_passages(reader):
    assert list(reader.read(Info(Modality.IMAGE, "png", 10, 10), [])) == []
    assert film(reader, Gap("truncated", "not the reader's business", Span(0, 10))) == []


def test_passages_are_well_formed(reader):
    (passage,) = read(reader, sign(*LINES))
    assert (passage.channel, passage.span, passage.text, passage.language) == (Channel.OCR, None, SAID, None)
    assert passage.source.startswith("rapidocr PP-OCR")
    assert 0.75 <= passage.confidence <= 1
    assert [passage.text[word.start : word.end] for word in passage.words] == SAID.split()
    assert all(0 <= word.confidence <= 1 for word in passage.words)
    assert all(np.isfinite(passage.box))


@pytest.mark.parametrize("shape", [(1600, 1600, 3), (1, 1600, 1600, 3)])
@pytest.mark.parametrize("value", [0, 255])
def test_where_nothing_is_written_nothing_is_read(reader, shape, value):
    cut = Cut(Channel.VISUAL, Modality.IMAGE if len(shape) == 3 else Modality.VIDEO, None, np.full(shape, value, np.uint8))
    assert list(reader.read(Info(cut.modality, "png", 160, 90), [cut])) == []


@pytest.mark.parametrize(("size", "grain"), [((300, 400), 1), ((600, 800), 1), ((640, 960), 16)])
def test_noise_is_no_text(reader, size, grain):
    noise = np.random.default_rng(5).integers(0, 256, (size[0] // grain, size[1] // grain, 3), np.uint8)
    assert read(reader, Image.fromarray(noise.repeat(grain, axis=0).repeat(grain, axis=1))) == []


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_each_page_and_slide_is_read_and_what_stands_on_all_of_them_once(reader, pool, tmp_path, suffix):
    words = ("walnut", "harpoon", "gravel", "parsnip", "lantern")
    pages = [sign("The annual report", left=40) for _ in words]
    for page, word in zip(pages, words, strict=True):
        ImageDraw.Draw(page).text((40, 180), f"This one is about {word}", "black", font(32))
    pages[0].save(
        tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:], **({} if suffix == "tif" else {"duration": 3000})
    )
    said = [one.text for one in decoded(reader, pool, tmp_path / f"a.{suffix}") if isinstance(one, Passage)]
    assert [sum(word in text for text in said) for word in words] == [1] * 5
    assert sum("annual report" in text for text in said) == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (16, 16), (4000, 40)])
def test_pictures_of_any_shape_are_taken(reader, size):
    assert read(reader, Image.new("RGB", size, "white")) == []


def test_threads_may_read_at_the_same_time(reader):
    picture = sign(LINES[0])
    with ThreadPoolExecutor(3) as executor:
        found = list(executor.map(lambda _: read(reader, picture), range(3)))
    assert found[0]
    assert found.count(found[0]) == 3


def test_importing_the_reader_loads_no_engine():
    code = "import sys, search.readers.ocr; print([m for m in ('rapidocr', 'cv2', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Models.


def test_a_missing_model_is_told_and_never_fetched(tmp_path, monkeypatch):
    import rapidocr
    from rapidocr.utils import download_file

    monkeypatch.setattr(rapidocr, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(download_file.requests, "get", lambda *_, **__: pytest.fail("it was fetched"))
    with pytest.raises(ModelMissing, match="cannot be read"):
        ocr.load(None, "auto")


@pytest.mark.parametrize("name", ["rec.onnx", "nothing.txt"])
def test_a_folder_without_a_recogniser_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(ModelMissing):
        ocr.load(Model("ocr:mine", tmp_path, "1"), "auto")


def test_a_model_of_a_folder_reads(tmp_path, reader):
    import rapidocr

    shipped = next((Path(rapidocr.__file__).parent / "models").glob("*rec*.onnx"))
    (tmp_path / "my_rec.onnx").symlink_to(shipped)
    mine = ocr.load(Model("ocr:mine", tmp_path, "1"), "auto")
    (passage,) = read(mine, sign(LINES[0]))
    assert (mine.name, passage.text, passage.source) == ("ocr:mine", LINES[0], "rapidocr my_rec")


# Where it stands, and how it lies.


@pytest.mark.parametrize("size", [(640, 240), (240, 640), (3000, 900)])
def test_boxes_are_percentages_of_the_picture_without_its_padding(reader, size):
    picture = Image.new("RGB", size, "white")
    scale = max(1, size[0] // 1000)
    draw = ImageDraw.Draw(picture)
    place = (size[0] // 4, size[1] // 2)
    draw.text(place, "WINTER", "black", font(32 * scale))
    left, top, right, bottom = draw.textbbox(place, "WINTER", font(32 * scale))
    (passage,) = read(reader, picture)
    expected = (100 * left / size[0], 100 * top / size[1], 100 * right / size[0], 100 * bottom / size[1])
    assert passage.box == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("angle", [90, 180, 270, 8, -12, 45])
def test_turned_and_tilted_text_is_read(reader, angle):
    (passage,) = read(reader, sign(*LINES).rotate(angle, expand=True, fillcolor="white"))
    assert passage.text == SAID


@pytest.mark.parametrize(
    ("script", "language", "columns"),
    [
        ("chinese", "zh", ("欢迎光临北京博物馆", "今天天气很好我们去", "图书馆看书学习历史")),
        ("japanese", "ja", ("さくらの図書館です", "電車はまもなく到着", "お知らせは夜の駅前")),
    ],
)
def test_columns_are_read_from_the_right(reader, script, language, columns):
    if not (names := screens.installed(script)):
        pytest.skip(f"no font for {script} is installed")
    picture = Image.new("RGB", (420, 640), "white")
    letter = ImageFont.truetype(names[0], 48, index=2 if "Noto" in names[0] else 0)
    for column, words in enumerate(columns):
        for row, character in enumerate(words):
            ImageDraw.Draw(picture).text((320 - column * 90, 30 + row * 60), character, "black", letter)
    (passage,) = read(reader, picture)
    assert (passage.text, passage.language) == ("".join(columns), language)


@pytest.mark.parametrize("turned", [ImageOps.mirror, ImageOps.flip])
def test_mirrored_text_is_not_read_as_nonsense(reader, turned):
    assert [item for item in read(reader, turned(sign(*LINES))) if isinstance(item, Passage)] == []


@pytest.mark.parametrize("orientation", [5, 6])
def test_a_photograph_is_read_the_way_up_that_its_camera_says(reader, pool, tmp_path, orientation):
    stored = sign(*LINES).transpose({5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "sign.jpg", exif=exif, quality=95)
    upright, turned = read(reader, sign(*LINES)), decoded(reader, pool, tmp_path / "sign.jpg")
    assert [one.text for one in turned] == [SAID]
    assert turned[0].box == pytest.approx(upright[0].box, abs=2)


@pytest.mark.parametrize(("said", "size", "letters"), [("EXIT", (1600, 700), 500), ("Harbour", (1600, 500), 360)])
def test_huge_letters_are_read(reader, said, size, letters):
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).text((40, 20), said, "black", font(letters))
    assert [item.text for item in read(reader, picture)] == [said]


def test_letters_that_are_too_small_are_told_or_read_with_doubt(reader):
    picture = Image.new("RGB", (640, 90), "white")
    for row, letters in enumerate((4, 5, 8)):
        ImageDraw.Draw(picture).text((10, 10 + 25 * row), SAID, "black", font(letters))
    found = [item for item in read(reader, picture) if isinstance(item, Passage)]
    sure = [one for one in found if one.confidence > 0.95]
    assert len(sure) == 1
    assert screens.found(tuple(SAID.split()), [one.text for one in sure], "english") >= 9


@pytest.mark.parametrize(
    ("left", "cut"), [(-30, "opens every morning at"), (40, "harbour station opens every"), (-300, "every morning at seventeen")]
)
def test_what_stands_across_the_edge_is_read_as_far_as_it_is_seen(reader, left, cut):
    (passage,) = read(reader, sign(SAID, size=(700, 100), left=left))
    assert cut in passage.text
    assert 0 <= passage.box[0] < passage.box[2] <= 100


def test_a_page_of_ten_thousand_words_is_read_up_to_the_bound(reader, pool, tmp_path, monkeypatch):
    monkeypatch.setattr("search.readers.ocr.frames.LINES", 4)
    font(31, "DejaVuSerif.ttf")
    picture, said = screens.page(10_000)
    picture.save(tmp_path / "page.png", compress_level=1)
    *passages, gap = decoded(reader, pool, tmp_path / "page.png")
    texts = [one.text for one in passages]
    words = said[: len(" ".join(texts).split())]
    assert len(words) > 4 * 50
    assert screens.found(words, texts, "english") >= 0.8 * len(words)
    assert max(map(len, texts)) <= reader.needs.characters < sum(map(len, texts))
    assert gap.reason == "not_read"
    assert int(gap.detail.rpartition(": ")[2]) > 170


def test_letters_that_the_model_does_not_know_are_told(reader):
    found = read(reader, sign("новости погода сегодня улица", "площадь вокзал музей река"))
    assert [item.reason for item in found if isinstance(item, Gap)] == ["not_read"]
    assert "not_read" in REASONS


def test_what_is_more_than_is_read_of_one_picture_is_told(reader, monkeypatch):
    monkeypatch.setattr("search.readers.ocr.frames.LINES", 1)
    passage, gap = read(reader, sign(*LINES))
    assert passage.text == LINES[0]
    assert (gap.reason, gap.detail) == ("not_read", "lines of text beyond what is read of one picture: 2")


def test_small_words_are_read(reader):
    words = LINES[1].split()
    picture = Image.new("RGB", (1600, 100), "white")
    for row in range(4):
        ImageDraw.Draw(picture).text((20, 10 + 20 * row), " ".join(words * 4), "black", font(13, "DejaVuSerif.ttf"))
    texts = [item.text for item in read(reader, picture) if isinstance(item, Passage)]
    assert screens.found(tuple(words * 16), texts, "english") >= 0.95 * 16 * len(words)


# Shots.


def test_a_line_that_stands_through_a_shot_is_one_passage_with_its_span(reader):
    (passage,) = film(reader, shot(reader, [sign(LINES[0])] * 4))
    assert (passage.text, passage.span) == (LINES[0], Span(1000, 5000))


def test_lines_have_the_spans_in_which_they_stand(reader):
    found = film(reader, shot(reader, [sign(LINES[0]), sign(LINES[0]), sign(LINES[1]), sign()]))
    assert [(item.text, item.span) for item in found] == [(LINES[0], Span(1000, 3000)), (LINES[1], Span(3000, 4000))]


def test_frames_that_show_the_same_are_not_read_again(reader, monkeypatch):
    count, engine = [], reader._engine
    find = engine.find
    monkeypatch.setattr(engine, "find", lambda picture: count.append(picture.shape) or find(picture))
    film(reader, shot(reader, [sign(LINES[0])] * 6))
    assert len(count) == 1


def test_only_what_changed_is_read_again_and_the_rest_still_stands(reader, monkeypatch):
    heights, engine = [], reader._engine
    monkeypatch.setattr(engine, "find", lambda picture, find=engine.find: heights.append(len(picture)) or find(picture))
    pictures = []
    for below in (LINES[1], LINES[2], "", ""):
        pictures.append(picture := sign(LINES[0], size=(640, 480)))
        ImageDraw.Draw(picture).text((40, 400), below, "black", font(32))
    found = film(reader, shot(reader, pictures), size=(640, 480))
    assert [(item.text, item.span) for item in found] == [
        (LINES[1], Span(1000, 2000)), (LINES[0], Span(1000, 5000)), (LINES[2], Span(2000, 3000))
    ]  # fmt: skip
    assert heights[0] == 480
    assert sorted(heights)[1] < 240  # both times that something else stood below


def test_text_that_changes_with_each_frame_is_read_frame_by_frame(reader, monkeypatch):
    count, engine = [], reader._engine
    monkeypatch.setattr(engine, "read", lambda *seen, read=engine.read: count.append(1) or read(*seen))
    words = screens.WORDS["english"].split()
    said = [" ".join(words[number : number + 3]) for number in range(0, 24, 3)]
    found = film(reader, shot(reader, [sign(line) for line in said], Span(0, 8000)))
    assert [(item.text, item.span) for item in found] == [
        (line, Span(1000 * at, 1000 * at + 1000)) for at, line in enumerate(said)
    ]
    assert len(count) == len(said)


def test_each_shot_has_its_passages_in_order(reader):
    cuts = [
        shot(reader, [sign(line)], Span(start, start + 1000))
        for start, line in ((0, LINES[0]), (1000, LINES[0]), (2000, LINES[1]))
    ]
    found = film(reader, *cuts)
    assert [(item.text, item.span.start) for item in found] == [(LINES[0], 0), (LINES[0], 1000), (LINES[1], 2000)]


def test_readings_of_one_place_that_differ_in_digits_are_two_lines():
    from search.readers.ocr.frames import Standing, _once

    texts = ("minutes past seventeen", "minutes past seventeen", "score 12 to 3", "score 13 to 3")
    lines = [Standing(line(words, 0, 0), np.zeros(2048, np.float32), number, number) for number, words in enumerate(texts)]
    assert [(one.first, one.last) for one in _once(lines)] == [(0, 1), (2, 2), (3, 3)]


# Layout, without a model.


def line(words: str, left: float, top: float, width: float = 200, height: float = 20) -> Line:
    quad = np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)], np.float32)
    return Line(quad, words, (0.9,) * len(words))


def test_columns_are_not_mixed():
    lines = [line(f"{column}{row}", 300 * "AB".index(column), 100 + 30 * row) for row in range(3) for column in "AB"]
    found = blocks([line("heading", 100, 0, 300, 40), *lines])
    assert [text(block)[0] for block in found] == ["heading", "A0 A1 A2", "B0 B1 B2"]


def test_parts_of_a_row_are_joined_along_it():
    (block,) = blocks([line("world", 210, 2), line("hello", 0, 0), line("below", 0, 30)])
    assert text(block)[0] == "hello world below"
    assert bounds(block) == (0, 0, 410, 50)


def test_a_single_character_stands_only_beside_others():
    assert blocks([line("8", 0, 0, 20, 20)]) == []
    assert len(blocks([line("8", 0, 0, 20, 20), line("hello", 25, 0)])) == 1


def test_long_blocks_are_parted_between_lines():
    parts = list(pieces([line("x" * 40, 0, 30 * row) for row in range(10)], 100))
    assert [len(part) for part in parts] == [2] * 5
    assert blocks([]) == []


def test_text_stands_from_when_its_frame_comes_until_the_next_does():
    from search.readers.ocr.reader import _part

    times = (0, 8000, 8900)
    parts = [_part(Span(0, 10_000), number, number, 3, times) for number in range(3)]
    assert parts == [Span(0, 8000), Span(8000, 8900), Span(8900, 10_000)]
    assert _part(Span(0, 9000), 1, 1, 3, None) == Span(3000, 6000)
