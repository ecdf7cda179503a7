"""X-CLIP: the similarity of words and shots, compared at every level of detail. A re-ranker for any space whose encoder gives the
parts of its vectors.

Ma et al. 2022, "X-CLIP: End-to-End Multi-grained Contrastive Learning for Video-Text Retrieval" (arXiv 2207.07285). This is not
the model of that name in transformers (Ni et al. 2022), which recognises actions. Equations are those of the paper. Where the
authors' code (github.com/xuguohai/X-CLIP) says more than the paper, the code is followed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.query import xclip_checkpoint as checkpoint
from search.types import Vectors

TEMPERATURE = 1e-2
"""That of the attention over similarities, as in the authors' code. So small a one comes close to a maximum: what counts is the best
pair of frame and word, hardly how many words found a frame."""

_AT_ONCE = 128
"""Shots compared in one go: what bounds the memory, and stays in a processor's cache."""


@dataclass(frozen=True, slots=True)
class XClip:
    """Compares words with shots. Without ``weights`` it has no parameters: every trained matrix is the identity.

    ``weights`` are keyed by their names in the authors' checkpoints. Matrices over frames and words have a fixed size (12 and 32,
    or 64 and 64). Longer shots are sampled evenly; longer texts are cut before their last row, as in training. For shorter ones
    the leading part of a matrix is used, so that missing frames and words take no part. In training they did, as black frames and
    empty tokens.
    """

    weights: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    temperature: float = TEMPERATURE

    @classmethod
    def load(cls, path: Path) -> XClip:
        """The weights of a safetensors file with the authors' names: their matrices, the temporal transformer if there is one
        (``sim_header`` seqTransf, else meanP), and the scale of the logits.

        The towers of CLIP, which were trained along with them, are in such a file too, and are the encoder's to load.

        Raises:
            ModelMissing: the file is not here, is damaged or a pickle, or lacks something; or safetensors is not installed.
        """
        return cls(checkpoint.read(path))

    def similarities(self, words: Vectors, shots: Sequence[Vectors]) -> NDArray[np.float32]:
        """The similarity of a text and each shot (n,): the mean of four comparisons (Eq. 14), between -1 and 1 without weights.

        ``words`` (words, dim) are a text's tokens in order, the last row for the text as a whole. A shot is (frames, dim). Rows
        are brought to unit length here. With a temporal transformer, pass the frames as the tower projects them: it was trained
        on these, and at unit length they weigh too little compared with its positions.

        Raises:
            ValueError: no rows, or rows of another width, not finite or all zero.
        """
        dim = len(self.weights.get("global_mat_weight", words.T))
        words = _unit(self._cut(_rows(words, "the words", dim)))
        frames = [self._sampled(_rows(shot, f"shot {at}", dim)) for at, shot in enumerate(shots)]
        by_length: dict[int, list[int]] = {}
        for at, shot in enumerate(frames):
            by_length.setdefault(len(shot), []).append(at)
        found = np.empty(len(shots), np.float32)
        for alike in by_length.values():
            for start in range(0, len(alike), _AT_ONCE):
                some = alike[start : start + _AT_ONCE]
                found[some] = self._compare(words, np.stack([frames[at] for at in some]))
        return found

    def _compare(self, words: Vectors, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarities (n,) of words (words, dim) with shots of one length (n, frames, dim).

        Video with sentence (n,), video with each word (n, words), sentence with each frame (n, frames), each frame with each word
        (n, frames, words): Eq. 3 to 6, each brought to (n,).
        """
        features = _unit(frames)
        told = _unit(self._temporal(frames)) if checkpoint.POSITIONS in self.weights else features
        videos, sentence = _unit(told.mean(axis=1)), words[-1]  # Eq. 2
        video_sentence = videos @ self._turned("global_mat_weight", sentence)  # Eq. 3
        video_word = self._attend("word_logit_weight", videos @ words.T)  # Eq. 4 and 7
        sentence_frame = self._attend("frame_logit_weight", features @ sentence)  # Eq. 5 and 8
        frame_word = self._attend_twice(_times(features, self._turned("local_mat_weight", words).T))  # Eq. 6
        scale = math.exp(self.weights.get(checkpoint.SCALE, 0.0))
        return np.asarray(scale * (video_sentence + video_word + sentence_frame + frame_word) / 4, np.float32)  # Eq. 14

    def _attend(self, name: str, similarities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Attention over similarities (AOSM): their mean along the last axis, weighted by their own softmax (Eq. 7 and 8)."""
        attention = self._turned(name, _softmax(similarities / self.temperature))
        return np.asarray(np.einsum("...i,...i->...", attention, similarities), np.float32)

    def _attend_twice(self, similarities: NDArray[np.float32]) -> NDArray[np.float32]:
        """AOSM over a matrix (n, frames, words): along frames and then words, words and then frames, and the mean of both (n,)."""
        video = self._attend("frame_mat_weight", np.ascontiguousarray(similarities.transpose(0, 2, 1)))  # Eq. 9: (n, words)
        sentence = self._attend("word_mat_weight", similarities)  # Eq. 10: (n, frames)
        both = self._attend("word_mat_weight2", video) + self._attend("frame_mat_weight2", sentence)  # Eq. 11 and 12
        return both / np.float32(2)  # Eq. 13

    def _turned(self, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows (…, n) times the leading (n, n) of a trained matrix; unchanged if there is no matrix."""
        if name not in self.weights:
            return rows
        size = rows.shape[-1]
        return _times(rows, self.weights[name][:size, :size])

    def _temporal(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames (n, frames, dim) after the temporal transformer (Eq. 1), added to the input."""
        rows = frames + self.weights[checkpoint.POSITIONS][: frames.shape[1]]
        for layer in range(checkpoint.layers(self.weights)):
            prefix = f"{checkpoint.BLOCKS}{layer}."
            rows = _block(rows, {key.removeprefix(prefix): self.weights[key] for key in self.weights if key.startswith(prefix)})
        return rows + frames

    def _sampled(self, frames: Vectors) -> Vectors:
        most = len(self.weights.get("frame_logit_weight", frames))
        return frames if len(frames) <= most else frames[np.linspace(0, len(frames) - 1, most, dtype=int)]

    def _cut(self, words: Vectors) -> Vectors:
        most = len(self.weights.get("word_logit_weight", words))
        return words if len(words) <= most else np.concatenate([words[: most - 1], words[-1:]])


def rerank(order: Sequence[tuple[int, float]], similarities: Mapping[int, float]) -> list[tuple[int, float]]:
    """Reorder candidates (id, score), best first: those with a similarity are sorted by it among themselves.

    They share out their own scores: the most similar gets the highest. Similarities are on a scale of their own that was never
    measured on the archive. Using only their order keeps the scores calibrated, so that they stay comparable with other kinds of
    segments. Candidates of equal similarity keep their order.

    Raises:
        ValueError: a similarity that is not a number.
    """
    if any(math.isnan(similarity) for similarity in similarities.values()):
        raise ValueError("a similarity is not a number")
    places = [place for place, (id_, _) in enumerate(order) if id_ in similarities]
    ids = sorted((order[place][0] for place in places), key=similarities.__getitem__, reverse=True)
    ranked = list(order)
    for place, id_ in zip(places, ids, strict=True):
        ranked[place] = (id_, order[place][1])
    return ranked


def _rows(rows: Vectors, what: str, dim: int) -> Vectors:
    """Check the rows (n, dim), n >= 1; returns them as float32, none of them zero."""
    rows = np.asarray(rows, np.float32)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != dim:
        raise ValueError(f"of shape {rows.shape}: {what}, which should be one or more rows of {dim} numbers")
    lengths = np.einsum("nd,nd->n", rows, rows)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"all zero or not finite: a row of {what}")
    return rows


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (…, dim) at unit length; frames whose mean vanishes have none that is like anything."""
    lengths = np.sqrt(np.einsum("...d,...d->...", rows, rows))[..., None]
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _times(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (…, n) times a matrix (n, m) as one product. numpy would compute one product for each leading index."""
    product: NDArray[np.float32] = (rows.reshape(-1, rows.shape[-1]) @ matrix).reshape(*rows.shape[:-1], matrix.shape[1])
    return product


def _block(rows: NDArray[np.float32], weights: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """One block of the temporal transformer over rows (n, frames, dim), as in CLIP."""

    def linear(rows: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        return _times(rows, weights[f"{name}weight"].T) + weights[f"{name}bias"]

    def norm(rows: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        centred = rows - rows.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return np.asarray(weights[f"{name}.weight"] * (centred / deviation) + weights[f"{name}.bias"], np.float32)

    rows = rows + linear(_attention(linear(norm(rows, "ln_1"), "attn.in_proj_")), "attn.out_proj.")
    hidden = linear(norm(rows, "ln_2"), "mlp.c_fc.")
    hidden *= (1 + np.tanh(0.851 * hidden)) / 2  # x * sigmoid(1.702 x), without overflow
    return rows + linear(hidden, "mlp.c_proj.")


def _attention(projected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Self-attention over the frames (n, frames, dim), from queries, keys and values side by side (n, frames, 3 dim)."""
    count, length, width = projected.shape
    heads = projected.reshape(count, length, 3, width // (3 * checkpoint.HEAD), checkpoint.HEAD).transpose(2, 0, 3, 1, 4)
    queries, keys, values = heads
    seen = _softmax(queries @ keys.swapaxes(-1, -2) / np.float32(math.sqrt(checkpoint.HEAD))) @ values
    return np.asarray(seen.transpose(0, 2, 1, 3).reshape(count, length, width // 3), np.float32)
