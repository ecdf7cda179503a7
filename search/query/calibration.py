"""Calibration: turn cosines into log-odds that mean the same for every kind of segment and in every archive.

A raw cosine says little: two sentences are far closer to each other than a sentence is to a picture that it describes. So a space
has an *impostor cohort*: a fixed set of unrelated contents and unrelated questions. A question is standardised by its cosines to
the contents (z-norm), a segment by its cosines to the questions (t-norm; Auckenthaler et al. 2000, "Score normalization for
text-independent speaker verification systems"). Logistic models, fitted on questions with known answers, turn these values into
log-odds (see ``Direction``). They also tell whether the archive holds an answer at all (``search/query/verdict.py``).

A space without a cohort is standardised by a sample of the archive. Its scores compare less well, and no probability is given.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import disk
from search.errors import InputError
from search.types import Ids, Kind, Modality, Space, Vectors

BUILT_IN = "built in"
"""How calibrations begin to say how they were ``made`` that hold nothing of the archive."""

SAMPLED_SEGMENTS = 1_000
"""Segments in the sample of a kind."""

MIN_SAMPLE = 32
"""From this many segments of a kind on, its own sample shows how unrelated ones score."""

PRIOR = 8
"""The weight of the usual spread in a small sample, as a number of segments (a prior)."""

USUAL_SPREAD = 0.08
"""The usual standard deviation of cosines between unrelated contents; used for a kind with one segment."""

USUAL_SLOPE, USUAL_OFFSET = 1.2, -4.0
"""Slope (log-odds per deviation) and offset if nothing was fitted: about those of the pocket space for text->image."""

WORD_SLOPE, WORD_OFFSET = 0.8, -1.5
"""Slope (log-odds per nat) and offset of scores by words."""

SMALLEST_SPREAD = 1e-2
"""The smallest standard deviation of cosines to a cohort. For equal contents, or a question that means nothing, it would be 0."""

SIZES = (10, 100)
"""The largest number of segments of a small and of a medium archive. Each size has its own line, since the best of few is less near by chance."""

SENTENCE = 8
"""From this many words on, a question is a sentence. Longer questions are nearer to texts by chance, so they have their own lines."""

MAX_WORDS = 40
"""The number of words from which on a longer question counts as no longer: none that a calibration was fitted on was."""

CLASSES = 2 * (len(SIZES) + 1)
"""Lines of a direction: by the size of the archive, for short questions first and then for sentences."""

FORMAT = 1
"""The version of the format of calibration files."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The fitted relation between questions of one modality and segments of one content.

    The log-odds that a segment is right are ``slope * z + here * verdict + offset``. z is the segment's z-norm; ``verdict`` is
    the log-odds that the segment's kind holds the answer at all. A term that all directions share is added
    (``Calibration.addition``).

    ``verdict`` maps feature names to weights. ``lines`` and ``doubts`` have one value for each size of the archive and length of
    the question (``line_class``): an answer counts as found from the log-odds in ``lines`` on, and as absent below those in
    ``doubts``. A line is split-conformal: at most 5 % of questions like the ``absent`` ones that it rests on pass it. ``present``
    is the number of questions whose answer was there. ``near_misses`` is the share, 0..1, of absent questions that pass although
    the archive holds only something similar. ``error`` is the expected calibration error, 0..1, of the probability of hits;
    ``bins`` is its reliability diagram: mean chance, share of right ones, how many.
    """

    slope: float
    offset: float
    here: float = 0.0
    verdict: Mapping[str, float] = field(default_factory=dict)
    lines: tuple[float, ...] = (0.0,) * CLASSES
    doubts: tuple[float, ...] = (0.0,) * CLASSES
    present: int = 0
    absent: int = 0
    near_misses: float = 0.0
    error: float | None = None
    bins: tuple[tuple[float, float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Turns cosines between a question and the segments of a kind into log-odds: 0 at ``centre``, one more for each ``width``."""

    centre: float
    width: float

    @classmethod
    def of(cls, cosines: NDArray[np.float32], slope: float = USUAL_SLOPE, offset: float = USUAL_OFFSET) -> Scale:
        """The scale from a sample (n,) of the archive, n >= 1: its median and the width of its lower half.

        See ``usual_of``.
        """
        return cls.at(*usual_of(cosines), slope, offset)

    @classmethod
    def at(cls, mean: float, spread: float, slope: float = USUAL_SLOPE, offset: float = USUAL_OFFSET) -> Scale:
        """The scale on which ``mean`` has the log-odds ``offset``, and each ``spread`` above it adds ``slope``."""
        width = max(spread, SMALLEST_SPREAD) / slope
        return cls(mean - offset * width, width)

    def score(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n,) as log-odds (n,)."""
        return np.asarray((cosines - self.centre) / self.width, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The impostor cohort of a space, and the models that were fitted with it.

    ``contents`` are vectors (n, dim) of unrelated contents, ``questions`` of unrelated questions, by modality. ``directions`` is
    keyed by the question's modality and the segment's content. ``parts`` are ranges of dimensions that discriminate better
    separately than together; ``wording`` is the one in which texts are compared with each other. ``shared`` are the weights that
    the probabilities of all directions share: ``offset``, ``log_segments`` and ``log_words``. ``digest`` is the SHA-256 of the
    file. ``labels`` is the number of labels in the archive when the calibration was made from them. ``segments`` are the ids (n,) of
    the segments that contents were drawn from, ascending, where these are the archive's own.
    """

    contents: Mapping[Modality, Vectors]
    questions: Mapping[Modality, Vectors]
    directions: Mapping[tuple[Modality, Modality], Direction]
    parts: tuple[tuple[int, int], ...] = ()
    wording: tuple[int, int] | None = None
    shared: Mapping[str, float] = field(default_factory=dict)
    made: str = BUILT_IN
    digest: str = ""
    labels: int = 0
    segments: Mapping[Modality, Ids] = field(default_factory=dict)
    _worded: dict[Modality, Vectors] = field(default_factory=dict)

    def worded(self, asked: Modality) -> Vectors:
        """The part of the cohort's questions (n, some) in which texts are compared, at unit length."""
        if asked not in self._worded:
            start, end = self.wording or (0, None)
            part = self.questions[asked][:, start:end]
            self._worded[asked] = part / np.linalg.norm(part, axis=1, keepdims=True).clip(1e-9)
        return self._worded[asked]

    def direction(self, asked: Modality, kind: Kind) -> Direction | None:
        """The direction for questions of a modality and segments of a kind. The pictures of a video use the direction of
        pictures."""
        content = Modality.IMAGE if kind.content is Modality.VIDEO else kind.content
        asked = Modality.IMAGE if asked is Modality.VIDEO else asked
        return self.directions.get((asked, content))

    def cohort(self, kind: Kind) -> Vectors | None:
        """The unrelated contents (n, dim) that segments of a kind are compared with."""
        return self.contents.get(Modality.IMAGE if kind.content is Modality.VIDEO else kind.content)

    def impostors(self, kind: Kind) -> Vectors:
        """The cohort (n, dim) of a kind; raises KeyError where there is none."""
        return self.contents[Modality.IMAGE if kind.content is Modality.VIDEO else kind.content]

    def probability(self, scores: NDArray[np.float32], segments: int, words: int) -> NDArray[np.float64]:
        """The probability (n,) that segments with log-odds (n,) are right, among ``segments``, for a question of ``words``.

        All directions add the same term, so sorting by score and sorting by probability give the same order.
        """
        return np.asarray(1 / (1 + np.exp(-np.clip(scores + self.addition(segments, words), -60, 60))), np.float64)

    def addition(self, segments: int, words: int) -> float:
        """The term that is added to the log-odds of all hits of a question."""
        shared, size, length = self.shared, math.log10(max(segments, 1)), log_words(words)
        return shared["offset"] + shared["log_segments"] * size + shared["log_words"] * length


