"""Zero-shot classification: which of some labels is nearest to a segment's vector (CLIP, Radford et al. 2021, arXiv 2103.00020,
section 3.1).

Each label is put into several sentences. Their unit vectors are averaged, and the mean is brought to unit length: an ensemble in
vector space. Once made, it costs no more than a single sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from search.encoders import Encoder, ask
from search.errors import InputError
from search.types import WORDS, Channel, Modality, Vectors

TEMPLATES = {
    Channel.VISUAL: (
        "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.", "art of the {}.",
        "a photo of the small {}.",
    ),
    Channel.SOUND: ("the sound of {}.", "this is a sound of {}.", "a recording of {}."),
    **dict.fromkeys(sorted(WORDS), ("{}", "a text about {}.")),
    Channel.MOTION: ("{}", "the motion of {}."),
}  # fmt: skip
"""Sentences by the channel of what is classified. Those for pictures are the seven of the authors' eighty that they found to do as well."""

SHARPNESS = 100.0
"""What cosines are multiplied by before the softmax: where the authors' training ended."""

MAX_LABELS, MAX_LABEL_CHARACTERS = 10_000, 100
"""Labels in a vocabulary, and characters in a label, at most."""

_AT_ONCE = 512
"""Labels whose sentences are encoded together."""


class LabelSet:
    """Labels and their vectors in an encoder's space: ``vectors`` (labels, dim), of unit length."""

    def __init__(self, encoder: Encoder, labels: Iterable[str], channel: Channel = Channel.VISUAL) -> None:
        """``channel``: the channel of the segments to classify.

        Raises:
            InputError: there are no labels or too many, one is empty, too long or there twice, or the space accepts no text.
        """
        if Modality.TEXT not in encoder.space.accepts:
            raise InputError(
                f"The space {encoder.space.name} accepts no text, and so knows no labels.",
                remedy="Take a space that accepts text.",
            )
        self.space = encoder.space.name
        self.labels = _checked((f"label {number}", label) for number, label in enumerate(labels, 1))
        parts = [self.labels[at : at + _AT_ONCE] for at in range(0, len(self.labels), _AT_ONCE)]
        self.vectors: Vectors = np.concatenate([_vectors(encoder, part, TEMPLATES[channel]) for part in parts])

    def classify(self, vectors: Vectors) -> NDArray[np.float32]:
        """Probabilities (n, labels) of ``vectors`` (n, dim), which must be of this space and of unit length. Each row sums to 1.

        They say which label fits best, not that it fits: a single label always gets 1.
        """
        logits = SHARPNESS * (vectors @ self.vectors.T)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return cast("NDArray[np.float32]", shares / shares.sum(axis=1, keepdims=True))


def read(file: Path) -> tuple[str, ...]:
    """The labels in a UTF-8 file, one a line. Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        InputError: the file cannot be read, is no text, or holds no vocabulary; says in which line.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(most := 4 * MAX_LABELS * MAX_LABEL_CHARACTERS + 1)
    except OSError as error:
        raise InputError(
            f"The vocabulary {file} cannot be read: {error.strerror}.", remedy="Give the path of a text file."
        ) from error
    if len(content) == most:
        raise InputError(
            f"The vocabulary {file} is too large: more than {most >> 20} MB.", remedy=f"Keep at most {MAX_LABELS} labels."
        )
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"Line {line} of the vocabulary {file} is not UTF-8.", remedy="Save the file as UTF-8, one label a line."
        ) from error
    numbered = ((f"line {number} of {file}", line.strip()) for number, line in enumerate(lines, 1))
    return _checked((where, line) for where, line in numbered if line and not line.startswith("#"))


def _checked(labels: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The labels, stripped. Each comes with its position, for error messages."""
    found: list[str] = []
    places: dict[str, str] = {}
    for where, given in labels:
        label = " ".join(given.split())
        if not label:
            raise InputError(f"The {where} is empty.", remedy="Write a word or two, or leave the label out.")
        if len(label) > MAX_LABEL_CHARACTERS:
            raise InputError(
                f"The {where} has {len(label)} characters: {label[:30]}…",
                remedy=f"A label is a few words, at most {MAX_LABEL_CHARACTERS} characters.",
            )
        if (key := label.casefold()) in places:
            raise InputError(
                f"The {where}, {label!r}, is the {places[key]} again.",
                remedy="Leave one of them out: they would share what fits.",
            )
        if len(found) == MAX_LABELS:
            raise InputError(
                f"A vocabulary holds at most {MAX_LABELS} labels.", remedy="Leave out what the archive does not show."
            )
        places[key] = where
        found.append(label)
    if not found:
        raise InputError("The vocabulary holds no labels.", remedy="Name at least two things to tell apart, one label a line.")
    return tuple(found)


def _vectors(encoder: Encoder, labels: tuple[str, ...], templates: tuple[str, ...]) -> Vectors:
    sentences = [template.format(label) for label in labels for template in templates]
    read = ask(encoder, sentences).reshape(len(labels), len(templates), -1)
    means = read.mean(axis=1)
    return cast("Vectors", means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))
