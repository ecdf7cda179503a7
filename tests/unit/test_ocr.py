"""The reader of on-screen text keeps the seam's promises, and lays out what it reads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from search.errors import REASONS, ModelMissing
from search.models import Model
from search.readers import Reader, ocr
from search.readers.ocr.layout import Line, blocks, bounds, pieces, text
from search.types import Channel, Cut, Gap, Info, Modality, Passage, Span
from tests import screens

pytest.importorskip("rapidocr")

LINES = ("The harbour station opens", "every morning at seventeen", "minutes past eight")
SAID = " ".join(LINES)
SPAN = Span(1000, 5000)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return ocr.load(None, "auto")


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


def test_noise_is_no_text(reader):
    noise = np.random.default_rng(5).integers(0, 256, (300, 400, 3), np.uint8)
    assert [item for item in read(reader, Image.fromarray(noise)) if isinstance(item, Passage)] == []


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
    from pathlib import Path

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


def test_columns_of_chinese_are_read_from_the_right(reader):
    if not (names := screens.installed("chinese")):
        pytest.skip("no font for Chinese is installed")
    picture = Image.new("RGB", (420, 640), "white")
    for column, words in enumerate(("欢迎光临北京博物馆", "今天天气很好我们去", "图书馆看书学习历史")):
        for row, character in enumerate(words):
            letter = ImageFont.truetype(names[0], 48, index=2 if "Noto" in names[0] else 0)
            ImageDraw.Draw(picture).text((320 - column * 90, 30 + row * 60), character, "black", letter)
    (passage,) = read(reader, picture)
    assert (passage.text, passage.language) == ("欢迎光临北京博物馆今天天气很好我们去图书馆看书学习历史", "zh")


def test_mirrored_text_is_not_read_as_nonsense(reader):
    assert [item for item in read(reader, ImageOps.mirror(sign(*LINES))) if isinstance(item, Passage)] == []


def test_letters_that_the_model_does_not_know_are_told(reader):
    found = read(reader, sign("новости погода сегодня улица", "площадь вокзал музей река"))
    assert [item.reason for item in found if isinstance(item, Gap)] == ["not_read"]
    assert "not_read" in REASONS


def test_what_is_more_than_is_read_of_one_picture_is_told(reader, monkeypatch):
    monkeypatch.setattr("search.readers.ocr.frames.LINES", 1)
    passage, gap = read(reader, sign(*LINES))
    assert passage.text == LINES[0]
    assert (gap.reason, gap.detail) == ("not_read", "lines of text beyond what is read of one picture: 2")


def test_many_small_words_are_read_or_told(reader):
    words = list(LINES[1].split())
    picture = Image.new("RGB", (1600, 300), "white")
    for row in range(14):
        ImageDraw.Draw(picture).text((20, 10 + 20 * row), " ".join(words * 4), "black", font(13, "DejaVuSerif.ttf"))
    found = read(reader, picture)
    read_words = [word for item in found if isinstance(item, Passage) for word in item.text.split()]
    assert len(read_words) >= 0.95 * 14 * 16
    assert max(len(item.text) for item in found if isinstance(item, Passage)) <= reader.needs.characters


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
    assert len(count) == 2  # the first frame in full, and at a glance


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
