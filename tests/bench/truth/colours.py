"""Charts of colour in films: matrices, ranges, shapes of pixels, turned and mirrored films, bright ones, transparent ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from tests.bench.truth.case import Case, Picture
from tests.bench.truth.drawing import chart, ffmpeg, pipe
from tests.bench.truth.films import VP8, VP9, X264

AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-pix_fmt", "yuv420p")
_LENGTH = 20
"""Frames of a film, ten a second."""
UNIT = 1 << 16
TURNS = {
    "rotated-90": (0, 1, -1, 0), "rotated-180": (-1, 0, 0, -1), "rotated-270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1), "upside-down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0), "transversed": (0, -1, -1, 0),
}  # fmt: skip
"""Display matrices, a b c d as QuickTime writes them."""


def cases() -> Iterator[Case]:
    drawn = Picture(moving=True)
    sd, hd = (640, 480), (1280, 720)
    for name, size, matrix, tags in (
        ("sd-untagged.mp4", sd, "bt601", ()),
        ("sd-bt601.mp4", sd, "bt601", _tags("smpte170m")),
        ("sd-bt709.mp4", sd, "bt709", _tags("bt709")),
        ("hd-untagged.mp4", hd, "bt709", ()),
        ("hd-bt709.mp4", hd, "bt709", _tags("bt709")),
        ("hd-bt601.mp4", hd, "bt601", _tags("smpte170m")),
    ):
        yield Case(name, "colours", partial(_film, size=size, matrix=matrix, arguments=(*X264, *tags)), drawn)
    for name, size, codec in (
        ("hd-untagged.webm", hd, VP9),
        ("hd-untagged-vp8.webm", hd, VP8),
        ("hd-untagged-av1.mp4", hd, AV1),
        ("wide-untagged.mp4", (1280, 544), X264),
    ):
        yield Case(name, "colours", partial(_film, size=size, matrix="bt709", arguments=codec), drawn)
    for name, primaries in (("p3.mp4", "smpte432"), ("bt2020.mp4", "bt2020")):
        tags = ("-color_primaries", primaries, "-color_trc", "bt709", "-colorspace", "bt709")
        yield Case(name, "colours", partial(_film, size=hd, matrix="bt709", rich=0.4, arguments=(*X264, *tags)), drawn)
    yield Case(
        "full-range.mp4",
        "colours",
        partial(_film, size=hd, matrix="bt709", span="pc", arguments=(*X264, *_tags("bt709"), "-color_range", "pc")),
        drawn,
    )
    yield Case(
        "hd-yuv444.mp4",
        "colours",
        partial(_film, size=hd, matrix="bt709", form="yuv444p", arguments=("-c:v", "libx264", *_tags("bt709"))),
        drawn,
    )
    yield Case(
        "hd-10-bit.mp4",
        "colours",
        partial(_film, size=hd, matrix="bt709", form="yuv420p10le", arguments=("-c:v", "libx264", *_tags("bt709"))),
        drawn,
    )
    given = Picture(moving=True, pixels=lambda: chart(*hd))
    yield Case(
        "hd-mjpeg.mov",
        "colours",
        partial(
            _film, size=hd, matrix="bt709", form="yuvj420p", span="pc", arguments=("-c:v", "mjpeg", "-q:v", "2", *_tags("bt709"))
        ),
        given,
    )
    yield Case(
        "hd-prores.mov",
        "colours",
        partial(_film, size=hd, matrix="bt709", form="yuv422p10le", arguments=("-c:v", "prores", *_tags("bt709"))),
        given,
    )
    yield Case(
        "hd-mpeg2.ts",
        "colours",
        partial(_film, size=hd, matrix="bt709", arguments=("-c:v", "mpeg2video", "-q:v", "2", "-g", "5")),
        given,
    )
    for name, transfer in (("pq.mp4", "smpte2084"), ("hlg.mp4", "arib-std-b67")):
        tags = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv")
        how = partial(
            _film,
            size=hd,
            matrix="bt2020",
            form="yuv420p10le",
            rich=0.5,
            arguments=("-c:v", "libvpx-vp9", "-profile:v", "2", *VP9[2:], *tags),
            signal=transfer,
        )
        yield Case(name.replace(".mp4", ".webm"), "HDR", how, drawn)
    for name, size, ratio in (
        ("anamorphic.mp4", (720, 576), "64/45"),
        ("anamorphic.mkv", (720, 576), "64/45"),
        ("narrow.mp4", (720, 480), "8/9"),
        ("hdv.webm", (1440, 1080), "4/3"),
    ):
        codec = VP9 if name.endswith("webm") else X264
        yield Case(
            name,
            "shape",
            partial(
                _film, size=size, matrix="bt601", aspect=ratio, arguments=(*codec, *(() if size[1] > 576 else _tags("smpte170m")))
            ),
            drawn,
        )
    wide = Picture(moving=True, pixels=lambda: chart(1024, 576))
    yield Case(
        "dvd.mpg",
        "shape",
        partial(
            _film, size=(720, 576), matrix="bt601", aspect="64/45", arguments=("-c:v", "mpeg2video", "-q:v", "2", "-r", "25")
        ),
        wide,
    )
    for name, turn in TURNS.items():
        yield Case(f"{name}.mp4", "turned", partial(_turned, matrix=turn), drawn)
    yield Case("transparent.webm", "alpha", _transparent, drawn)


def _tags(name: str) -> Sequence[str]:
    return ("-color_primaries", name, "-color_trc", name, "-colorspace", name)


@cache
def _bright(width: int, height: int, transfer: str) -> np.ndarray:
    """The chart as a camera of HDR would write it, white at 203 nits: (H, W, 3) uint16 in BT.2020."""
    light = (chart(width, height, rich=0.5) / 255.0) ** 2.2
    to_wide = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    light = (light @ to_wide.T).clip(0, 1)
    if transfer == "smpte2084":
        power = (light * 203 / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:  # HLG: white at 75 %
        scene = light * 0.2650
        signal = np.where(
            scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
        )
    return (signal * 65535).round().clip(0, 65535).astype(np.uint16)


def _film(path: Path, scraps: Path, *, size: tuple[int, int], matrix: str, arguments: Sequence[str], span: str = "tv", form: str = "yuv420p", aspect: str = "",
          rich: float = 1.0, signal: str = "") -> None:  # fmt: skip
    graph = f"scale=in_range=pc:out_color_matrix={matrix}:out_range={span}:flags=accurate_rnd+full_chroma_int,format={form}" + (
        f",setsar={aspect}" if aspect else ""
    )
    if signal:
        raw = _bright(*size, signal).astype("<u2").tobytes()
        source = scraps / f"{signal}.raw"
        source.write_bytes(raw)
        ffmpeg(
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb48le",
            "-s",
            f"{size[0]}x{size[1]}",
            "-r",
            "10",
            "-stream_loop",
            _LENGTH - 1,
            "-i",
            source,
            "-vf",
            graph,
            *arguments,
            path,
        )
        return
    arguments = [one for one in arguments if one not in ("-pix_fmt", "yuv420p")]
    pipe(path, (chart(*size, rich=rich) for _ in range(_LENGTH)), size, "10", "-vf", graph, *arguments)


def _turned(path: Path, scraps: Path, *, matrix: tuple[int, int, int, int]) -> None:
    """A film with a display matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    _film(path, scraps, size=(640, 480), matrix="bt601", arguments=X264)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (UNIT * one for one in matrix)
    width, height = 640, 480
    moved = (
        width if -1 in (matrix[0], matrix[2]) and (matrix[0] == -1) else height if matrix[2] == -1 else 0,
        height if matrix[3] == -1 else width if matrix[1] == -1 else 0,
    )
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, moved[0] * UNIT, moved[1] * UNIT, 1 << 30)
    path.write_bytes(data)


def _transparent(path: Path, scraps: Path) -> None:
    """Half of it cannot be seen; there other colours lie hidden."""
    source = scraps / "transparent.raw"
    alpha = np.full((480, 640, 1), 255, np.uint8)
    alpha[:, 320:] = 0
    source.write_bytes(np.concatenate([chart(640, 480), alpha], 2).tobytes())
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "640x480", "-r", "10", "-stream_loop", _LENGTH - 1, "-i", source, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p",
           "-b:v", "2M", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", path)  # fmt: skip
