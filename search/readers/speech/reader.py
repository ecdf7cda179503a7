"""The speech reader: regions of speech in, passages out."""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from search.encoders.known_models import MODEL_FAMILIES
from search.errors import MediaError, ModelMissing
from search.readers.speech import ALONE
from search.readers.speech.guards import MIN_VOICE, UNLIKELY, looping, made_up, plain, unread
from search.readers.speech.regions import SAMPLE_RATE, Region, regions
from search.readers.speech.sentences import passage, sentences
from search.readers.speech.whisper import Said, SpeechModel
from search.types import Channel, Cut, Gap, Info, Needs, Passage, Span

RULES = "4"
"""Incremented whenever this family would read something else from the same sound."""

MIN_LANGUAGE_PROBABILITY = 0.5
"""If the language's probability is below this, the language of the region before is used."""

MIN_SENTENCE_CONFIDENCE = 0.65
"""Sentences whose words are less sure than this in the mean, 0..1, may be in another language than their region: German that is heard as English has
.4 to .55, and what is heard in its own language .75 and more."""

MIN_ENGLISH_CONFIDENCE = 0.5
"""Sentences whose words a model of English alone is less sure of than this are dropped: speech in other languages has .2 to .5, and of English in
noise with so little, 96 % of the words are wrong."""

LONG_MS = 3_000
"""Unread speech of at least this length is reported as a gap."""

DOUBTED_MS = 2_000
"""Doubtful sentences of a region are reported if they are at least this long together."""

FOREIGN = "a model of English alone did not understand it; for other languages use one that knows them: sensorium readers add speech:base"


@dataclass(slots=True)
class _Before:
    """What was read so far: the language, and the last lines."""

    language: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=2))