def usual_of(cosines: NDArray[np.float32]) -> tuple[float, float]:
    """The mean and spread of what is unrelated, from a sample (n,) of the archive, n >= 1: its median and the width of its lower half.

    The best answers influence neither value. In a small archive they are a large part of the sample and would otherwise raise
    the bar that they are measured against. The width of a small sample is drawn towards the usual one.
    """
    count = len(cosines)
    middle, lower = np.quantile(cosines, (0.5, 0.1587))  # one standard deviation apart in a normal distribution
    variance = (count * float(middle - lower) ** 2 + PRIOR * USUAL_SPREAD**2) / (count + PRIOR)
    return float(middle), math.sqrt(variance)


def log_words(words: int) -> float:
    """The logarithm of the number of words in a question, for the models: at least 0, and bounded by ``MAX_WORDS``."""
    return math.log(min(max(words, 1), MAX_WORDS))


def line_class(segments: int, words: int) -> int:
    """The index of the line for this number of segments and of words in the question: 0 to ``CLASSES`` - 1."""
    return int(np.searchsorted(SIZES, segments)) + (len(SIZES) + 1) * (words >= SENTENCE)


def znorm(cosines: NDArray[np.float32], cohort: Vectors, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The z-norm (n,) of cosines (n,) of a question's ``vector`` (dim,): standard deviations above its mean over the cohort (m, dim)."""
    mean, spread = spread_of(cohort, vector)
    return np.asarray((cosines - mean) / spread, np.float32)


NOTHING = Calibration({}, {}, {}, made="nothing")
"""Of a space of which nothing is known."""


def spread_of(cohort: Vectors, vector: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of a vector's cosines to a cohort (m, dim). Uses einsum to stay in this thread: BLAS would use
    several even for so little."""
    cosines = np.einsum("nd,d->n", cohort, vector)
    return float(cosines.mean()), max(float(cosines.std()), SMALLEST_SPREAD)


def folder(home: Path) -> Path:
    """The folder where an archive keeps the calibrations that were made for its spaces."""
    return home / "calibration"


def file_of(home: Path, space: Space) -> Path:
    """The file of the calibration that was made for a space of an archive."""
    name = hashlib.sha256(f"{space.name}\n{space.revision}".encode()).hexdigest()[:16]
    return folder(home) / f"{name}.npz"


def stamp(home: Path, space: Space) -> int:
    """A number that changes whenever the calibration that was made for a space of an archive changes; 0 if there is none."""
    try:
        found = file_of(home, space).stat()
    except OSError:
        return 0
    return hash((found.st_mtime_ns, found.st_ino, found.st_size))


def fingerprint(home: Path, space: Space) -> str:
    """A hash of the calibration that was made for a space of an archive, the same in every home that holds it; empty if there is
    none."""
    try:
        return hashlib.sha256(file_of(home, space).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def load(home: Path, space: Space, encoder: object) -> tuple[Calibration, str | None]:
    """The calibration of a space, and the reason if one could not be used. The calibration made for this archive comes first,
    then the encoder's own, then none."""
    complaint = None
    own = file_of(home, space)
    if own.exists():
        try:
            return unpack(own.read_bytes(), space.dim), None
        except (InputError, OSError) as error:
            complaint = f"{own}: {error}"
    return brought(space, encoder) or NOTHING, complaint


def brought(space: Space, encoder: object) -> Calibration | None:
    """The built-in calibration of a space's encoder."""
    give = getattr(encoder, "calibration", None)
    content = give() if callable(give) else None
    return unpack(content, space.dim) if content else None


def save(home: Path, space: Space, calibration: Calibration) -> Path:
    """Save the calibration that was made for a space of an archive; returns its file. After a kill or a power cut the file is
    either the old or the new one."""
    file = file_of(home, space)
    folder(home).mkdir(parents=True, exist_ok=True)
    disk.sync(home)  # the folder may be new
    disk.replace(file, pack(calibration))
    return file


def forget(home: Path, space: Space, present: Ids) -> None:
    """Remove deleted content from the calibration that was made for a space of an archive: what was drawn from segments that are not
    ``present``, ids (n,) ascending. A cohort that gets too small for that, or does not know its segments, is removed whole; the
    next run of the indexer makes another one."""
    file = file_of(home, space)
    try:
        made = unpack(file.read_bytes(), space.dim)
    except FileNotFoundError:
        return
    except InputError:
        file.unlink(missing_ok=True)
        return
    if made.made.startswith(BUILT_IN):
        return
    kept = {modality: np.isin(made.segments.get(modality, ()), present) for modality in made.contents}
    if any(len(kept[modality]) != len(rows) or kept[modality].sum() < MIN_SAMPLE for modality, rows in made.contents.items()):
        file.unlink(missing_ok=True)
    elif not all(rows.all() for rows in kept.values()):
        contents = {modality: rows[kept[modality]] for modality, rows in made.contents.items()}
        segments = {modality: made.segments[modality][rows] for modality, rows in kept.items()}
        save(home, space, replace(made, contents=contents, segments=segments))


def pack(calibration: Calibration) -> bytes:
    """A calibration as a file: vectors in 8 bits with a scale a row."""
    arrays: dict[str, Any] = {f"segments/{modality}": ids for modality, ids in calibration.segments.items()}
    for name, some in (("contents", calibration.contents), ("questions", calibration.questions)):
        for modality, vectors in some.items():
            scale = np.abs(vectors).max(axis=1, keepdims=True).clip(1e-9) / 127
            arrays[f"{name}/{modality}"] = np.round(vectors / scale).astype(np.int8)
            arrays[f"{name}/{modality}/scale"] = scale.astype(np.float32)
    head = {
        "format": FORMAT, "parts": calibration.parts, "wording": calibration.wording, "shared": dict(calibration.shared), "made": calibration.made,
        "labels": calibration.labels,
        "directions": [{"asked": asked, "content": content, **asdict(one)} for (asked, content), one in calibration.directions.items()],
    }  # fmt: skip
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def unpack(content: bytes, dim: int) -> Calibration:
    """The calibration in a file, for a space of ``dim`` dimensions.

    Raises:
        InputError: it is damaged, of another format, or of a space with other dimensions.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return _calibration(file, dim, hashlib.sha256(content).hexdigest())
    except (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        EOFError,
        AttributeError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(
            f"The calibration cannot be used: {error}.", remedy="Make it again with `sensorium spaces calibrate`."
        ) from error


def _calibration(file: Any, dim: int, digest: str) -> Calibration:  # noqa: ANN401 - numpy does not name the type
    """Parse an open file. Raises what the parsers raise, and ValueError for content that does not fit."""
    head = json.loads(file["head"].tobytes())
    if head["format"] != FORMAT:
        raise ValueError(f"it has the format {head['format']!r}, not {FORMAT}")
    sets: dict[str, dict[Modality, Vectors]] = {"contents": {}, "questions": {}}
    segments: dict[Modality, Ids] = {}
    for name in (name for name in file.files if name.count("/") == 1):
        of, modality = name.split("/")
        if of == "segments":
            segments[Modality(modality)] = np.asarray(file[name], np.int64)
            continue
        vectors = np.asarray(file[name].astype(np.float32) * file[f"{name}/scale"], np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != dim or not np.isfinite(vectors).all() or len(vectors) < 2:
            raise ValueError(f"{name} has the shape {vectors.shape}, not (n, {dim})")
        sets[of][Modality(modality)] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    directions = {(Modality(one.pop("asked")), Modality(one.pop("content"))): _direction(one) for one in head["directions"]}
    shared = {str(key): float(value) for key, value in head["shared"].items()}
    if shared and not {"offset", "log_segments", "log_words"} <= shared.keys():
        raise ValueError("weights that all directions share are missing")
    wording = (int(head["wording"][0]), int(head["wording"][1])) if head["wording"] else None
    return Calibration(
        sets["contents"], sets["questions"], directions, tuple((int(a), int(b)) for a, b in head["parts"]),
        wording, shared, str(head["made"]), digest, int(head.get("labels", 0)), segments,
    )  # fmt: skip


def _direction(one: Mapping[str, Any]) -> Direction:
    lines, doubts = (tuple(map(float, one[name])) for name in ("lines", "doubts"))
    if len(lines) == len(doubts) == CLASSES // 2:  # as they were written when all questions of a size shared a line
        lines, doubts = 2 * lines, 2 * doubts
    bins = tuple((float(chance), float(share), int(count)) for chance, share, count in one["bins"])
    numbers = [one["slope"], one["offset"], one["here"], *lines, *doubts, *one["verdict"].values()]
    if not all(math.isfinite(number) for number in numbers) or one["slope"] <= 0 or {len(lines), len(doubts)} != {CLASSES}:
        raise ValueError("a weight is no finite number, a slope is not above 0, or lines are missing")
    return Direction(**{**one, "lines": lines, "doubts": doubts, "bins": bins})


def word_scores(nats: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores (n,) in log-odds for texts found by their words, from how unlikely a chance match this good is, in nats (n,)."""
    return np.asarray(WORD_SLOPE * nats + WORD_OFFSET, np.float32)
