"""Turn terms into query vectors. Files are decoded like those of the archive, and each term is encoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.encoders import Content, Encoder, ask
from search.errors import MediaError, QueryError
from search.media import DecodePool
from search.query.algebra import Query, Term, parts
from search.query.spread import MAX_ASKED_CUTS, MAX_ASKED_MS, Spread
from search.settings import Settings
from search.types import Channel, Cut, Info, Kind, Modality

Vector: TypeAlias = NDArray[np.float32]
Aspects: TypeAlias = dict[Channel, Vector]
"""A term's unit vectors (dim,). ``VISUAL`` is always there and stands for the whole; ``SOUND`` only where a video has sound:
then sounds are asked for by its sound, and everything else by its pictures."""


MAX_CACHED_TERMS = 1_024
"""Query vectors that are kept."""


class Terms:
    """Encodes the terms of queries and caches the vectors. Thread-safe."""

    def __init__(self, encoder: Encoder, settings: Settings) -> None:
        self._encoder, self._settings = encoder, settings
        self._pool: DecodePool | None = None
        self._memory: OrderedDict[object, tuple[Aspects, str]] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, term: Term) -> Aspects:
        """The vectors of a term.

        Raises:
            QueryError: a file that cannot be read, or is of another modality than stated; a modality that the space does not know.
        """
        space = self._encoder.space
        known_here = {Modality.TEXT} & space.accepts | {kind.modality for kind in space.kinds() if not kind.read}
        if term.modality not in known_here:
            raise QueryError(
                f"The space {space.name!r} knows no {term.modality}, only {', '.join(sorted(known_here))}.",
                remedy="Ask with one of these, or in another space (--space NAME; `sensorium spaces` lists them).",
            )
        key = _identity(term)
        with self._lock:
            known = self._memory.get(key)
        if known is None:
            known = (self._encode_text(term.content), "") if isinstance(term.content, str) else self._encode_file(term)
        with self._lock:
            self._memory[key] = known
            self._memory.move_to_end(key)
            while len(self._memory) > MAX_CACHED_TERMS:
                self._memory.popitem(last=False)
        return known[0]

    def told(self, term: Term) -> str:
        """What was left out of a term when it was encoded; empty if nothing was."""
        with self._lock:
            return self._memory.get(_identity(term), ({}, ""))[1]

    def prepare(self, queries: list[Query]) -> None:
        """Encode the text terms of many queries in batches, for evaluation: some encoders are faster that way."""
        terms = {term.content: term for query in queries for _, term in parts(query) if isinstance(term, Term)}
        texts = [text for text in terms if isinstance(text, str) and len(text) <= self._encoder.needs.characters]
        if Modality.TEXT not in self._encoder.space.accepts:
            return
        vectors = ask(self._encoder, texts)
        with self._lock:
            for text, vector in zip(texts, vectors, strict=True):
                self._memory[_identity(terms[text])] = {Channel.VISUAL: vector}, ""

    def close(self) -> None:
        """Stop the decoding process, if one was started."""
        if self._pool:
            self._pool.close()

    def _encode_text(self, text: str) -> Aspects:
        size = self._encoder.needs.characters
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        return {Channel.VISUAL: unit(ask(self._encoder, pieces).mean(axis=0))}

    def _encode_file(self, term: Term) -> tuple[Aspects, str]:
        """A file's vectors, and what was left out of it. A vector is the mean over the file's cuts, which are encoded in batches
        as they are decoded."""
        name, stated = term.name or str(term.content), term.modality
        with self._lock:
            self._pool = self._pool or DecodePool(self._settings, 1)
        sums, spread, length = _Sums(self._encoder), None, 0
        try:
            with closing(self._pool.decode(Path(term.content), replace(self._encoder.needs, crop=term.box))) as replies:
                for item in replies:
                    if isinstance(item, Info) and item.modality is not stated:
                        raise QueryError(
                            f"{name} is not {_a(stated)} but {_a(item.modality)}.",
                            remedy=f"State what it is: {item.modality}, on the command line with --{item.modality}.",
                        )
                    if isinstance(item, Info):
                        spread, length = Spread(item), item.duration_ms or 0
                    behind = (
                        stated is Modality.IMAGE and isinstance(item, Cut) and item.source is not None
                    )  # a film behind a still
                    if isinstance(item, Cut) and item.modality in self._encoder.space.accepts and not behind:
                        sums.add(spread.take(item) if spread else item)
        except MediaError as error:
            raise QueryError(f"The query file {name} cannot be used: {error}", remedy=error.remedy) from error
        aspects = sums.aspects()
        if not aspects:
            raise QueryError(f"The query file {name} holds nothing to search with.", remedy="Choose another file.")
        return aspects, "" if spread is None or spread.whole else _partly(name, length)

    def __enter__(self) -> Terms:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


class _Sums:
    """Adds up the vectors of cuts by channel. Of each kind it holds at most one batch of contents."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._waiting: dict[tuple[Channel, Modality], list[Content]] = {}
        self._sums: dict[Channel, NDArray[np.float64]] = {}

    def add(self, cut: Cut | None) -> None:
        """Take a cut."""
        if cut is not None:
            self._sums.setdefault(cut.channel, np.zeros(self._encoder.space.dim))  # channels in the order in which they came
            waiting = self._waiting.setdefault((cut.channel, cut.modality), [])
            waiting.append(cut.content)
            if len(waiting) >= self._encoder.needs.batch:
                self._encode(cut.channel, cut.modality)

    def aspects(self) -> Aspects:
        """The vectors by channel. If there is any, ``VISUAL`` is among them."""
        for channel, modality in self._waiting:
            self._encode(channel, modality)
        aspects = {channel: unit(total.astype(np.float32)) for channel, total in self._sums.items()}
        if aspects:
            aspects.setdefault(Channel.VISUAL, next(iter(aspects.values())))
        return aspects

    def _encode(self, channel: Channel, modality: Modality) -> None:
        if contents := self._waiting[channel, modality]:
            self._sums[channel] += self._encoder.encode(modality, contents).sum(axis=0, dtype=np.float64)
            contents.clear()


