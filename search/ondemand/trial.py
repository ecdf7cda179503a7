"""The data on which an exported model is compared with the original: a folder of pictures with texts beside them."""

from __future__ import annotations

from pathlib import Path

from search.encoders.export import ExportSample
from search.errors import InputError, MediaError
from search.media import EXTENSIONS, DecodePool
from search.settings import Settings
from search.types import Cut, Modality, Needs, Picture

CHARACTERS, ROOM = 1_000, 64_000
"""What is read of a text, and of a file of texts, at most."""


def calibration(folder: Path, needs: Needs, settings: Settings) -> ExportSample:
    """Every picture in ``folder``, decoded as ``needs`` says. ``x.txt`` holds the texts of ``x.jpg``, one a line.

    Animations and pictures that cannot be decoded are left out, with their texts.

    Raises:
        InputError: it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", remedy="Give a folder of pictures, with texts: x.txt beside x.jpg.")
    images: list[Picture] = []
    texts: list[str] = []
    pairs: list[int] = []
    with DecodePool(settings, 1) as pool:
        for path in sorted(folder.iterdir()):
            if EXTENSIONS.get(path.suffix.lower()) is not Modality.IMAGE or (picture := _picture(pool, path, needs)) is None:
                continue
            for text in _texts(path.with_suffix(".txt")):
                texts.append(text)
                pairs.append(len(images))
            images.append(picture)
    return ExportSample(images, texts, pairs)


def _picture(pool: DecodePool, path: Path, needs: Needs) -> Picture | None:
    try:
        found = [one.content for one in pool.decode(path, needs) if isinstance(one, Cut) and one.modality is Modality.IMAGE]
    except MediaError:
        return None
    return found[0] if found else None  # type: ignore[return-value]


def _texts(file: Path) -> list[str]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", errors="replace") as lines:
        return [line.strip()[:CHARACTERS] for line in lines.read(ROOM).splitlines() if line.strip()]
