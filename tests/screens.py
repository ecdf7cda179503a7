"""Pictures and clips on which something is written, with the words that stand there: seeded, so that two runs read the same ones."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (1280, 720)
"""Width and height of a screen, in pixels."""
SIZES = (14, 18, 24, 32, 48, 64, 80)
"""Heights of the letters, as fonts count them, in pixels."""
PHOTOGRAPHS = Path(__file__).parents[1] / "data" / "sample" / "images"
CJK = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
)
FONTS = {
    "latin": (
        "DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "LiberationSans-Regular.ttf",
        "LiberationSerif-Regular.ttf", "LiberationSans-Italic.ttf", "LiberationMono-Regular.ttf",
    ),
    "chinese": CJK,
    "japanese": CJK,
}  # fmt: skip
"""Script -> fonts, of which those that are installed are taken; scripts that are not here are written as Latin is."""
WORDS = {
    "latin": """Straße Größe Übung Mädchen schön fünf Fluß Köln früher Gemüse garçon élève hôtel naïve forêt français théâtre où déjà
        leçon coração manhã irmão três avião ação niño mañana corazón pingüino señor árbol día canción příliš kůň úpěl ódy
        řeka děti źródło łódka gęś zażółć jaźń śnieg ćma szőlő tűz öröm güneş çiçek İstanbul ağaç smørrebrød blåbær Århus
        ævi față știință apă""",
    "latin-rare": "ďábelské žluťoučký žluť loď þorn þing aðild ışık sıcak kırmızı",
    "english": """the river runs through quiet harbour market station evening report council announces winter schedule breaking news
        weather tomorrow morning traffic police hospital museum opening hours please mind gap exit platform seventeen 1984 2026 12:45
        emergency number ticket office closed window garden bridge mountain village science history""",
    "greek": "ΝΕΑ ΑΘΗΝΑ ΟΔΟΣ ΠΛΑΤΕΙΑ ΘΑΛΑΣΣΑ ΕΛΛΑΔΑ ΚΑΙΡΟΣ ΣΗΜΕΡΑ ΑΓΟΡΑ ΜΟΥΣΕΙΟ ΣΤΑΘΜΟΣ ΩΡΑ ΦΩΣ ΨΩΜΙ ΞΕΝΟΣ ΒΙΒΛΙΟ ΔΡΟΜΟΣ ΓΕΦΥΡΑ",
    "greek-accented": "νέα Αθήνα οδός πλατεία θάλασσα Ελλάδα καιρός σήμερα αγορά μουσείο σταθμός ώρα ψωμί ξένος βιβλίο δρόμος γέφυρα",
    "cyrillic": """новости погода сегодня улица площадь вокзал музей река город мост школа книга время вечер утро дорога Москва
        Київ вулиця європа щастя""",
    "chinese": """新闻 天气 今天 城市 火车站 博物馆 河流 桥梁 学校 图书馆 时间 晚上 早晨 道路 北京 上海 欢迎 光临 出口 入口 中国 人民 世界 历史
        科学 电影 音乐 医院 市场 价格""",
    "japanese": "ニュース 天気 きょう 東京 駅前 図書館 ありがとう 電車 出口 さくら カメラ まもなく 到着 します お知らせ 夜の 部屋",
}
"""Script -> words. Those of Chinese and Japanese stand without spaces between them."""
UNSPACED = ("chinese", "japanese")


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture with ``words`` on it, all written in one way."""

    picture: Image.Image
    words: tuple[str, ...]
    how: Writing


@dataclass(frozen=True, slots=True)
class Writing:
    """How a screen is written on: what its lines have in common. Its ``ground`` is plain, a gradient or a photograph."""

    script: str
    size: int
    ground: str
    font: str


def installed(script: str) -> list[str]:
    """The fonts of a script that are installed."""
    return [name for name in FONTS.get(script, FONTS["latin"]) if _font(name, 20) is not None]


def screens(count: int, scripts: tuple[str, ...], seed: int = 7, step: int = 1) -> Iterator[Screen]:
    """Pictures, whose scripts, sizes and grounds take turns; with a ``step`` of 5 few of them have all of these."""
    rng = np.random.default_rng(seed)
    for number in range(0, count * step, step):
        yield screen(rng, writing(rng, scripts, number))


def screen(rng: np.random.Generator, how: Writing) -> Screen:
    """One picture, with as many lines of text as look natural in it."""
    picture, lines = background(rng, how.ground), _lines(rng, how)
    _write(picture, lines, how, rng)
    return Screen(picture, tuple(word for line in lines for word in line), how)


def sign(rng: np.random.Generator, text: str) -> Image.Image:
    """A picture on which a text of some words stands, in letters that can be read."""
    how = Writing("english", 48, "photograph", installed("english")[0])
    picture = background(rng, how.ground)
    _write(picture, [words.split() for words in textwrap.wrap(text, 40)], how, rng)
    return picture


