"""Mixing channels to mono: inside FFmpeg by their layout. Channels that do not belong together stay separate."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from search.types import Sound

MAX_CHANNELS = 64
"""Channels that FFmpeg can mix."""
MAX_LANES = 8
"""The maximum number of channels of an unknown layout that are kept separate. More are mixed into one."""
_FRONT, _CENTRE, _SURROUND = 0.5, 0.5**0.5, 0.5**1.5
"""Weights of ITU-R BS.775 on the scale on which left and right of stereo are 0.5 each. Low effects, which it leaves out, count as surround: nothing that sounds is lost."""
_CENTRES, _FRONTS = frozenset({"FC"}), frozenset({"FL", "FR", "FLC", "FRC", "DL", "DR", "WL", "WR"})
_CUSTOM = " channels ("
"""Stands in FFmpeg's name of an order of channels that is none of the usual ones, such as ``5.1(side)``; the order follows."""
_SILENT = 1e-3
"""A channel whose level is below this share of the loudest one's is empty."""
_CANCELS = 0.25
"""A mix whose level is below this share of its louder channel's has cancelled out: 12 dB. Unrelated channels lose 3 dB."""
_RELATED = 0.15
"""Two waveforms with at least this correlation are of one scene."""
_REJOINED = 0.5
"""The same for waveforms that were not of one scene before."""
_IN_STEP = 0.3
"""Two loudness curves with at least this correlation are of one scene."""
_LIVELY_DB = 3.0
"""Loudness that varies less than this is steady: two steady sounds that sound alike, such as rain in stereo, are one scene."""
_ALIKE = 0.5
"""Two steady sounds whose spectra overlap by at least this share (0..1) sound alike; a tone and a noise do not."""
_BANDS = 64
"""Bands of equal width in which spectra are compared."""
_PAUSE_DB = 40.0
"""Where both channels are this far below their loudest, nothing sounds."""
_STEP_MS = 50
_SHORTEST_MS = 1000
"""Shorter sound says too little about how its channels are related."""


class Mixer:
    """Resamples the frames of one layout to lanes: float32 (lanes, samples) at ``rate``."""

    def __init__(self, rate: int) -> None:
        """The layout is that of the first frame."""
        self._rate = rate
        self._plain: av.AudioResampler | None = None
        self._graph: Graph | None = None

    def resample(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        """The resampled output for a frame; None: there will be no more.

        Raises:
            ValueError: more than ``MAX_CHANNELS`` channels.
        """
        if self._plain is None and self._graph is None:
            if frame is None:
                return
            if frame.layout.nb_channels <= 2:
                self._plain = av.AudioResampler("fltp", None, self._rate)
            else:
                self._graph = _graph(frame, self._rate)
        if self._plain is not None:
            for part in self._plain.resample(frame):
                yield cast("NDArray[np.float32]", part.to_ndarray())
        elif self._graph is not None:
            self._graph.push(frame)
            while True:
                try:
                    part = cast("av.AudioFrame", self._graph.pull())
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                yield cast("NDArray[np.float32]", part.to_ndarray()).reshape(part.samples, -1).T


def is_custom(frame: av.AudioFrame) -> bool:
    """Whether a frame's channels have a custom order, as in MOV. If so, its layout object is kept for ever.

    PyAV copies such a layout without the map that it points to. Both the frame and the layout would free the map, which crashes
    the process. So the layout object is never freed. The frame must not be put into one of PyAV's queues, which copy it in the
    same way.
    """
    if frame.layout.nb_channels <= 2 or _CUSTOM not in frame.layout.name:
        return False
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(frame.layout))
    return True


def lanes_of(layout: av.AudioLayout) -> list[str]:
    """The expressions of FFmpeg's pan filter for a layout of three channels or more: a sum of channels for each lane."""
    names = [channel.name for channel in layout.channels]
    everything = range(len(names))
    if "AMBI0" in names:
        return [f"c{names.index('AMBI0')}"]
    if set(names) <= {"NONE", "UNK"} or layout.nb_channels == 0:
        single = len(names) if len(names) <= MAX_LANES else MAX_LANES - 1
        rest = [f"{1 / (len(names) - single):.6f}*c{at}" for at in everything[single:]]
        return [f"c{at}" for at in everything[:single]] + (["+".join(rest)] if rest else [])
    weights = ((at, _CENTRE if name in _CENTRES else _FRONT if name in _FRONTS else _SURROUND) for at, name in enumerate(names))
    return ["+".join(f"{weight:.6f}*c{at}" for at, weight in weights)]


