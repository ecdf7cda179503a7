"""Passages from words: split at the ends of sentences, with the positions of their words in the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.readers.speech.regions import Region
from search.readers.speech.whisper import ISO, Heard
from search.types import Channel, Passage, Span, Word

ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", "۔")
"""With what sentences end."""

CLOSING = "\"'”’»)]」』"

TITLES = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "sr.", "jr.", "no.", "vs.", "hr.", "fr.", "mme."})
"""Words with a full stop before a capital letter amid a sentence."""

MIN_SENTENCE_WORDS = 3
"""Words of a sentence that stands alone: a shorter one goes with what follows."""


def sentences(words: Sequence[Heard]) -> Iterator[list[Heard]]:
    """Split words at the ends of sentences; no word is lost."""
    sentence: list[Heard] = []
    for after, word in enumerate(words, 1):
        sentence.append(word)
        if after == len(words) or (len(sentence) >= MIN_SENTENCE_WORDS and _ends(word.text.strip(), words[after].text.strip())):
            yield sentence
            sentence = []


def passage(region: Region, words: Sequence[Heard], language: str, source: str) -> Passage:
    """Words of a region as a passage. Times are those of the asset, within the time in which somebody speaks in the region."""
    text, found = "", []
    for word in words:
        lead = word.text if text else word.text.lstrip()
        begin = len(text) + len(lead) - len(lead.lstrip())
        text += lead
        start, end = _times(region, word)
        found.append(Word(begin, len(text.rstrip()), start, end, word.confidence))
    text = text.rstrip()
    span = Span(min(word.start_ms or 0 for word in found), max(word.end_ms or 0 for word in found))
    confidence = sum(word.confidence for word in words) / len(words)
    kept = tuple(word for word in found if word.end > word.start)
    return Passage(Channel.SPEECH, span, text, source, confidence, ISO.get(language, language), kept)


def _ends(word: str, after: str) -> bool:
    word = word.rstrip(CLOSING)
    return word.endswith(ENDS) and word.casefold() not in TITLES and not after[:1].islower()


def _times(region: Region, word: Heard) -> tuple[int, int]:
    """Start and end in whole milliseconds, half-open and never empty."""
    first, last = region.spoken
    start = min(max(round(region.start_ms + word.start_ms), first), last - 1)
    return start, min(max(round(region.start_ms + word.end_ms), start + 1), last)
