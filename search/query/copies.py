"""Copies: files that show or sound the same although their bytes differ, and which stretches of films and recordings were used where.

Fingerprints (``search/media/fingerprints.py``) name the candidates. Of pictures the vectors must agree, too; of films and sounds
what is alike must follow in the same order on both timelines (``search/query/alignment.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.index.hamming import near_pairs
from search.media.fingerprints import FLAT, MIRROR, STEP_MS, mirrored
from search.query.alignment import stretches
from search.query.moments import Ranked
from search.query.ranking import QuestionMomentData
from search.query.searcher import Searcher
from search.query.view import View, among
from search.store.fingerprint_rows import FingerprintRow, FingerprintRows
from search.types import KINDS, Channel, Filter, Ids, Kind, Modality, Span

SURE_BITS, PICTURE_BITS = 10, 16
"""Bits of 64 by which the codes of two pictures that are one may differ: up to which that alone tells, and at all. Of 125,000 pairs of
unrelated photographs none differed by less than 13."""

FRAME_BITS = 16
"""Bits by which frames may differ of which others before and after agree."""

LEAST_COSINE, LIKE_COSINE = 0.5, 0.8
"""The least cosine of the vectors of two pictures that are one, where their codes alone tell, and else."""

BLOCK_STEPS, BLOCK_BITS = 8, 88
"""Codes of a sound that are compared together, and the bits, of 32 for each, by which they may differ: of unrelated sounds half do."""

EVERY_MS = 1_000
"""A sound that is looked for is compared at this distance, in milliseconds."""

WHOLE = 0.8
"""The share of two films or sounds that must be alike for them to be copies of each other."""

LEAST_MS = 2_500
"""Shorter stretches say nothing, in milliseconds."""

SAME_FRAMES = 0.5
"""The share of a shot's frames that a better one must show as well for it to be folded."""

_SEEN = [KINDS.index(Kind(modality, Channel.VISUAL)) for modality in (Modality.IMAGE, Modality.VIDEO)]
_STILL = KINDS.index(Kind(Modality.IMAGE, Channel.VISUAL))


@dataclass(frozen=True, slots=True)
class Used:
    """A stretch of one asset that another has as well: where in both, whether it is seen or heard, mirrored, how many samples agree, and
    how closely, 0..1."""

    asset: int
    channel: Channel
    span: Span
    other: Span
    mirrored: bool
    samples: int
    closeness: float


@dataclass(frozen=True, slots=True)
class _Codes:
    """Codes with what they are of: rows ascending by asset and time. ``bytes`` (n, 8 or 32)."""

    segments: Ids
    assets: Ids
    times: NDArray[np.int64]
    bytes: NDArray[np.uint8]

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> _Codes:
        return _Codes(self.segments[rows], self.assets[rows], self.times[rows], self.bytes[rows])