def subtitled(rng: np.random.Generator, how: Writing, count: int) -> list[Screen]:
    """Pictures of one ground, on each of which something else is written, as in a film with subtitles."""
    ground, shown = background(rng, how.ground), []
    for _ in range(count):
        picture, lines = ground.copy(), _lines(rng, how)[:2]
        _write(picture, lines, how, rng)
        shown.append(Screen(picture, tuple(word for line in lines for word in line), how))
    return shown


def page(count: int, size: tuple[int, int] = (7200, 8000), letters: int = 31) -> tuple[Image.Image, tuple[str, ...]]:
    """A grey page full of small words, as a scanned newspaper is: ``count`` of them, or as many as there is room for."""
    rng, words, font = np.random.default_rng(1), WORDS["english"].split(), _font("DejaVuSerif.ttf", letters)
    picture, said = Image.new("L", size, 255), []
    draw = ImageDraw.Draw(picture)
    for top in range(100, size[1] - 100, round(1.4 * letters)):
        row, length = [], 0.0
        while len(said) + len(row) < count and length < size[0] - 600:
            row.append(words[rng.integers(len(words))])
            length += draw.textlength(row[-1] + " ", font=font)
        draw.text((100, top), " ".join(row), 0, font)
        said += row
    return picture, tuple(said)


def compressed(picture: Image.Image, quality: int = 30) -> Image.Image:
    """The picture after JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def padded(picture: Image.Image, size: int) -> np.ndarray:
    """What the decoder makes of a picture where a reader needs ``size`` squared with ``fit="pad"``: (size, size, 3) uint8."""
    scale = size / max(picture.size)
    small = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (size, size))
    canvas.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.asarray(canvas)


def clip(path: Path, pictures: list[Image.Image], seconds: float = 2.0, *, rate: int = 10, bits: int = 300_000) -> None:
    """Write an H.264 film in which each picture is shown for some seconds, at a bit rate that shows."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt, stream.bit_rate = "yuv420p", bits
        for picture in pictures:
            for _ in range(round(seconds * rate)):
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())


def found(words: tuple[str, ...], texts: list[str], script: str) -> int:
    """How many of the words stand in what was read: each as often as it was read, punctuation and case aside."""
    if script in UNSPACED:
        read = "".join("".join(texts).split())
        return sum(min(words.count(word), read.count(word)) for word in set(words))
    read_words = [_bare(word) for text in texts for word in text.split()]
    return sum(min(words.count(word), read_words.count(_bare(word))) for word in set(words))


def background(rng: np.random.Generator, ground: str) -> Image.Image:
    """A picture without words."""
    width, height = SIZE
    if ground == "photograph":
        names = sorted(PHOTOGRAPHS.glob("*.jpg"))
        return Image.open(names[rng.integers(len(names))]).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    first, last = (rng.integers(150, 256, 3) for _ in range(2))
    if ground == "plain":
        return Image.new("RGB", SIZE, tuple(int(value) for value in first))
    part = np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 1))
    return Image.fromarray((first * (1 - part) + last * part).astype(np.uint8))


def writing(rng: np.random.Generator, scripts: tuple[str, ...], number: int) -> Writing:
    """How the ``number``th screen is written on."""
    script = scripts[number % len(scripts)]
    size = SIZES[number // len(scripts) % len(SIZES)]
    fonts = installed(script)
    return Writing(script, size, ("plain", "gradient", "photograph")[number % 3], fonts[rng.integers(len(fonts))])


def _lines(rng: np.random.Generator, how: Writing) -> list[list[str]]:
    words = WORDS[how.script].split()
    across = max(1, min(7, int(SIZE[0] / how.size / (5.5 if how.script in UNSPACED else 5))))
    rows = max(1, min(6, int(SIZE[1] / how.size / 2.5)))
    return [[words[index] for index in rng.integers(len(words), size=across)] for _ in range(rows)]


def _write(picture: Image.Image, lines: list[list[str]], how: Writing, rng: np.random.Generator) -> None:
    draw, font = ImageDraw.Draw(picture), _font(how.font, how.size)
    subtitle = how.ground == "photograph"
    ink = (255, 255, 255) if subtitle else tuple(int(value) for value in rng.integers(0, 70, 3))
    pitch = how.size * 1.5
    top = SIZE[1] - pitch * len(lines) - 20 if subtitle else rng.integers(10, max(11, int(SIZE[1] - pitch * len(lines) - 10)))
    for number, line in enumerate(lines):
        text = ("" if how.script in UNSPACED else " ").join(line)
        left = (SIZE[0] - draw.textlength(text, font=font)) / 2 if subtitle else 40
        place = (left, top + number * pitch)
        outline = max(1, how.size // 14) if subtitle else 0
        draw.text(place, text, ink, font, stroke_width=outline, stroke_fill="black")


def _bare(word: str) -> str:
    return word.strip(".,:;!?\"'“”()").casefold()


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size, index=2 if "NotoS" in name else 0)  # of the collections, simplified Chinese
    except OSError:
        return None
