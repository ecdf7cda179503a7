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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search import wire
from search.api import fetch
from search.errors import SensoriumError
from search.query import Engine, Then, form
from search.store.saved import SavedQuestion, SavedQuestions
from search.types import Filter, Hit

CHECK_SECONDS = 5.0
"""How often it is looked whether something has come."""

LONGEST_PAUSE_SECONDS = 3_600.0
"""After failures it is told again, each time after twice as long, at most after this."""

COMMAND_SECONDS = 60.0
"""The timeout of a program that is told."""

MAX_HITS = 100
"""Hits of one alarm, at most: the best ones."""

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
        self, questions: SavedQuestions, engine: Callable[[], Engine | None], under: Callable[[Filter], tuple[str, ...]],
        told: Callable[[Hit], Any] = wire.hit, secret: str = "",
    ) -> None:  # fmt: skip
        """``engine`` returns the engine, or None while there is none. ``under`` gives the folders that a filter names as absolute paths, and
        ``told`` a hit as JSON values; ``secret`` signs what webhooks are told."""
        self._questions, self._engine, self._under, self._told, self._secret = questions, engine, under, told, secret
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pauses: dict[str, tuple[float, float]] = {}

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
        until = self._questions.last_segment()
        for one in standing:
            if one.told_until >= until or self._closing.is_set() or time.monotonic() < self._pauses.get(one.name, (0.0, 0.0))[0]:
                continue
            try:
                hits = self.news(engine, one, one.told_until)
                if hits:
                    self._tell(one, hits)
                failure = None
            except SensoriumError as error:
                hits, failure = (), f"{error} {getattr(error, 'remedy', '')}".strip()
            self._note(one.name, until, failure)
            if hits or failure:
                found.append(Alarm(one.name, hits, failure))
        return found

    def news(self, engine: Engine, one: SavedQuestion, after: int) -> tuple[Hit, ...]:
        """The hits of a standing question, ``MAX_HITS`` at most, among the segments that came after one of this number."""
        formed = form.read(one.form)
        wanted = replace(
            formed.filter,
            after_segment=max(after, formed.filter.after_segment or 0),
            under=self._under(formed.filter) if formed.filter.under else (),
        )
        if isinstance(formed.query, Then):
            return engine.search(formed.query, wanted, k=MAX_HITS, line=LIKELIER_THAN_NOT).hits
        return engine.alarms(formed.query, wanted, one.false_alarms or 0.0, k=MAX_HITS)

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

    def _note(self, name: str, until: int, failure: str | None) -> None:
        self._questions.told(name, until, failure)
        if failure is None:
            self._pauses.pop(name, None)
            return
        _log.warning("The standing question %s could not tell: %s", name, failure)
        pause = min(2 * self._pauses.get(name, (0.0, CHECK_SECONDS / 2))[1], LONGEST_PAUSE_SECONDS)
        self._pauses[name] = time.monotonic() + pause, pause

    def _work(self) -> None:
        while not self._closing.wait(CHECK_SECONDS):
            try:
                self.look()
            except SensoriumError as error:  # the database, for the moment
                _log.warning("The standing questions could not be asked: %s", error)
