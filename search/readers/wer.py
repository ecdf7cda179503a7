"""Word error rate: the transcript compared with the reference, both normalised as Whisper's authors do (arXiv 2212.04356,
appendix C)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

ADDED = (r"\bkinda\b", r"\bsorta\b", r"\bdunno\b", r"\bcause\b")
"""Rules that whisper_normalizer has and Whisper's authors have not: they hide errors, and take the cause of a fire for a because."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Out of ``words`` in the reference: how many were heard as other words, how many were missed, and how many were heard but
    not said."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def rate(self) -> float:
        """Errors per word of the reference; 0 if both texts are empty."""
        return (self.substitutions + self.deletions + self.insertions) / max(self.words, 1)

    def __add__(self, other: Errors) -> Errors:
        """Of both together."""
        return Errors(
            self.words + other.words, self.substitutions + other.substitutions, self.deletions + other.deletions,
            self.insertions + other.insertions,
        )  # fmt: skip


def count(said: str, heard: str, language: str) -> Errors:
    """The errors in ``heard``. English is normalised with its spellings, numbers and contractions, other languages by their letters."""
    import jiwer

    normalise = normaliser(english=language == "en")
    said, heard = normalise(said).strip(), normalise(heard).strip()
    if not said:
        return Errors(insertions=len(heard.split()))
    found = jiwer.process_words(said, heard)
    return Errors(len(said.split()), found.substitutions, found.deletions, found.insertions)


@lru_cache(maxsize=2)
def normaliser(*, english: bool) -> Any:  # noqa: ANN401 - it has no types
    """The function that both texts pass through before the comparison: for English, or for any other language."""
    if english:
        from whisper_normalizer.english import EnglishTextNormalizer

        whisper = EnglishTextNormalizer()
        for rule in ADDED:
            whisper.replacers.pop(rule, None)
        return whisper
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()