def _graph(frame: av.AudioFrame, rate: int) -> Graph:
    count = frame.layout.nb_channels
    if count > MAX_CHANNELS:
        raise ValueError(f"its sound has {count} channels, and at most {MAX_CHANNELS} can be mixed")
    lanes = lanes_of(frame.layout)
    terms = "|".join(f"c{number}={lane}" for number, lane in enumerate(lanes))
    name = frame.layout.name
    if _CUSTOM in name:
        layout = name.partition(_CUSTOM)[2].removesuffix(")")
    else:
        layout = f"{count}C" if name.endswith(" channels") else name.replace(" ", "\\ ")
    told = (
        f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}:channel_layout={layout}:time_base=1/{frame.sample_rate}"
    )
    graph = Graph()
    nodes = [
        graph.add("abuffer", told),
        graph.add("aformat", "sample_fmts=fltp"),  # whole numbers would clip where a mix is louder than its channels
        graph.add("pan", f"{len(lanes)}C|{terms}"),
        graph.add("aresample", str(rate)),
        graph.add("aformat", "sample_fmts=flt"),  # PyAV reads beyond the eighth plane
        graph.add("abuffersink"),
    ]
    for one, following in pairwise(nodes):
        one.link_to(following)
    graph.configure()
    return graph


def scenes(lanes: NDArray[np.float32], rate: int, *, apart: bool = False) -> list[tuple[int | None, Sound]]:
    """The separate sounds in a window (lanes, samples), each mono: the number of its first lane, None if all lanes are one scene.

    Empty lanes are left out; lanes that belong together are mixed. ``apart``: they did not belong together in the window before,
    so the threshold for joining them is higher.
    """
    if len(lanes) == 1:
        return [(None, lanes[0])]
    levels = np.sqrt(np.mean(np.square(lanes, dtype=np.float32), axis=1))
    loud = [at for at in range(len(lanes)) if levels[at] > _SILENT * levels.max()]
    groups: list[list[int]] = []
    for at in loud:
        home = next((group for group in groups if together(lanes[group[0]], lanes[at], rate, apart=apart)), None)
        if home is None:
            groups.append([at])
        else:
            home.append(at)
    if len(groups) < 2:
        return [(None, _mixed(lanes, groups[0], levels) if groups else lanes[0])]
    return [(group[0], _mixed(lanes, group, levels)) for group in groups]


def together(one: Sound, other: Sound, rate: int, *, apart: bool = False) -> bool:
    """Whether two channels are of one scene: similar, inverted, loud and quiet at the same times, or both steady and alike."""
    length = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    if not length or abs(float(one @ other)) >= (_REJOINED if apart else _RELATED) * length:
        return True
    if apart or len(one) * 1000 < _SHORTEST_MS * rate:
        return not apart
    first, second = _course_db(one, rate), _course_db(other, rate)
    sounding = (first > first.max() - _PAUSE_DB) | (second > second.max() - _PAUSE_DB)  # two programmes may pause together too
    first, second = first[sounding], second[sounding]
    widths = float(first.std()), float(second.std())
    if max(widths) < _LIVELY_DB:
        return float(np.sqrt(_spectrum(one) * _spectrum(other)).sum()) >= _ALIKE
    if min(widths) < _LIVELY_DB:
        return False
    return float(np.mean((first - first.mean()) * (second - second.mean()))) >= _IN_STEP * widths[0] * widths[1]


def _course_db(samples: Sound, rate: int) -> NDArray[np.float32]:
    """The level of each step, in dB, at most 50 dB below the loudest."""
    step = rate * _STEP_MS // 1000
    whole = len(samples) - len(samples) % step
    power = np.square(samples[:whole]).reshape(-1, step).mean(1)
    return np.asarray(10 * np.log10(np.maximum(power, power.max() * 1e-5)), np.float32)


def _spectrum(samples: Sound) -> NDArray[np.float32]:
    """The share of the power (``_BANDS``,) in each band. Between two of them the Bhattacharyya coefficient is the overlap."""
    steps = np.abs(np.fft.rfft(samples[: len(samples) // (4 * _BANDS) * 4 * _BANDS].reshape(-1, 4 * _BANDS)))[:, 1:]
    power = np.square(steps).mean(0).reshape(_BANDS, -1).sum(1)
    return np.asarray(power / max(float(power.sum()), 1e-12), np.float32)


def _mixed(lanes: NDArray[np.float32], group: list[int], levels: NDArray[np.float32]) -> Sound:
    """The mean of lanes. If a pair cancels out, half the difference; if more do, the loudest."""
    if len(group) == 1:
        return cast("Sound", lanes[group[0]])
    chosen = lanes[group]
    mean = chosen.mean(0, dtype=np.float32)
    loudest = max(group, key=lambda at: float(levels[at]))
    if float(np.sqrt(np.mean(np.square(mean)))) >= _CANCELS * float(levels[loudest]):
        return cast("Sound", mean)
    return cast("Sound", (chosen[0] - chosen[1]) / 2 if len(group) == 2 else lanes[loudest])
