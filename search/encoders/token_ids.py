"""Texts as token ids: split into pieces that a text tower accepts, by its own tokenizer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.encoders.weights import TOKENIZER, broken
from search.types import Ids, Vectors

_SPARE = 0.9
"""The least share of a tower's vocabulary that its tokenizer must have: published towers have up to a twentieth of spare rows."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Texts in pieces: ``ids`` (pieces, context) padded at the end, ``owners`` (pieces,) the text of each, ``lengths`` (pieces,)
    in tokens."""

    ids: Ids
    owners: Ids
    lengths: Ids

    def mean(self, vectors: Vectors, texts: int) -> Vectors:
        """Vectors (texts, dim) of whole texts, not yet of unit length, from unit ``vectors`` (pieces, dim).

        Pieces are weighted by length. Otherwise the few last words would weigh as much as everything before them.
        """
        sums = np.zeros((texts, vectors.shape[1]), np.float32)
        np.add.at(sums, self.owners, vectors * self.lengths[:, None])
        return sums


class Tokenizer(Protocol):
    """Splits texts. Threads may call ``pieces`` at the same time. ``special``: ids of tokens that stand for no part of a text."""

    special: frozenset[int]
    size: int

    def pieces(self, texts: Sequence[str]) -> Pieces:
        """``texts`` in pieces, in order."""
        ...


class BytePairs:
    """CLIP's own byte pairs, which are part of open_clip: (start, tokens, end, zeros) for each piece."""

    def __init__(self, context: int, clean: str = "lower") -> None:
        """``context``: tokens in a piece; ``clean``: open_clip's name for the way to clean a text first."""
        from open_clip import SimpleTokenizer

        self._tokenizer, self._context = SimpleTokenizer(context_length=context, clean=clean), context
        self.special, self.size = frozenset(self._tokenizer.all_special_ids), self._tokenizer.vocab_size

    def pieces(self, texts: Sequence[str]) -> Pieces:
        """``texts`` in pieces, in order."""
        room, start, end = self._context - 2, self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        rows, owners = [], []
        for owner, text in enumerate(texts):
            tokens = self._tokenizer.encode(speakable(text))
            for at in range(0, max(len(tokens), 1), room):
                rows.append([start, *tokens[at : at + room], end])
                owners.append(owner)
        ids = np.zeros((len(rows), self._context), np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
        return Pieces(ids, np.array(owners, np.int64), np.array([len(row) for row in rows], np.int64))


class HubTokenizer:
    """A tokenizer from the files of a hub model."""

    def __init__(self, folder: Path, context: int, clean: Callable[[str], str] = str, *, strip_separator: bool = False) -> None:
        """``clean`` is applied to a text first. ``strip_separator`` replaces the token that ends a text by padding.

        Raises:
            ModelMissing: the files are not there, or cannot be used.
        """
        from transformers import AutoTokenizer

        if not any((folder / name).exists() for name in TOKENIZER):
            raise broken(
                f"{folder / 'tokenizer.json'} is not there, nor any other tokenizer: the texts of this model cannot be read."
            )
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.size = len(self._tokenizer)
        except Exception as error:
            raise broken(f"{folder / 'tokenizer.json'} cannot be used: {error}.") from error
        if not self._tokenizer.is_fast or self._tokenizer.pad_token_id is None:
            raise broken(f"{folder / 'tokenizer.json'} is no whole tokenizer: it cannot cut or pad texts.")
        self.special = frozenset(self._tokenizer.all_special_ids)
        self.padding = int(self._tokenizer.pad_token_id)
        self._context, self._clean, self._strip_separator = context, clean, strip_separator
        self._turn = threading.Lock()

    def pieces(self, texts: Sequence[str]) -> Pieces:
        """``texts`` in pieces, in order."""
        cleaned = [self._clean(speakable(text)) for text in texts]
        with self._turn:  # the tokenizer stores padding and truncation as state
            found = self._tokenizer(
                cleaned, max_length=self._context, padding="max_length", truncation=True, return_overflowing_tokens=True
            )
        ids, lengths = np.array(found["input_ids"], np.int64), np.array(found["attention_mask"], np.int64).sum(1)
        if self._strip_separator:
            ids = np.where(ids == self._tokenizer.sep_token_id, 0, ids)
        return Pieces(ids, np.array(found["overflow_to_sample_mapping"], np.int64), lengths)


def check_size(tokenizer: Tokenizer, rows: int, file: Path) -> None:
    """Raise ModelMissing if ``tokenizer`` cannot belong to a tower with ``rows`` tokens; ``file`` is named in the error."""
    if not _SPARE * rows <= tokenizer.size <= rows:
        raise broken(
            f"The tokenizer beside {file} knows {tokenizer.size} tokens, and the model {rows}: it is that of another model."
        )


def by_length(pieces: Pieces, run: Callable[[Ids], NDArray[np.float32]]) -> NDArray[np.float32]:
    """``run`` over the pieces, batching those of similar length, so that there is little padding. Rows are in the order of the
    pieces."""
    order = np.argsort(pieces.lengths, kind="stable")
    found = run(pieces.ids[order])
    return found[np.argsort(order)]


def speakable(text: str) -> str:
    """A text without lone surrogates, which tokenizers do not accept."""
    return text.encode("utf-8", "replace").decode()
