"""What the pocket space is calibrated on: captioned pictures, isolated objects, sounds and the words of WordNet, as vectors of the space.

Vectors are remembered in a folder, by a digest of what they are of and of the weights that made them.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.encoders.pocket import WEIGHTS, PocketEncoder, carried
from search.media.decode.loudness import levelled
from search.types import Modality

Vectors = NDArray[np.float32]

SIDE = 260
"""Side of a picture as the space sees it, in pixels."""

RATE, SECONDS = 16_000, 5
"""Of a sound, as the space hears it."""

SUFFIXES = {".wav", ".ogg", ".oga", ".mp3", ".flac"}

CONCRETE = {4, 5, 6, 11, 13, 17, 18, 19, 20, 27}
"""WordNet's lexicographer files of what can be seen or heard: acts, animals, artefacts, events, food, objects, people, phenomena, plants, substances."""


class Sources:
    """Turns texts, pictures and sounds into vectors of the pocket space (n, dim), each set once."""

    def __init__(self, cache: Path) -> None:
        """``cache`` is the folder in which vectors are remembered."""
        self._encoder: PocketEncoder = carried("1")  # float32, the same on every machine
        self._cache = cache
        self._weights = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(WEIGHTS.glob("*.onnx")))).hexdigest()
        cache.mkdir(parents=True, exist_ok=True)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts."""
        return self._known("text", texts, lambda: self._encoded(Modality.TEXT, texts, str, 64))

    def pictures(self, paths: Sequence[Path]) -> Vectors:
        """Vectors of pictures; what is transparent is white."""
        return self._known("pictures", paths, lambda: self._encoded(Modality.IMAGE, paths, picture, 8))

    def sounds(self, paths: Sequence[Path]) -> Vectors:
        """Vectors of the first seconds of sounds."""
        return self._known("sounds", paths, lambda: self._encoded(Modality.AUDIO, paths, sound, 8))

    def _encoded(self, modality: Modality, items: Sequence[Any], read: Callable[[Any], Any], batch: int) -> Vectors:
        rows = [
            self._encoder.encode(modality, [read(item) for item in items[start : start + batch]])
            for start in range(0, len(items), batch)
        ]
        return np.concatenate(rows)

    def _known(self, name: str, items: Sequence[Any], make: Callable[[], Vectors]) -> Vectors:
        key = hashlib.sha256(repr((self._weights, [str(item) for item in items])).encode()).hexdigest()[:16]
        file = self._cache / f"{name}-{key}.npy"
        if not file.exists():
            vectors = make()
            np.save(file, vectors)
        return np.load(file)


def picture(path: Path) -> NDArray[np.uint8]:
    """A picture, squashed, RGB (260, 260, 3)."""
    with Image.open(path) as image:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        return np.asarray(ground.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def sound(path: Path) -> NDArray[np.float32]:
    """The first seconds of a sound, mono in [-1, 1], as loud as the decoder hands it to encoders."""
    parts: list[NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            if sum(map(len, parts)) > SECONDS * RATE:
                break
    return levelled(np.concatenate(parts)[: SECONDS * RATE].astype(np.float32), RATE)


def audible(path: Path) -> bool:
    """Whether a tenth of a second can be heard of a file."""
    try:
        return len(sound(path)) > RATE // 10
    except (av.FFmpegError, IndexError, ValueError):
        return False


def captions(folder: Path) -> tuple[list[Path], list[list[str]]]:
    """The pictures of a folder of captioned ones, by name, and the captions of each."""
    paths = sorted((folder / "images").iterdir())
    by_name: dict[str, list[str]] = defaultdict(list)
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            by_name[row["image"]].append(row["caption"])
    return paths, [by_name[path.name] for path in paths]


def stamps(folder: Path) -> list[tuple[Path, str]]:
    """Pictures of isolated objects below a folder of Tux Paint's stamps, and what they are called in English."""
    found = [
        path for path in sorted(folder.rglob("*.png")) if not path.stem.endswith("_mirror") and path.with_suffix(".txt").exists()
    ]
    named = [(path, path.with_suffix(".txt").read_text("utf-8", "replace").splitlines()[0].strip()) for path in found]
    return [(path, name) for path, name in named if name]


def nouns(wordnet: Path) -> list[str]:
    """Nouns for what can be seen or heard, the most frequent first, with their article."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for line in (wordnet / "cntlist.rev").read_text("utf-8").splitlines():
        sense, _, count = line.split()
        lemma, rest = sense.split("%")
        if rest.startswith("1:"):
            counts[lemma][int(rest.split(":")[1])] += int(count)
    known = [
        (-sum(by_file.values()), lemma.replace("_", " "))
        for lemma, by_file in counts.items()
        if max(by_file, key=lambda file: by_file[file]) in CONCRETE and len(lemma) > 2 and re.fullmatch("[a-z_'-]+", lemma)
    ]
    return [("an " if noun[0] in "aeiou" else "a ") + noun for _, noun in sorted(known)]


def examples(wordnet: Path) -> list[str]:
    """Sentences of five words and more that WordNet gives as examples, in the order of the alphabet."""
    found: set[str] = set()
    for part in ("noun", "verb", "adj"):
        for line in (wordnet / f"data.{part}").read_text("utf-8").splitlines():
            if not line.startswith(" "):
                found.update(re.findall(r'"([^"]{15,90})"', line.split("|", 1)[1]))
    return sorted(one for one in found if len(one.split()) >= 5)


def recordings(folder: Path) -> list[tuple[Path, str]]:
    """The clips of ESC-10, and what each is labelled."""
    with (folder / "labels.csv").open(newline="") as file:
        return sorted((folder / "clips" / row["clip"], row["label"]) for row in csv.DictReader(file))


def packaged_sounds(folder: Path, without: Sequence[str], count: int, seed: int = 1) -> list[Path]:
    """Some sounds of unpacked packages, in random order, drawn evenly from the packages; none whose path holds a word of ``without``."""
    rng, groups = np.random.default_rng(seed), []
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        every = [path for path in sorted(package.rglob("*")) if path.suffix.lower() in SUFFIXES]
        fitting = [path for path in every if not any(word in str(path.relative_to(folder)).lower() for word in without)]
        groups.append([fitting[at] for at in rng.permutation(len(fitting))])
    found: list[Path] = []
    for turn in range(max(map(len, groups), default=0)):
        found += [group[turn] for group in groups if turn < len(group) and len(found) < count and audible(group[turn])]
        if len(found) >= count:
            break
    return [found[at] for at in rng.permutation(len(found))[:count]]
