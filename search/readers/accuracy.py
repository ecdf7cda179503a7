"""Evaluation of readers: how well one transcribes recordings with known text. A manifest has one recording per line:

    {"audio": "talks/a.wav", "text": "…", "language": "en"}

Paths are relative to the working folder. The language is an ISO 639-1 code; the default is English.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import InputError, MediaError
from search.media import DecodePool
from search.readers import Reader
from search.readers.wer import Errors, count
from search.types import Cut, Gap, Info, Passage


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording, and what is said in it."""

    path: Path
    text: str
    language: str = "en"


def read_manifest(file: Path) -> Iterator[Spoken]:
    """The recordings of a manifest.

    Raises:
        InputError: the file cannot be read, or a line is not as above; says which.
    """
    try:
        lines = file.read_text("utf-8").split("\n")  # splitlines would also split at characters that a text may contain
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", remedy="Give a file with a JSON object on each line.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _spoken(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{file}, line {number}: {type(error).__name__}: {error}.",
                    remedy='With --reader a line looks like {"audio": "a.wav", "text": "…", "language": "en"}.',
                ) from error


def evaluate(
    reader: Reader, spoken: Sequence[Spoken], pool: DecodePool, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Word error rates, in total and by language, with their errors; and how many times faster than real time sound was decoded
    and read.

    Translations are ignored. A file that cannot be read counts as if no word was heard; ``failed`` counts such files.
    """
    found: dict[str, list[Errors]] = defaultdict(list)
    clock, failed, began = _Clock(), 0, time.monotonic()
    for number, one in enumerate(spoken, 1):
        try:
            heard = _hear(reader, one.path, pool, clock)
        except MediaError:
            heard, failed = "", failed + 1
        found[one.language].append(count(one.text, heard, one.language))
        progress(number)
    seconds = max(time.monotonic() - began, 1e-9)
    every = [errors for some in found.values() for errors in some]
    total = _summary(every) | {"failed": failed, "times_real_time": round(clock.seconds / seconds, 2)}
    return {"asr": total, "languages": {language: _summary(found[language]) for language in sorted(found)}}


@dataclass(slots=True)
class _Clock:
    """Adds up the length of the sound that passes through."""

    seconds: float = 0.0

    def count(self, cuts: Iterable[Info | Cut | Gap], rate: int) -> Iterator[Cut | Gap]:
        for cut in cuts:
            if isinstance(cut, Cut):
                self.seconds += len(cut.content) / rate
            if not isinstance(cut, Info):
                yield cut


def _hear(reader: Reader, path: Path, pool: DecodePool, clock: _Clock) -> str:
    decoded = pool.decode(path, reader.needs)
    try:
        info = next(decoded)
        if not isinstance(info, Info):
            return ""
        read = reader.read(info, clock.count(decoded, reader.needs.rate))
        return " ".join(one.text for one in read if isinstance(one, Passage) and not one.translated)
    finally:
        decoded.close()


def _spoken(line: dict[str, Any]) -> Spoken:
    texts = [line["audio"], line["text"], line.get("language", "en")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a value is not a text")
    return Spoken(Path(texts[0]), *texts[1:])


def _summary(some: Sequence[Errors]) -> dict[str, float]:
    every = sum(some, Errors())
    return {
        "files": len(some), "words": every.words, "WER": round(every.rate, 4), "substitutions": every.substitutions,
        "deletions": every.deletions, "insertions": every.insertions,
    }  # fmt: skip
