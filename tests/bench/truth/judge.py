"""What came of each file, held against what is right."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from search.encoders.pocket import PocketEncoder
from search.types import Modality
from tests.bench.truth.archive import Archive, Asset, Part, fetch, picture
from tests.bench.truth.browser import Browser
from tests.bench.truth.case import (
    AUDIBLE_DB,
    DURATION_MS,
    FARTHEST,
    MOST_ERROR,
    RAISED_DB,
    TOLERANCE_MS,
    Case,
    Dated,
    Film,
    Pages,
    Picture,
    Row,
    Sound,
)
from tests.bench.truth.drawing import number
from tests.bench.truth.heard import clearness, level, loudness, onset
from tests.bench.truth.oracle import lasting, measured, sounded

_STEP_S = 0.002
_SETTLE_MS = 400
_DISTORTED_DB = -8.0
"""A tone that is so much softer than all else in its window is not what was recorded, in dB."""
_SHOWN_S = (0.25, 0.75, 1.75, 2.25, 4.75, 6.25)
"""When thumbnails are asked for: the service rounds times down to quarters of a second, at which no frame of 25 a second begins."""


class Judge:
    """Judges files of an archive that is served at ``address``; ``tab`` draws what Chromium shows."""

    def __init__(self, archive: Archive, address: str, tab: Browser) -> None:
        self._archive, self._address, self._tab = archive, address, tab
        self.loudness: dict[str, float] = {}
        """Of files that must not come out soft, in dB."""
        self.twins: dict[str, list[np.ndarray]] = {}
        """The first window (samples,) of each file that is one sound at several levels."""

    def rows(self, case: Case, path: Path) -> Iterator[Row]:
        """All judgements of one file."""
        asset = self._archive.asset(path)
        if asset is None or not asset.id or asset.modality is None:
            why = "; ".join(f"{reason}: {detail}" for reason, detail, *_ in asset.gaps) if asset else "not seen at all"
            yield Row(case.kind, case.name, "indexed", "yes", f"no ({why[:90]})", ok=False)
            return
        yield Row(case.kind, case.name, "indexed", "yes", "yes", ok=True)
        of = {Film: self._film, Picture: self._picture, Pages: self._pages, Sound: self._sound, Dated: self._dated}
        try:
            for what, expected, got, ok in of[type(case.expect)](case, path, asset):  # type: ignore[operator]
                yield Row(case.kind, case.name, what, expected, got, ok)
        except (
            ValueError,
            subprocess.CalledProcessError,
        ) as error:  # Chromium does not play or draw it, or it is not what it should be: the case is wrong
            yield Row(case.kind, case.name, "reference", "a file as described", str(error)[:100], ok=False)

    def levels(self) -> Iterator[Row]:
        """Whether a sound that was recorded 16 dB down comes out at the level that quiet sound is raised to (louder sound stays as it is),
        and whether an encoder hears it like the same sound at its full level."""
        if self.loudness:
            softest = min(self.loudness.values())
            yield Row(
                "level",
                " and ".join(sorted(self.loudness)),
                "level",
                f"at least {RAISED_DB:g} dB",
                f"{softest:.1f} dB",
                softest >= RAISED_DB,
            )

        encoder = PocketEncoder() if self.twins else None
        for name, windows in self.twins.items():
            vectors = encoder.encode(Modality.AUDIO, windows)  # type: ignore[union-attr]
            apart = 1 - float((vectors @ vectors.T).min())
            yield Row("level", name, "twin", f"at most {FARTHEST:g} from its twin", f"{apart:.3f}", apart <= FARTHEST)

    def _film(self, case: Case, path: Path, asset: Asset) -> Iterator[tuple[str, str, str, bool]]:
        film = measured(case.expect, path)  # type: ignore[arg-type]
        if film.played:
            shown = self._tab.show(path, 0.0)
            if shown.end is not None:
                film = replace(film, end=shown.end - shown.start)
            if film.end < film.times[-1]:
                raise ValueError(f"Chromium ends it at {film.end:.2f} s, before its last frame")
            yield self._reference(film, path)
            zero = (asset.first_stamp_ms or 0) / 1000
            yield "clock", f"begins at {shown.start:.2f} s", f"{zero:.2f} s", abs(zero - shown.start) * 1000 <= TOLERANCE_MS
        if not film.still:
            yield _lasting(film.end, asset)
        yield self._moments(film, path, asset)
        yield _embedded(film, asset)
        if not film.still:
            yield self._thumbnails(film, path, asset)
        if film.tone:
            yield onset(sounded(film.tone, path), asset)

    def _reference(self, film: Film, path: Path) -> tuple[str, str, str, bool]:
        """Whether the expectation itself is what Chromium shows."""
        wrong = []
        for at in _looks(film):
            seen = self._seen(film, path, at, at)
            if seen is None or not _near(film, seen, at):
                wrong.append(f"{at}s: {seen} for {film.at(at)}")
        return "reference", "as Chromium shows", ", ".join(wrong) or "the same", not wrong

    def _moments(self, film: Film, path: Path, asset: Asset) -> tuple[str, str, str, bool]:
        """Each scene that lasts half a second begins with a segment, whose beginning shows the scene's first frame."""
        spans = [part for part in asset.of("visual") if part.start is not None]
        wanted = [number for number, stop in _scenes(film) if stop - film.times[number] >= 0.55 and film.times[number] > 0.5]
        got, right = [], 0
        for first in wanted:
            time = film.times[first]
            nearest = min(spans, key=lambda part: abs((part.start or 0) / 1000 - time), default=None)
            if nearest is None or nearest.start is None:
                continue
            at = nearest.start / 1000
            if film.played:  # what Chromium shows there, a frame's rounding aside
                seen = self._seen(film, path, at + _STEP_S, time)
                off = abs(film.times[seen] - time) if seen is not None and seen < len(film.times) else 99.0
            else:
                off = abs(at - time)
            good = off * 1000 <= TOLERANCE_MS + 1
            right += good
            if not good:
                got.append(f"{at:.2f} for {time:.2f}")
        return (
            "moments",
            f"{len(wanted)} within {TOLERANCE_MS} ms",
            f"{right}" + (f": {', '.join(got)[:70]}" if got else ""),
            right == len(wanted),
        )

    def _seen(self, film: Film, path: Path, at: float, wanted: float) -> int | None:
        """The number that Chromium shows at a time; one that is not near ``wanted`` is looked at again when it has settled."""
        seen = number(self._tab.show(path, at).pixels)
        return seen if seen is not None and _near(film, seen, wanted) else number(self._tab.show(path, at, _SETTLE_MS).pixels)

    def _thumbnails(self, film: Film, path: Path, asset: Asset) -> tuple[str, str, str, bool]:
        looks, wrong = _looks(film), []
        for at in looks:
            try:
                seen = number(picture(f"{self._address}/v1/assets/{asset.id}/thumbnail?t={at}&size=640"))
            except OSError as error:
                wrong.append(f"{at}s: {error}")
                continue
            if seen is None or not _near(film, seen, at):
                wrong.append(f"{at}s: {seen} for {film.at(at)}")
        return (
            "thumbnails",
            f"{len(looks)} show the frame at t",
            f"{len(looks) - len(wrong)}" + (f": {', '.join(wrong)[:80]}" if wrong else ""),
            not wrong,
        )

    def _picture(self, case: Case, path: Path, asset: Asset) -> Iterator[tuple[str, str, str, bool]]:
        wanted: Picture = case.expect  # type: ignore[assignment]
        if wanted.pixels is not None:
            right = np.asarray(wanted.pixels() if callable(wanted.pixels) else wanted.pixels)
        else:
            right = self._tab.show(path, 1.0).pixels if wanted.moving else self._tab.draw(path)
        content = next((part.content for part in asset.of("visual") if part.content is not None), None)
        if content is None:
            yield "embedded", "a picture", "none", False
        else:
            got = content[len(content) // 2] if wanted.moving else content[0] if content.ndim == 4 else content
            yield _likeness("embedded", right, got)
        try:
            thumb = picture(f"{self._address}/v1/assets/{asset.id}/thumbnail?size=320" + ("&t=1" if wanted.moving else ""))
        except OSError as error:
            yield "thumbnail", "a picture", str(error), False
            return
        yield _likeness("thumbnail", right, thumb)
        shape, drawn = right.shape[1] / right.shape[0], thumb.shape[1] / thumb.shape[0]
        yield "aspect", f"{shape:.3f}", f"{drawn:.3f}", abs(drawn / shape - 1) <= 0.02

    def _pages(self, case: Case, path: Path, asset: Asset) -> Iterator[tuple[str, str, str, bool]]:
        pages: Pages = case.expect  # type: ignore[assignment]
        seen = set(_numbers(asset)) & set(range(1, pages.count + 1))
        told = bool(asset.gaps)
        what = f"{len(seen)} embedded" + (f", told: {asset.gaps[0][1][:60]}" if told else "")
        yield "pages", f"{pages.count}, or a gap told", what, len(seen) == pages.count or told
        extra = [n for n in _numbers(asset) if n is not None and n > pages.count]
        if extra:
            yield "pages", "none that is hidden", f"{extra}", False

    def _sound(self, case: Case, path: Path, asset: Asset) -> Iterator[tuple[str, str, str, bool]]:
        sound: Sound = case.expect  # type: ignore[assignment]
        if sound.seconds is not None:
            yield _lasting(lasting(sound.seconds, path), asset)
        if sound.level:
            self.loudness[case.name] = loudness(asset.of("sound"))
        if sound.twin:
            first = next(part.content for part in asset.of("sound") if part.content is not None)
            self.twins.setdefault(sound.twin, []).append(first.reshape(-1))
            return
        levels = {tone.name: level(tone, asset.of("sound")) for tone in sound.tones}
        loudest = max(levels.values(), default=-120.0)
        told = " ".join(f"{reason} {detail}" for reason, detail, *_ in asset.gaps)
        lost = []
        for name, loud in levels.items():
            if (loud < loudest + AUDIBLE_DB or loud < -45) and not (name == "LFE" and "LFE" in told):
                lost.append(f"{name} {loud - loudest:.0f} dB" if loud > -100 else f"{name} gone")
        lost += [
            f"{tone.name} distorted"
            for tone in sound.tones
            if not (sound.clear or lost) and clearness(tone, asset.of("sound")) < _DISTORTED_DB
        ]
        if sound.clear:
            best = max(clearness(tone, asset.of("sound")) for tone in sound.tones)
            yield "clear", "tone 10 dB over noise", f"{best:.0f} dB", best >= 10
        yield (
            "heard",
            f"{len(levels)} of {len(levels)}",
            f"{len(levels) - len(lost)}" + (f": {', '.join(lost)[:80]}" if lost else ""),
            not lost,
        )

    def _dated(self, case: Case, path: Path, asset: Asset) -> Iterator[tuple[str, str, str, bool]]:
        import json

        day: Dated = case.expect  # type: ignore[assignment]
        got = str(json.loads(fetch(f"{self._address}/v1/assets/{asset.id}")).get("day"))
        yield "day", day.day, got, got.startswith(day.day)


def _looks(film: Film) -> list[float]:
    """Times of thumbnails, away from the edges of frames that last long."""
    return [at for at in (*_SHOWN_S, 30.25, 60.25) if at < film.end - 0.3 and at > film.times[film.first] + 0.1]


def _near(film: Film, seen: int, at: float) -> bool:
    """Whether a frame is on screen within the tolerance of a time."""
    if not 0 <= seen < len(film.times):
        return False
    until = film.times[seen + 1] if seen + 1 < len(film.times) else film.end
    return film.times[seen] - TOLERANCE_MS / 1000 <= at + 1e-6 and at <= until + TOLERANCE_MS / 1000


def _scenes(film: Film) -> list[tuple[int, float]]:
    """(first number, when the scene ends) of each scene."""
    stops = [film.times[number] for number in film.scenes[1:]] + [film.end]
    return list(zip(film.scenes, stops, strict=True))


def _numbers(asset: Asset) -> list[int | None]:
    """The numbers that the embedded pictures tell."""
    pictures = [part.content for part in asset.of("visual") if part.content is not None]
    return [number(one) for content in pictures for one in (content if content.ndim == 4 else [content])]


def _embedded(film: Film, asset: Asset) -> tuple[str, str, str, bool]:
    """Every scene is embedded, and no picture stands in a span in which it is not shown."""
    wrong, seen = [], set[int]()
    for part in asset.of("visual"):
        if part.content is None or part.start is None or part.end is None:
            continue
        for one in part.content if part.content.ndim == 4 else [part.content]:
            told = number(one)
            if told is None:
                wrong.append("one unreadable")
            elif told in film.also or (film.also and told >= min(film.also)):
                seen.add(told)
            elif told >= len(film.times) or not _shown(film, told, part):
                wrong.append(f"{told} in {part.start}-{part.end}")
            else:
                seen.add(told)
    scenes = _scenes(film)
    missing = [
        number for at, (number, stop) in enumerate(scenes)
        if stop - film.times[number] >= 0.55 and not any(number <= one < (scenes[at + 1][0] if at + 1 < len(scenes) else len(film.times)) for one in seen)
    ]  # fmt: skip
    lost = f"{len(missing)} scenes missing " if missing else ""
    if (
        film.also
        and not any(one >= min(film.also) for one in seen)
        and not any("track" in detail for _, detail, *_ in asset.gaps)
    ):
        lost += "second picture track neither seen nor told"
    return "frames", f"{len(scenes)} scenes, each in its span", (lost + ", ".join(wrong[:3]) or "so"), not (lost or wrong)


def _shown(film: Film, told: int, part: Part) -> bool:
    until = film.times[told + 1] if told + 1 < len(film.times) else film.end
    slack = TOLERANCE_MS / 1000
    return film.times[told] <= (part.end or 0) / 1000 + slack and until >= (part.start or 0) / 1000 - slack


def _lasting(seconds: float, asset: Asset) -> tuple[str, str, str, bool]:
    got = asset.duration_ms
    return (
        "duration",
        f"{seconds:.2f} s",
        f"{got / 1000:.2f} s" if got is not None else "none",
        got is not None and abs(got - seconds * 1000) <= DURATION_MS,
    )


def _likeness(what: str, right: np.ndarray, got: np.ndarray) -> tuple[str, str, str, bool]:
    height, width = got.shape[:2]
    there = np.asarray(Image.fromarray(right).resize((width, height), Image.Resampling.BOX), np.float32)
    error = float(np.abs(there - got.astype(np.float32)).mean())
    return what, f"error at most {MOST_ERROR:g}", f"{error:.1f}", error <= MOST_ERROR
