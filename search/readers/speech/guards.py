"""Guards against hallucinations: text that Whisper invents when nothing was said, or when it could not understand (arXiv
2212.04356, section 4.5, and later experience)."""

from __future__ import annotations

from collections.abc import Sequence

from search.readers.speech.whisper import Said

NO_SPEECH, UNLIKELY = 0.6, -1.0
"""Nothing was said where Whisper thinks so at least this much, and its words have at most this mean log probability: its own thresholds."""

GUESSED = -1.5
"""Words with a lower mean log probability are guesses, however sure Whisper is that something is said."""

MAX_COMPRESSION = 2.4
"""A text that zlib makes more than this many times shorter repeats itself: Whisper's own threshold."""

TIMES, SHARE, GRAM = 4, 0.5, 6
"""Words of up to ``GRAM`` that come so many times on end, and are this share of all, are a loop."""

MIN_VOICE = 0.6
"""Below this probability, there may be no voice."""

TRAPS = frozenset({
    "bye", "bye bye", "you", "so", "oh", "okay", "thank you", "thank you very much", "thank you so much", "thanks for watching",
    "thank you for watching", "thank you so much for watching", "thanks for listening", "thank you for listening", "please subscribe",
    "please subscribe to my channel", "subscribe to my channel", "like and subscribe", "dont forget to like and subscribe",
    "see you next time", "see you in the next video", "ill see you next time", "ill see you in the next video", "music", "applause",
    "silence", "subtitles by the amara org community", "transcription by castingwords", "vielen dank", "vielen dank fürs zuschauen",
    "bis zum nächsten mal", "untertitel der amara org community", "untertitelung des zdf 2020", "untertitel im auftrag des zdf für funk 2017",
    "copyright wdr 2021", "merci", "merci davoir regardé cette vidéo", "sous titres réalisés par la communauté damara org",
    "sous titrage société radio canada", "gracias", "gracias por ver el video", "subtítulos realizados por la comunidad de amara org", "obrigado",
    "legendas pela comunidade amara org", "grazie", "sottotitoli creati dalla comunità amara org", "ondertiteld door de amara org gemeenschap",
    "napisy stworzone przez społeczność amara org", "altyazı mk", "izlediğiniz için teşekkür ederim", "субтитры сделал dimatorzok",
    "продолжение следует", "спасибо за просмотр", "谢谢观看", "謝謝觀看", "字幕由amara org社区提供", "ご視聴ありがとうございました", "시청해주셔서 감사합니다",
    "감사합니다",
})  # fmt: skip
"""Phrases that Whisper's training data have at silence and music, in the form of ``plain``."""


def plain(text: str) -> str:
    """A text reduced to letters and numbers, in lower case, with single spaces."""
    letters = "".join(letter if letter.isalnum() else " " for letter in text.casefold().replace("'", "").replace("’", ""))
    return " ".join(letters.split())


def unread(said: Said) -> str:
    """Why Whisper's whole result for a sound should be dropped; empty: it is plausible."""
    if said.no_speech > NO_SPEECH and said.log_probability < UNLIKELY:
        return "it hardly sounds like speech"
    if said.log_probability < GUESSED:
        return "the words would be guesses"
    if looping(said):
        return "the words go round in circles"
    return "" if plain(said.text) else "no words could be made out"


def looping(said: Said) -> bool:
    """Whether a text repeats itself as only a model stuck in a loop does."""
    words = [word for heard in said.words if (word := plain(heard.text))]
    return said.compression > MAX_COMPRESSION or any(
        stretch >= TIMES * size and stretch >= max(SHARE * len(words), 8)
        for size in range(1, GRAM + 1)
        for stretch in [_repeated(words, size)]
    )


def made_up(text: str, voice: float, before: Sequence[str]) -> str:
    """Why a single passage should be dropped; empty: it is plausible. ``voice``: the probability of a voice there, 0..1;
    ``before``: the passages before it."""
    said = plain(text)
    if not said:
        return "no words could be made out"
    if voice < MIN_VOICE and said in TRAPS:
        return "it is what is written under silence"
    if len(before) > 1 and all(plain(line) == said for line in before[-2:]):
        return "the line comes again and again"
    return ""


def _repeated(words: Sequence[str], size: int) -> int:
    """The longest run of words that each equal the word ``size`` places before; the repeated words are included."""
    longest = run = 0
    for before, word in zip(words, words[size:], strict=False):
        run = run + 1 if before == word else 0
        longest = max(longest, run)
    return longest + size if longest else 0
