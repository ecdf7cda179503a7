"""Watches that coded lists find what an exact scan finds: some questions that people ask are answered exactly as well, in the background.

What was measured is kept beside the generation (``Generations.save_efforts``), by the modality of the question and by how much a filter let
through. Where it falls below ``MIN_RECALL``, more lists are looked at.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.errors import IndexDamaged
from search.index import Generations
from search.index.coded import NARROW_CODED, Effort
from search.index.ivf import MIN_RECALL, RECALL_DEPTH
from search.live import LiveIndex, Questions
from search.store.spaces import SpaceEntry
from search.types import KINDS, Ids, Kind, Modality, Vectors

SHARES = {0.2: "20%", 0.5: "50%"}
"""What a filter lets through at most, as a share of a kind, and how that is called. What passes less is scanned exactly."""

WINDOW, ENOUGH_ASKED = 256, 32
"""Questions of a direction that are remembered, and from how many on they tell something."""

FIRST_PAUSE, PATIENCE = 2.0, 20
"""Seconds until the first look, so that a short command need not wait; and the pause after each, in the time that it took."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A question as the index was asked: its vector (dim,), what it was let to find (n,), and the ten best that lists found."""

    kind: Kind
    modality: Modality
    vector: NDArray[np.float32]
    within: Ids
    found: Ids


class RecallCheck:
    """The check of one space. It works in a thread of its own while there are coded lists, and not at all otherwise."""

    def __init__(self, reading: Callable[[], AbstractContextManager[None]]) -> None:
        """``reading`` keeps the index from changing."""
        self._reading = reading
        self._live: LiveIndex | None = None
        self._questions: Questions = {}
        self._kept: Callable[[], Vectors | None] = lambda: None
        self._asked: deque[Sampled] = deque(maxlen=4)
        self._hits: dict[tuple[int, str], deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._wake, self._closed, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def follow(self, live: LiveIndex, questions: Questions, kept: Callable[[], Vectors | None]) -> None:
        """Watch the lists of an index. Until their recall is known for ``questions`` of each modality, the exact scan answers. ``kept`` gives
        texts (n, dim) that people have asked of this archive; they come before others."""
        if live is self._live or not live.coded:
            return
        self._questions, self._kept = questions, kept
        for scan in live.coded.values():
            scan.directions = frozenset(map(str, self._questions))
        with self._lock:
            self._live = live
            self._asked.clear()
            self._hits.clear()
            self._wake.set()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._work, name="recall", daemon=True)
                self._thread.start()

    def note(self, asked: Sampled) -> None:
        """Perhaps answer a question exactly as well. Only the newest few wait."""
        if self._live is not None and KINDS.index(asked.kind) in self._live.coded and len(asked.found):
            self._asked.append(asked)
            self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wake.set()
        if thread := self._thread:
            thread.join()

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed.wait(pause):
            began = time.monotonic()
            live = self._live
            if live is not None and not self._measure(live):
                self._wake.clear()
                if self._asked:
                    self._compare(live, self._asked.popleft())
                else:
                    self._wake.wait()
            pause = min(PATIENCE * (time.monotonic() - began), 60.0) if self._asked else 0.05

    def _measure(self, live: LiveIndex) -> bool:
        """Tune one scan of which it is not known what it finds; whether there was one."""
        for kind, scan in live.coded.items():
            if scan.effort is None or not scan.directions <= scan.effort.recall.keys():
                samples = live.samples(with_kept(self._questions, self._kept()))
                with self._reading():
                    effort = scan.tune(samples, stop=self._closed.is_set)
                if effort is not None:
                    self._tell(live, kind)
                return True
        return False

    def _compare(self, live: LiveIndex, asked: Sampled) -> None:
        """Answer a question exactly, and look harder where too little was found."""
        kind = KINDS.index(asked.kind)
        scan = live.coded.get(kind)
        if scan is None or not scan.ready or scan.effort is None:
            return
        share = len(asked.within) / len(scan.ids)
        if share <= NARROW_CODED:
            return
        with self._reading():
            truth = live.exact(asked.vector[None], RECALL_DEPTH, asked.within)[0][0]
        name = direction(asked.modality, share)
        hits = self._hits[kind, name]
        hits.append(float(np.isin(truth[truth >= 0], asked.found).mean()))
        if len(hits) < ENOUGH_ASKED or len(hits) % ENOUGH_ASKED:
            return
        recall, effort = float(np.mean(hits)), scan.effort
        asked_so_far = {**effort.asked, name: (recall, len(hits))}
        if recall >= MIN_RECALL:
            scan.effort = replace(effort, asked=asked_so_far)
        else:
            probes = min(2 * effort.probes, scan.lists)
            _log.warning(
                "Of the ten best answers to %s, lists found %.3f over %s: from now on %d lists are looked at, not %d.",
                name, recall, asked.kind, probes, effort.probes,
            )  # fmt: skip
            worst = (
                {**effort.recall, str(asked.modality): recall} if probes == effort.probes else effort.recall
            )  # no harder way to look
            scan.effort = replace(effort, probes=probes, least=probes, recall=worst, asked=asked_so_far)
            hits.clear()
        self._tell(live, kind)

    def _tell(self, live: LiveIndex, kind: int) -> None:
        live.save_efforts()
        if (effort := live.coded[kind].effort) is not None and not effort.enough:
            _log.warning(
                "Lists over %s reach a recall of %.3f, so everything is scanned.", KINDS[kind], min(effort.recall.values())
            )


def direction(asked: Modality, share: float) -> str:
    """How recall is told: by the modality of questions, and by what a filter let through."""
    name = next((told for most, told in SHARES.items() if share <= most), "")
    return f"{asked} {name}" if name else str(asked)


def with_kept(questions: Questions, kept: Vectors | None) -> Questions:
    """Questions of which texts that were kept (n, dim) come first."""
    if kept is None or not len(kept):
        return questions
    others = questions.get(Modality.TEXT, kept[:0])
    return {**questions, Modality.TEXT: np.concatenate([kept, others])}


@dataclass(frozen=True, slots=True)
class Reached:
    """Recall@10, 0..1, over ``kind``, for questions called ``asked`` (``direction``), on so many ``questions``. ``real``: of people."""

    kind: Kind
    asked: str
    recall: float
    questions: int
    real: bool


def reached(efforts: Mapping[int, Effort]) -> list[Reached]:
    """What is known of the recall of lists, by kind and direction: what was asked after what was tried."""
    found: list[Reached] = []
    for kind, effort in efforts.items():
        tried = ((name, recall, effort.questions.get(name, 0), False) for name, recall in effort.recall.items())
        asked = ((name, recall, count, True) for name, (recall, count) in effort.asked.items())
        found += [Reached(KINDS[kind], *one) for one in (*tried, *asked)]
    return found


def kept_recall(home: Path, entry: SpaceEntry) -> list[Reached]:
    """What was measured of the lists of a space's generation on disk; nothing where it has none."""
    generations = Generations(home / "index", entry.key, entry.space.name, entry.space.dim)
    try:
        manifest = generations.current()
    except IndexDamaged:
        return []
    return reached(generations.efforts(manifest.generation)) if manifest else []