def _partly(name: str, length_ms: int) -> str:
    minutes, seconds = divmod(length_ms // 1000, 60)
    long = f" is {minutes}:{seconds:02} long and" if length_ms > MAX_ASKED_MS else " is long and"
    return f"{name}{long} was asked by a part of it, about a minute or {MAX_ASKED_CUTS} passages that are spread evenly."


def unit(vector: Vector) -> Vector:
    """The vector (dim,) at unit length.

    Raises:
        QueryError: the vector has no length, because terms cancel out.
    """
    length = float(np.linalg.norm(vector))
    if length < 1e-3:
        raise QueryError("The terms cancel each other out.", remedy="Change a weight, or take a term away.")
    return np.asarray(vector / length, np.float32)


def vector_for(asked: Aspects, kind: Kind) -> Vector:
    """The vector (dim,) that segments of a kind are compared with."""
    return asked.get(kind.channel, asked[Channel.VISUAL])


def _identity(term: Term) -> object:
    """The cache key of a term. A file with another size or time has another key."""
    if isinstance(term.content, str):
        return term.modality, term.content
    try:
        stat = term.content.stat()
    except OSError as error:
        raise QueryError(
            f"The query file {term.name or term.content} cannot be read: {error.strerror}.",
            remedy="Check the path and its permissions.",
        ) from error
    return term.modality, term.content.absolute(), stat.st_size, stat.st_mtime_ns, term.box


def _a(modality: Modality) -> str:
    return {
        Modality.IMAGE: "an image", Modality.AUDIO: "a sound", Modality.VIDEO: "a video", Modality.TEXT: "a text",
        Modality.DEPTH: "a depth map", Modality.THERMAL: "a thermal image", Modality.IMU: "a series of motion",
    }[modality]  # fmt: skip