class Copies:
    """The fingerprints of one archive, read when they are first asked for. Threads may ask at the same time."""

    def __init__(self, rows: FingerprintRows) -> None:
        self._rows, self._following = rows, threading.Lock()
        self._known: dict[Channel, tuple[int, int, list[FingerprintRow], _Codes]] = {}

    def shots(self, version: int) -> ShotCodes:
        """The codes of pictures and shots by segment, in a version of the database."""
        return ShotCodes(self._codes(Channel.VISUAL, version))

    def segments(self, version: int) -> Ids:
        """The pictures and shots that have a fingerprint, ascending."""
        return np.unique(self._codes(Channel.VISUAL, version).segments)

    def stills(self, searcher: Searcher, view: View, allowed: Ids, version: int) -> list[tuple[int, int]]:
        """Pairs of assets of which a picture is the same; of segments in ``allowed``, ascending."""
        codes = self._codes(Channel.VISUAL, version)
        rows = np.flatnonzero(among(codes.segments, allowed) & (codes.bytes.any(axis=1)))
        at = np.searchsorted(view.columns.ids, codes.segments[rows])
        rows = rows[view.columns.kinds[at] == _STILL]
        some = codes.only(rows)
        one, other, bits = _pairs(some.bytes, some.bytes, PICTURE_BITS)
        later = some.assets[one] < some.assets[other]
        one, other, bits = one[later], other[later], bits[later]
        if not len(one):
            return []
        ids = np.unique(some.segments)
        vectors = searcher.vectors(view, ids)
        a, b = (vectors[np.searchsorted(ids, some.segments[side])] for side in (one, other))
        same = np.einsum("nd,nd->n", a, b) >= np.where(bits <= SURE_BITS, LEAST_COSINE, LIKE_COSINE)
        return list(zip(some.assets[one[same]].tolist(), some.assets[other[same]].tolist(), strict=True))

    def used(self, asset: int, searcher: Searcher, view: View, allowed: Ids, version: int) -> list[Used]:
        """Stretches of a film or a sound that other assets have as well, in order of time; of segments in ``allowed``, ascending.

        Of what is seen the vectors must agree, too: a still scene may be near to another one by chance, and then all its frames are.
        """
        found: list[Used] = []
        for channel, most in ((Channel.VISUAL, FRAME_BITS), (Channel.SOUND, BLOCK_BITS)):
            codes = self._codes(channel, version)
            mine = codes.only((codes.assets == asset) & among(codes.segments, allowed) & (codes.times >= 0))
            if channel is Channel.SOUND:
                mine = mine.only(np.unique(mine.times // EVERY_MS, return_index=True)[1])
            if not len(mine.segments):
                continue
            theirs = codes.only((codes.assets != asset) & among(codes.segments, allowed) & (codes.times >= 0))
            for one, pairs in _aligned(mine, theirs, channel, most):
                if channel is Channel.SOUND or _agree(searcher, view, pairs) >= LIKE_COSINE:
                    found.append(one)
        return sorted(found, key=lambda one: (one.span.start, one.asset, one.channel))

    def _codes(self, channel: Channel, version: int) -> _Codes:
        """Everything that is stored of a channel, as of a version of the database."""
        with self._following:
            at, count, rows, codes = self._known.get(channel, (-1, 0, [], _NO_CODES[channel]))
            if at == version:
                return codes
            total, new = self._rows.after(channel, rows[-1].segment if rows else 0)
            if total != count + len(new):  # some are gone
                held = set(self._rows.held(channel).tolist())
                rows, changed = [one for one in rows if one.segment in held], True
            else:
                changed = bool(new)
            rows = [*rows, *new]
            codes = _stacked(rows, channel) if changed else codes
            self._known[channel] = version, len(rows), rows, codes
            return codes


class ShotCodes:
    """The codes of pictures and shots by segment."""

    def __init__(self, codes: _Codes) -> None:
        order = np.argsort(codes.segments, kind="stable")
        self._segments, self._codes = codes.segments[order], codes.bytes[order]

    def of(self, segment: int) -> NDArray[np.uint64]:
        """The codes (n,) of a segment, without those of flat frames."""
        here = slice(int(np.searchsorted(self._segments, segment)), int(np.searchsorted(self._segments, segment, "right")))
        codes = self._codes[here].view(np.uint64).ravel()
        return np.asarray(codes[codes != FLAT], np.uint64)


class Folds:
    """Folds pictures and shots of one answer behind better ones of other files that show the same."""

    def __init__(self, shots: ShotCodes, around: QuestionMomentData) -> None:
        self._shots, self._around = shots, around
        self._kept: list[tuple[int, int, NDArray[np.uint64]]] = []
        self.others: dict[int, tuple[int, ...]] = {}
        """Of a segment that stays, those that are folded behind it, best first."""

    def folded(self, level: Ranked) -> Ranked:
        """A level of segments, best first, without those that are folded."""
        stays = np.ones(len(level.ids), np.bool_)
        for at, (id_, asset) in enumerate(zip(level.ids.tolist(), self._around.rows(level.ids).assets.tolist(), strict=True)):
            codes = self._shots.of(id_)
            if not len(codes):
                continue
            better = next((one for one, of, theirs in self._kept if of != asset and _same(codes, theirs)), None)
            if better is None:
                self._kept.append((id_, asset, codes))
            else:
                stays[at] = False
                self.others[better] = (*self.others.get(better, ()), id_)
        return level.only(stays)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of assets that are copies of each other, the largest first; in each the one to keep first: most pixels, then most bytes. An
    asset alone has several files. ``without``: pictures and shots without a fingerprint, since they were indexed before there were any."""

    groups: tuple[tuple[int, ...], ...]
    without: int


def allowed(searcher: Searcher, view: View, wanted: Filter) -> Ids:
    """The segments that pass a filter, ascending."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *searcher.targets(view, wanted, ()).values()]))


def duplicates(
    copies: Copies, searcher: Searcher, view: View, wanted: Filter, version: int, same: Sequence[int] = ()
) -> Duplicates:  # fmt: skip
    """The copies among the files that pass a filter; ``same`` are assets with several files."""
    ids = allowed(searcher, view, wanted)
    rows = view.columns.only(np.searchsorted(view.columns.ids, ids))
    pairs = [(one, one) for one in np.intersect1d(same, rows.assets).tolist()] + copies.stills(searcher, view, ids, version)
    lengths = dict(zip(rows.assets.tolist(), rows.durations.tolist(), strict=True))
    for asset in np.unique(rows.assets[rows.durations > 0]).tolist():
        pairs += [(asset, other) for other in whole(copies.used(asset, searcher, view, ids, version), lengths[asset], lengths)]
    pixels = rows.widths.astype(np.int64) * rows.heights
    sizes = dict(zip(rows.assets.tolist(), zip(pixels.tolist(), rows.sizes.tolist(), strict=True), strict=True))
    found = tuple(tuple(sorted(some, key=lambda one: (-sizes[one][0], -sizes[one][1], one))) for some in groups(pairs))
    seen = ids[np.isin(rows.kinds, _SEEN)]
    return Duplicates(found, int(np.count_nonzero(~among(seen, copies.segments(version)))))


def _same(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> bool:
    """Whether most frames of a shot are among those of another."""
    bits = np.minimum(
        np.bitwise_count(some[:, None] ^ others), np.bitwise_count(mirrored(some)[:, None] ^ others)
    ).min(axis=1)  # fmt: skip
    return float((bits <= SURE_BITS).mean()) >= SAME_FRAMES


def groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What hangs together by pairs, each group ascending, the largest first."""
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        return one

    for one, other in pairs:
        parent[root(one)] = root(other)
    found: dict[int, list[int]] = {}
    for one in sorted(parent):
        found.setdefault(root(one), []).append(one)
    return sorted(found.values(), key=lambda some: (-len(some), some))


def whole(used: Sequence[Used], length_ms: int, lengths_ms: dict[int, int]) -> list[int]:
    """The assets of which a film or sound of ``length_ms`` is a copy: what both have covers most of either."""
    found: list[int] = []
    for asset in sorted({one.asset for one in used}):
        for channel in (Channel.VISUAL, Channel.SOUND):
            some = [one for one in used if (one.asset, one.channel) == (asset, channel)]
            mine = sum(one.span.end - one.span.start for one in some)
            theirs = sum(one.other.end - one.other.start for one in some)
            if some and mine >= WHOLE * length_ms and theirs >= WHOLE * lengths_ms.get(asset, 0):
                found.append(asset)
                break
    return found


def _agree(searcher: Searcher, view: View, pairs: NDArray[np.int64]) -> float:
    """The mean cosine of pairs of segments (n, 2)."""
    ids, back = np.unique(pairs, return_inverse=True)
    vectors = searcher.vectors(view, ids)[back.reshape(pairs.shape)]
    return float(np.einsum("nd,nd->n", vectors[:, 0], vectors[:, 1]).mean())


def _aligned(mine: _Codes, theirs: _Codes, channel: Channel, most: int) -> Iterator[tuple[Used, NDArray[np.int64]]]:
    """The stretches of one asset that others have as well, each with its pairs of segments (n, 2)."""
    sides = [(False, mine.bytes)]
    if channel is Channel.VISUAL:
        sides.append((True, np.ascontiguousarray(mirrored(mine.bytes.view(np.uint64).ravel())).view(np.uint8).reshape(-1, 8)))
    told: dict[int, list[tuple[Used, NDArray[np.int64]]]] = {}
    samples = np.unique(mine.times)
    lasts = 1_000 if channel is Channel.VISUAL else BLOCK_STEPS * STEP_MS
    for is_mirrored, codes in sides:
        shown = np.flatnonzero(codes.any(axis=1))
        one, other, bits = near_pairs(codes[shown], theirs.bytes, most)
        one, closeness = shown[one], 1 - bits / (most + 1)
        for asset in np.unique(theirs.assets[other]).tolist():
            here = np.flatnonzero(theirs.assets[other] == asset)
            for stretch in stretches(mine.times[one[here]], theirs.times[other[here]], closeness[here], samples):
                at = here[list(stretch.chain)]
                use = Used(
                    asset, channel, Span(stretch.start, stretch.end + lasts), Span(stretch.other_start, stretch.other_end + lasts),
                    is_mirrored, len(at), stretch.closeness,
                )  # fmt: skip
                told.setdefault(asset, []).append((use, np.stack([mine.segments[one[at]], theirs.segments[other[at]]], axis=1)))
    for some in told.values():
        yield from _disjoint(one for one in some if one[0].span.end - one[0].span.start >= LEAST_MS)


def _disjoint(some: Iterable[tuple[Used, NDArray[np.int64]]]) -> Iterator[tuple[Used, NDArray[np.int64]]]:
    """The stretches that tell most, without those that lie in them: a picture may be near to its own mirror image."""
    taken: list[Span] = []
    for one, pairs in sorted(some, key=lambda one: -one[0].samples * one[0].closeness):
        if all(one.span.end <= span.start or one.span.start >= span.end for span in taken):
            taken.append(one.span)
            yield one, pairs


def _pairs(
    some: NDArray[np.uint8], others: NDArray[np.uint8], most: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of pictures whose codes are near, as they are or mirrored."""
    turned = np.ascontiguousarray(some.view(np.uint64).ravel() ^ MIRROR).view(np.uint8).reshape(-1, 8)
    straight, other = near_pairs(some, others, most), near_pairs(turned, others, most)
    return tuple(np.concatenate(column) for column in zip(straight, other, strict=True))  # type: ignore[return-value]


def _stacked(rows: Sequence[FingerprintRow], channel: Channel) -> _Codes:
    """The codes of segments, by asset and time. Pictures have the time -1."""
    segments, assets, times, codes = [], [], [], [_NO_CODES[channel].bytes]
    for row in rows:
        some = row.fingerprint.codes
        if channel is Channel.SOUND:
            blocks = _blocks(some.astype("<u4"))
            at = row.start_ms + np.arange(len(blocks)) * STEP_MS
        else:
            blocks = np.ascontiguousarray(some.astype("<u8")).view(np.uint8).reshape(-1, 8)
            at = np.full(len(blocks), -1) if row.fingerprint.times is None else np.array(row.fingerprint.times, np.int64)
        segments.append(np.full(len(blocks), row.segment))
        assets.append(np.full(len(blocks), row.asset))
        times.append(at.astype(np.int64))
        codes.append(blocks)
    of, whose, when = (np.concatenate([_NONE, *some]).astype(np.int64) for some in (segments, assets, times))
    found = _Codes(of, whose, when, np.concatenate(codes))
    return found.only(np.lexsort((found.times, found.assets)))


def _blocks(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Each code with those that follow it (n, bytes); 0 where more than half of them are silent."""
    count = len(codes) - BLOCK_STEPS + 1
    if count <= 0:
        return np.empty((0, 4 * BLOCK_STEPS), np.uint8)
    blocks = np.lib.stride_tricks.sliding_window_view(codes, BLOCK_STEPS).copy()
    blocks[(blocks == 0).sum(axis=1) > BLOCK_STEPS // 2] = 0
    return blocks.view(np.uint8).reshape(count, 4 * BLOCK_STEPS)


_NONE = np.empty(0, np.int64)
_NO_CODES = {
    channel: _Codes(_NONE, _NONE, _NONE, np.empty((0, width), np.uint8))
    for channel, width in ((Channel.VISUAL, 8), (Channel.SOUND, 4 * BLOCK_STEPS))
}
