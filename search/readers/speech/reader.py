"""The speech reader: regions of speech in, passages out."""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from search.errors import MediaError, ModelMissing
from search.readers.speech import READS
from search.readers.speech.engine import ISO, Engine, Said
from search.readers.speech.guards import WEAK, looping, made_up, plain, unread
from search.readers.speech.passages import passage, sentences
from search.readers.speech.regions import RATE, Region, regions
from search.types import Channel, Cut, Gap, Info, Needs, Passage, Span

RULES = "3"
"""Incremented whenever this family would read something else from the same sound."""

SURE = 0.5
"""If the language's probability is below this, the language of the region before is used."""

DOUBTED = 0.65
"""Sentences whose words are less sure than this in the mean, 0..1, may be in another language than their region: German that is heard as English has
.4 to .55, and what is heard in its own language .75 and more."""

LONG_MS = 3_000
"""Unread speech of at least this length is reported as a gap."""


@dataclass(slots=True)
class _Before:
    """What was read so far: the language, and the last lines."""

    language: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=2))


class SpeechReader:
    """Transcribes speech with a Whisper model. Threads may call ``read`` at the same time."""

    channels = frozenset({Channel.SPEECH})
    reads = READS

    def __init__(self, name: str, revision: str, source: str, engine: Engine, *, translate: bool) -> None:
        """``revision`` is that of the files; ``translate``: also translate speech that is not English into English."""
        self.name, self.revision = name, f"{revision}.{RULES}"
        self._source, self._engine, self._translate = source, engine, translate
        self._batch = engine.together
        self.needs = Needs(size=0, fit="squash", rate=RATE, window_ms=30_000, batch=self._batch, levelled=False)

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:  # noqa: ARG002 - a file may lie about its length
        """Read the sound of an asset; memory does not grow with its length.

        Raises:
            MediaError: ``encoder``: the model fails on it.
            ModelMissing: the GPU is gone.
        """
        found, before = regions(cuts), defaultdict[str | None, _Before](_Before)  # one for each track and channel
        while some := list(islice(found, self._batch)):
            with _told():
                languages = self._languages(some, before)
                said = self._hear(some, languages)
                foreign = [
                    self._translate and language != "en" and not unread(one)
                    for language, one in zip(languages, said, strict=True)
                ]
                english = self._english(some, languages, foreign)
            for region, language, one, other in zip(some, languages, said, english, strict=True):
                yield from self._passages(region, language, one, before[region.heard])
                if other is not None and plain(other.text) != plain(one.text) and not unread(other):
                    yield self._translated(region, one, other)

    def _languages(self, some: Sequence[Region], before: Mapping[str | None, _Before]) -> list[str]:
        found = []
        told = self._engine.languages([region.samples for region in some])
        for region, (language, likely) in zip(some, told, strict=True):
            last = before[region.heard]
            if likely >= SURE or not last.language:
                last.language = language
            found.append(last.language)
        return found

    def _hear(self, some: Sequence[Region], languages: Sequence[str]) -> list[Said]:
        """Transcribe each region. A result stuck in a loop is decoded again with repetitions disabled."""
        found: dict[int, Said] = {}
        for language in dict.fromkeys(languages):
            which = [at for at, one in enumerate(languages) if one == language]
            found |= zip(which, self._engine.hear([some[at].samples for at in which], language), strict=True)
            for at in which:
                if looping(found[at]):
                    (found[at],) = self._engine.hear([some[at].samples], language, varied=True)
        return [found[at] for at in range(len(some))]

    def _english(self, some: Sequence[Region], languages: Sequence[str], foreign: Sequence[bool]) -> list[Said | None]:
        found: dict[int, Said] = {}
        for language in dict.fromkeys(languages):
            if which := [at for at, one in enumerate(languages) if one == language and foreign[at]]:
                sounds = [some[at].samples for at in which]
                found |= zip(which, self._engine.hear(sounds, language, translate=True), strict=True)
        return [found.get(at) for at in range(len(some))]

    def _passages(self, region: Region, language: str, said: Said, before: _Before) -> Iterator[Passage | Gap]:
        if why := unread(said):
            yield from _gap(region, Span(round(region.start_ms), round(region.end_ms)), language, why)
            return
        for words in sentences(said.words):
            one = passage(region, words, language, self._heard(region))
            span = one.span or Span(0, 0)
            if (one.confidence or 0.0) < DOUBTED:
                with _told():
                    better = self._by_itself(region, one)
                if better:
                    yield from better
                    before.lines += [told.text for told in better]
                    continue
                yield from self._doubt(region, span, language)
            if why := made_up(one.text, region.voiced(span.start, span.end), tuple(before.lines)):
                yield from _gap(region, span, language, why)
            else:
                yield one
            before.lines.append(one.text)

    def _by_itself(self, region: Region, doubted: Passage) -> list[Passage]:
        """A doubtful sentence, transcribed again in its own language. Empty if that is the same language, or the confidence does
        not rise."""
        if not self._engine.multilingual or doubted.span is None:
            return []
        part = region.part(doubted.span.start, doubted.span.end)
        ((language, likely),) = self._engine.languages([part.samples])
        if likely < SURE or ISO.get(language, language) == doubted.language:
            return []
        (said,) = self._engine.hear([part.samples], language)
        if unread(said):
            return []
        found = [passage(part, words, language, self._heard(part)) for words in sentences(said.words)]
        if sum(word.confidence for word in said.words) / len(said.words) <= (doubted.confidence or 0.0):
            return []
        if self._translate and language != "en":
            (english,) = self._engine.hear([part.samples], language, translate=True)
            found += [self._translated(part, said, english)] if not unread(english) else []
        return found

    def _doubt(self, region: Region, span: Span, language: str) -> Iterator[Gap]:
        """A gap for a sentence that is kept although it may be in another language than assumed. It counts as searched."""
        if span.end - span.start >= LONG_MS and region.voiced(span.start, span.end) >= WEAK:
            alone = "" if self._engine.multilingual else ", and the model knows English alone"
            yield Gap("not_read", f"language {language}, from {span.start / 1000:.1f} s: the words are doubtful{alone}")

    def _heard(self, region: Region) -> str:
        """The source: the reader, and the track and channel unless it is the whole first track."""
        return f"{self._source}, {region.heard}" if region.heard else self._source

    def _translated(self, region: Region, said: Said, english: Said) -> Passage:
        """A translation of everything said in a region. Its words have no times."""
        whole = passage(region, said.words, "en", self._heard(region))
        likely = passage(region, english.words, "en", self._heard(region))
        return replace(likely, span=whole.span, words=(), translated=True)


def _gap(region: Region, span: Span, language: str, why: str) -> Iterator[Gap]:
    """A gap for speech that could not be read, if it is long enough and somebody speaks there."""
    if span.end - span.start >= LONG_MS and region.voiced(span.start, span.end) >= WEAK:
        yield Gap("not_read", f"language {language}: {why}", span)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn CTranslate2's exceptions into our errors."""
    try:
        yield
    except RuntimeError as error:
        if "CUDA" in str(error) and "out of memory" not in str(error):
            raise ModelMissing(
                f"The GPU is gone: {error}",
                remedy="Look at nvidia-smi, then run the same command again, or set SENSORIUM_DEVICE.",
            ) from error
        raise MediaError("encoder", f"Whisper fails on it: {error}") from error
    except (ValueError, IndexError) as error:  # from the alignment of words
        raise MediaError("encoder", f"Whisper fails on it: {type(error).__name__}: {error}") from error