class SpeechReader:
    """Transcribes speech with a Whisper model. Threads may call ``read`` at the same time."""

    channels = frozenset({Channel.SPEECH})
    reads = MODEL_FAMILIES["speech"].takes

    def __init__(
        self, name: str, revision: str, source: str, engine: SpeechModel, *, translate: bool, english: bool = False
    ) -> None:
        """``revision`` is that of the files; ``translate``: also translate speech that is not English into English; ``english``: the
        model writes English alone."""
        self.name, self.revision = name, f"{revision}.{RULES}"
        self._source, self._engine, self._translate = source, engine, translate
        self._english_alone = english or not engine.multilingual
        self.note = ALONE if self._english_alone else ""
        self._batch = engine.together
        self.needs = Needs(size=0, fit="squash", rate=SAMPLE_RATE, window_ms=30_000, batch=self._batch, levelled=False)

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:  # noqa: ARG002 - a file may lie about its length
        """Read the sound of an asset; memory does not grow with its length.

        Raises:
            MediaError: ``encoder``: the model fails on it.
            ModelMissing: the GPU is gone.
        """
        found, before = regions(cuts), defaultdict[str | None, _Before](_Before)  # one for each track and channel
        while some := list(islice(found, self._batch)):
            yield from self._regions(some, before)

    def _regions(
        self, some: Sequence[Region], before: Mapping[str | None, _Before], *, again: bool = True
    ) -> Iterator[Passage | Gap]:
        """Read regions. ``again``: what Whisper leaves out of one is heard by itself."""
        with _told():
            languages = self._languages(some, before)
            said = self._hear(some, languages)
            foreign = [
                self._translate and language != "en" and not unread(one) for language, one in zip(languages, said, strict=True)
            ]
            english = self._english(some, languages, foreign)
        for region, language, one, other in zip(some, languages, said, english, strict=True):
            yield from self._passages(region, language, one, before[region.heard])
            if other is not None and plain(other.text) != plain(one.text) and not unread(other):
                yield self._translated(region, one, other)
            for span in [] if self._unread(one, language) else _left(region, one):
                if again:
                    yield from self._regions([region.part(span.start, span.end)], before, again=False)
                else:
                    yield from _gap(region, span, language, FOREIGN if self._english_alone else "no words could be made out")

    def _languages(self, some: Sequence[Region], before: Mapping[str | None, _Before]) -> list[str]:
        found = []
        told = self._engine.languages([region.samples for region in some])
        for region, (language, likely) in zip(some, told, strict=True):
            last = before[region.heard]
            if likely >= MIN_LANGUAGE_PROBABILITY or not last.language:
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

    def _unread(self, said: Said, language: str) -> str:
        """Why the whole result for a region should be dropped; empty: it is plausible."""
        why = unread(said)
        if not self._english_alone:
            return why
        return FOREIGN if why or language != "en" or said.log_probability < UNLIKELY else ""

    def _passages(self, region: Region, language: str, said: Said, before: _Before) -> Iterator[Passage | Gap]:
        if why := self._unread(said, language):
            yield from _gap(region, Span(round(region.start_ms), round(region.end_ms)), language, why)
            return
        lost: list[Span] = []  # one after another
        doubted: list[Span] = []
        found: list[Passage | Gap] = []
        for words in sentences(said.words):
            one = passage(region, words, language, self._heard(region))
            span = one.span or Span(0, 0)
            if (one.confidence or 0.0) < MIN_SENTENCE_CONFIDENCE:
                with _told():
                    better = self._by_itself(region, one, language)
                if better:
                    found += better
                    before.lines += [told.text for told in better]
                    continue
                if self._english_alone:
                    one = replace(one, language=None)
                    if (one.confidence or 0.0) < MIN_ENGLISH_CONFIDENCE:
                        lost.append(span)
                        continue
                doubted.append(span)
            found += _joined(region, lost, language)
            if why := made_up(one.text, region.voiced(span.start, span.end), tuple(before.lines)):
                found += _gap(region, span, language, why)
            else:
                found.append(one)
            before.lines.append(one.text)
        yield from self._doubt(region, doubted, language)
        yield from found
        yield from _joined(region, lost, language)

    def _by_itself(self, region: Region, doubted: Passage, assumed: str) -> list[Passage]:
        """A doubtful sentence, transcribed again in its own language. Empty if that is the language ``assumed``, or the confidence does
        not rise: neither over that in its region nor over that of the sentence by itself in the language assumed."""
        if self._english_alone or doubted.span is None:
            return []
        part = region.part(doubted.span.start, doubted.span.end)
        ((language, likely),) = self._engine.languages([part.samples])
        if likely < MIN_LANGUAGE_PROBABILITY or language == assumed:
            return []
        (said,) = self._engine.hear([part.samples], language)
        if unread(said):
            return []
        if said.sure <= (doubted.confidence or 0.0):
            (same,) = self._engine.hear([part.samples], assumed)
            if said.sure <= same.sure:
                return []
        found = [passage(part, words, language, self._heard(part)) for words in sentences(said.words)]
        if self._translate and language != "en":
            (english,) = self._engine.hear([part.samples], language, translate=True)
            found += [self._translated(part, said, english)] if not unread(english) else []
        return found

    def _doubt(self, region: Region, doubted: Sequence[Span], language: str) -> Iterator[Gap]:
        """A gap for sentences of a region that are kept although they may be in another language than assumed. They count as searched."""
        some = [span for span in doubted if region.voiced(span.start, span.end) >= MIN_VOICE]
        if sum(span.end - span.start for span in some) >= DOUBTED_MS:
            alone = ", and the model knows English alone" if self._english_alone else ""
            yield Gap("not_read", f"language {language}, from {some[0].start / 1000:.1f} s: the words are doubtful{alone}")

    def _heard(self, region: Region) -> str:
        """The source: the reader, and the track and channel unless it is the whole first track."""
        return f"{self._source}, {region.heard}" if region.heard else self._source

    def _translated(self, region: Region, said: Said, english: Said) -> Passage:
        """A translation of everything said in a region. Its words have no times."""
        whole = passage(region, said.words, "en", self._heard(region))
        likely = passage(region, english.words, "en", self._heard(region))
        return replace(likely, span=whole.span, words=(), translated=True)


def _long(region: Region, span: Span) -> bool:
    """Whether somebody speaks there, for long enough to be told."""
    return span.end - span.start >= LONG_MS and region.voiced(span.start, span.end) >= MIN_VOICE


def _gap(region: Region, span: Span, language: str, why: str) -> Iterator[Gap]:
    """A gap for speech that could not be read."""
    if _long(region, span):
        yield Gap("not_read", f"language {language}: {why}" if why != FOREIGN else why, span)


def _left(region: Region, said: Said) -> Iterator[Span]:
    """Where somebody speaks for long, and Whisper has no word."""
    at, last = region.spoken
    words = passage(region, said.words, "", "").words
    for start, end in (*((word.start_ms or 0, word.end_ms or 0) for word in words), (last, last)):
        if _long(region, Span(at, max(at, start))):
            yield Span(at, start)
        at = max(at, end)


def _joined(region: Region, lost: list[Span], language: str) -> Iterator[Gap]:
    """A gap for sentences, one after another, that a model of English alone did not understand; ``lost`` is emptied."""
    if lost:
        yield from _gap(region, Span(lost[0].start, lost[-1].end), language, FOREIGN)
        lost.clear()


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
