"""Standing questions: saved questions that tell by themselves what comes, a webhook or a program, at a chosen rate of false alarms.

They are asked in a thread of the service, or by `sensorium saved tell`, never while files are indexed: whoever does not listen delays
nothing but the next alarm.
"""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search import wire
from search.api import fetch
from search.errors import SensoriumError
from search.query import Engine, Then, form
from search.query.engine import MAX_HITS
from search.store.saved import SavedQuestion, SavedQuestions
from search.types import Filter, Hit

CHECK_SECONDS = 5.0
"""How often it is looked whether something has come."""

LONGEST_PAUSE_SECONDS = 3_600.0
"""After failures it is told again, each time after twice as long, at most after this."""

COMMAND_SECONDS = 60.0
"""The timeout of a program that is told."""

HITS_OF_AN_ALARM = 100
"""At most: the best ones."""

LIKELIER_THAN_NOT = 0.0
"""Log-odds from which on a pattern is told: it has no rate of false alarms, since its steps depend on each other."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a standing question has told, or why it could not."""

    name: str
    hits: tuple[Hit, ...]
    failure: str | None = None


class StandingQuestions:
    """Asks the standing questions of an archive. ``look`` may be called by one thread at a time."""

    def __init__(
        self, questions: SavedQuestions, engine: Callable[[], Engine | None], narrowed: Callable[[Filter], Filter],
        told: Callable[[Hit], Any] = wire.hit, secret: str = "",
    ) -> None:  # fmt: skip
        """``engine`` returns the engine, or None while there is none. ``narrowed`` gives a filter with the folders that it names as absolute
        paths, limited to what whoever is told may know, and ``told`` a hit as JSON values; ``secret`` signs what webhooks are told."""
        self._questions, self._engine, self._narrowed, self._told, self._secret = questions, engine, narrowed, told, secret
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pauses: dict[str, tuple[float, float]] = {}
        self._looked: dict[str, tuple[str, int]] = {}  # by question: its form, and the number of writes up to which it was looked

    def start(self) -> None:
        """Begin to look."""
        self._closing.clear()
        self._thread = threading.Thread(target=self._work, name="standing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; waits for an alarm that is being told."""
        self._closing.set()
        if self._thread:
            self._thread.join()

    def look(self) -> list[Alarm]:
        """Ask every standing question for what has come since it last told, and tell what there is."""
        engine, found = self._engine(), list[Alarm]()
        standing = [one for one in self._questions.all() if one.false_alarms is not None] if engine else []
        if not engine or not standing:
            return found
        version, until = self._questions.settled(min(one.told_until for one in standing))
        for one in standing:
            pausing = time.monotonic() < self._pauses.get(one.name, (0.0, 0.0))[0]
            if self._closing.is_set() or pausing or self._looked.get(one.name) == (one.form, version):
                continue
            settled, failure = one.told_until, None
            try:
                hits = self.news(engine, one, one.told_until, one.told)
                if hits:
                    self._tell(one, hits)
                if engine.searcher().has_followed(version):  # or else it is looked again
                    self._looked[one.name], settled = (one.form, version), max(until, settled)
            except SensoriumError as error:
                hits, failure = (), f"{error} {getattr(error, 'remedy', '')}".strip()
            if hits or failure or settled > one.told_until:
                self._note(one, settled, hits, failure)
            if hits or failure:
                found.append(Alarm(one.name, hits, failure))
        return found

    def news(self, engine: Engine, one: SavedQuestion, after: int, without: Collection[int] = ()) -> tuple[Hit, ...]:
        """The hits of a standing question, ``HITS_OF_AN_ALARM`` at most, among the segments that came after one of this number,
        ``without`` some of them."""
        formed = form.read(one.form)
        wanted = replace(self._narrowed(formed.filter), after_segment=max(after, formed.filter.after_segment or 0))
        k = min(HITS_OF_AN_ALARM + len(without), MAX_HITS)
        if isinstance(formed.query, Then):
            found = engine.search(formed.query, wanted, k=k, line=LIKELIER_THAN_NOT).hits
        else:
            found = engine.alarms(formed.query, wanted, one.false_alarms or 0.0, k=k)
        return tuple(hit for hit in found if hit.segment.id not in without)[:HITS_OF_AN_ALARM]

    def _tell(self, one: SavedQuestion, hits: Sequence[Hit]) -> None:
        """Tell a webhook and a program. Raises SensoriumError where one of them fails."""
        body = json.dumps({"name": one.name, "form": one.form, "hits": [self._told(hit) for hit in hits]}, default=str).encode()
        if one.webhook:
            fetch.post(one.webhook, body, self._secret)
        if one.command:
            try:
                subprocess.run(one.command, input=body, check=True, timeout=COMMAND_SECONDS, capture_output=True)  # noqa: S603 - its owner chose it
            except (OSError, subprocess.SubprocessError) as error:
                raise SensoriumError(f"{one.command[0]} failed: {error}", remedy="Run it by hand.") from error

    def _note(self, one: SavedQuestion, until: int, hits: Sequence[Hit], failure: str | None) -> None:
        self._questions.tell(one.name, until, (*one.told, *(hit.segment.id for hit in hits)), failure)
        if failure is None:
            self._pauses.pop(one.name, None)
            return
        self._looked.pop(one.name, None)
        _log.warning("The standing question %s could not tell: %s", one.name, failure)
        pause = min(2 * self._pauses.get(one.name, (0.0, CHECK_SECONDS / 2))[1], LONGEST_PAUSE_SECONDS)
        self._pauses[one.name] = time.monotonic() + pause, pause

    def _work(self) -> None:
        while not self._closing.wait(CHECK_SECONDS):
            try:
                self.look()
            except SensoriumError as error:  # the database, for the moment
                _log.warning("The standing questions could not be asked: %s", error)
