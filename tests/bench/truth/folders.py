"""Folders as people have them: names, subtitles, rubbish of machines, mounts that are away; each is an archive of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageEnhance

from tests.bench.report import SAMPLE
from tests.bench.truth import spoken, subtitles
from tests.bench.truth.archive import Archive, found, read
from tests.bench.truth.case import Judged, Row
from tests.bench.truth.drawing import drawn, still


def rows(folder: Path) -> Iterator[Row]:
    """Judge each folder; ``folder`` is an empty one."""
    for name, judge in FOLDERS.items():
        place = folder / name
        (place / "media").mkdir(parents=True)
        for what, expected, got, ok in judge(place):
            yield Row("folders", f"{name}: {what}", name, expected, got, ok)


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
    kept, missing = len(states), states.count("missing")
    yield "empty root", "6 kept, none missing", f"{kept} kept, {missing} missing", kept == 6 and not missing
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
    with read(place) as (_, address):
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
    with read(place, "pocket") as (_, address):
        names = [hit["asset"]["name"] for hit in found(address, "a dog", 10)]
    same = sum(name.startswith("DSC_") for name in names)
    yield "ten results", "a burst is one of them", f"{same} of {len(names)} are of the burst", len(names) >= 5 and same <= 2


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
    "subtitles": subtitles.subtitles, "phrases": subtitles.phrases, "machines": _machines, "away": _away, "names": _names, "burst": _burst,
    "swapped": _swapped, "captions": spoken.captions, "speech": spoken.speech, "slides": spoken.slides,
}  # fmt: skip
