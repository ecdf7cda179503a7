"""Films whose frames tell their numbers: containers, rates, clocks and tracks."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from tests.bench.truth.case import Case, Film
from tests.bench.truth.drawing import drawn, ffmpeg, frames, master, pipe, still

COUNT, FPS = 300, 25
SCENES = (0, 50, 110, 185, 250)
TONE = (4.4, 7.4)
"""Between these seconds a tone of 1 kHz is heard, over a soft one of 200 Hz."""
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "1")
VP8 = ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8")
VP9 = ("-c:v", "libvpx-vp9", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8")
AAC, OPUS = ("-c:a", "aac"), ("-c:a", "libopus")
FIELDS, FIELD_SCENES = 200, (0, 60, 130)
"""How many fields an interlaced film has, fifty a second, and with which its scenes begin."""
SLIDES = (8, 0.9, 15, 2, 0.6, 25, 1.5, 30, 0.7, 3, 12, 5)
"""How long each slide of a talk is shown, in seconds."""


def cases() -> Iterator[Case]:
    plain = _film()
    part = _film(first=150)
    for name, arguments, played in CONTAINERS:
        yield Case(
            name,
            "container",
            partial(_encode, arguments=arguments),
            replace(_film(played=played, tone="-an" not in arguments), stamps="made" if name in STAMPLESS else "file"),
        )
    for name, arguments, played in OFFSETS:
        yield Case(name, "offset", partial(_encode, arguments=(*arguments, "-output_ts_offset", "3600")), _film(played=played))
    yield Case("split-2.mkv", "part", _split, part)
    yield Case("split-2.ts", "part", partial(_hls, kind="mpegts"), _film(first=150, played=False))
    yield Case("part-2.mp4", "part", partial(_hls, kind="fmp4"), part)
    yield Case("live.webm", "part", _live, plain)
    yield Case("edit-list.mp4", "edit list", _cut, _film(first=75))
    yield Case("late-picture.mp4", "edit list", _late, _film(shift=1.5))
    yield Case(
        "joined.ts",
        "joined",
        _joined,
        Film([n / FPS for n in range(2 * COUNT)], [*SCENES, *(COUNT + n for n in SCENES)], 24.0, played=False, stamps="made"),
    )
    yield Case("ntsc.mp4", "rate", partial(_encode, arguments=(*X264, *AAC), fps="30000/1001"), _film(fps=30000 / 1001))
    yield Case("60fps.mp4", "rate", partial(_encode, arguments=(*X264, *AAC), fps="60"), _film(fps=60, tone=False))
    yield Case("5fps.mp4", "rate", partial(_encode, arguments=X264, fps="5", sound=False), _film(fps=5, tone=False))
    yield Case(
        "1fps.mkv",
        "rate",
        partial(_encode, arguments=X264, fps="1", sound=False, count=20, scenes=(0, 4, 9, 15)),
        Film(range(20), (0, 4, 9, 15), 20.0),
    )
    shown = [float(sum(SLIDES[:n])) for n in range(len(SLIDES))]
    talk = Film(shown, range(len(SLIDES)), float(sum(SLIDES)), grid=0.1)
    for name, simple in (("talk-vfr.mp4", False), ("talk-vfr-simple.mp4", True), ("talk-vfr.mkv", True), ("talk-vfr.webm", True)):
        yield Case(
            name, "VFR", partial(_slides, simple=simple), replace(talk, played=simple)
        )  # Chromium ends the first amid its last slides
    yield Case("talk-5fps.mp4", "VFR", partial(_talk, dropped=False), replace(talk, grid=0.2))
    yield Case("talk-decimated.mkv", "VFR", partial(_talk, dropped=True), talk)
    phone = _phone()
    yield Case("phone.mp4", "VFR", partial(_paced, times=phone.times, scenes=phone.scenes), phone)
    fields = Film([n / 50 for n in range(FIELDS)], FIELD_SCENES, FIELDS / 50, played=False, stamps="shift")
    yield Case("interlaced.ts", "fields", partial(_fields, codec="libx264"), fields)
    yield Case("interlaced.mpg", "fields", partial(_fields, codec="mpeg2video"), fields)
    yield Case("cover-first.mp4", "tracks", _cover_first, replace(_film(played=False, tone=False), track=1))
    yield Case("cover-first.mkv", "tracks", _cover_first, replace(_film(played=False, tone=False), track=1))
    yield Case("two-cameras.mov", "tracks", _cameras, _film(played=False, tone=False, also=[1000 + n for n in SCENES]))
    behind = Film([n / FPS for n in range(75)], (0, 50), 3.0, played=False, still=True, stamps="made")
    yield Case("motion-photo.jpg", "motion", _motion, behind)
    yield Case("samsung.jpg", "motion", _samsung, behind)


CONTAINERS: Sequence[tuple[str, Sequence[str], bool]] = (
    ("h264.mp4", (*X264, *AAC), True),
    ("open-gop.mp4", (*X264, "-bf", "4", "-g", "60", "-x264-params", "open-gop=1:b-pyramid=normal", *AAC), False),
    ("h264.mov", (*X264, *AAC), True),
    ("h264.mkv", (*X264, *AAC), True),
    ("fragmented.mp4", (*X264, *AAC, "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-g", "50"), True),
    ("vp8.webm", (*VP8, *OPUS), True),
    ("vp9.webm", (*VP9, *OPUS), True),
    ("av1.mp4", ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-pix_fmt", "yuv420p", *AAC), True),
    ("hevc.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1", *AAC), False),
    ("h264.avi", (*X264, "-bf", "2", "-c:a", "libmp3lame"), False),
    ("mpeg4-b.avi", ("-c:v", "mpeg4", "-bf", "2", "-q:v", "4", "-c:a", "libmp3lame"), False),
    ("h264.asf", ("-an", *X264, "-bf", "2"), False),
    ("elementary.h264", ("-an", *X264, "-bf", "2"), False),
    ("elementary.h265", ("-an", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2", "-f", "hevc"), False),
    ("mpeg4.avi", ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "libmp3lame"), False),
    ("clip.divx", ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "libmp3lame", "-f", "avi"), False),
    ("h264.ts", (*X264, *AAC), False),
    ("camcorder.m2ts", (*X264, "-c:a", "ac3", "-f", "mpegts", "-mpegts_m2ts_mode", "1"), False),
    ("mpeg2.ts", ("-c:v", "mpeg2video", "-b:v", "4M", "-bf", "2", "-c:a", "mp2"), False),
    ("broadcast.m2t", ("-c:v", "mpeg2video", "-b:v", "4M", "-bf", "2", "-c:a", "mp2", "-f", "mpegts"), False),
    ("mpeg2.mpg", ("-c:v", "mpeg2video", "-b:v", "4M", "-bf", "2", "-c:a", "mp2"), False),
    ("VTS_01_1.VOB", ("-target", "pal-dvd"), False),
    ("MOV001.MOD", ("-target", "pal-dvd", "-b:v", "5M"), False),
    ("elementary.m2v", ("-an", "-c:v", "mpeg2video", "-b:v", "4M"), False),
    ("h264.flv", (*X264, *AAC), False),
    ("clip.f4v", (*X264, *AAC, "-f", "mp4", "-g", "48"), False),
    ("wmv2.wmv", ("-c:v", "wmv2", "-b:v", "2M", "-c:a", "wmav2"), False),
    ("clip.asf", ("-c:v", "wmv2", "-b:v", "3M", "-c:a", "wmav2"), False),
    ("mpeg4.mp4", ("-c:v", "mpeg4", "-bf", "2", "-q:v", "4", *AAC), False),
    ("phone.3g2", ("-c:v", "h263", "-s", "352x288", "-b:v", "1M", *AAC, "-ar", "22050", "-f", "3g2"), False),
    ("mpeg2.mkv", ("-c:v", "mpeg2video", "-bf", "2", "-b:v", "4M", "-c:a", "ac3"), False),
    ("mjpeg.mov", ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"), False),
    ("prores.mov", ("-c:v", "prores", "-c:a", "pcm_s16le"), False),
    ("tape.dv", ("-target", "pal-dv"), False),
    ("news.mxf", ("-c:v", "mpeg2video", "-b:v", "8M", "-c:a", "pcm_s16le", "-s", "720x576"), False),
    ("theora.ogv", ("-c:v", "libtheora", "-q:v", "7", "-c:a", "libvorbis"), False),
)  # fmt: skip
"""Name, options of ffmpeg, and whether Chromium plays it."""

STAMPLESS = (
    "h264.avi",
    "mpeg4-b.avi",
    "h264.asf",
    "elementary.h264",
    "elementary.h265",
    "elementary.m2v",
    "tape.dv",
)
"""Files whose stamps are scrambled or missing: their frames follow at 25 a second."""

OFFSETS: Sequence[tuple[str, Sequence[str], bool]] = (
    ("hour.mp4", (*X264, *AAC), False),
    ("hour-fragmented.mp4", (*X264, *AAC, "-movflags", "frag_keyframe+empty_moov+default_base_moof"), True),
    ("hour.mkv", (*X264, *AAC), True),
    ("hour.webm", (*VP8, *OPUS), True),
    ("hour.flv", (*X264, *AAC), False),
    ("hour.ts", (*X264, *AAC), False),
)


def _film(
    *,
    fps: float = FPS,
    count: int = COUNT,
    first: int = 0,
    shift: float = 0.0,
    played: bool = True,
    tone: bool = True,
    also: Sequence[int] = (),
) -> Film:
    times = [(n - first) / fps + shift for n in range(count)]
    scenes = [n for n in SCENES if n > first]
    heard = (TONE[0] - first / fps, TONE[1] - first / fps) if tone else None
    return Film(times, [first, *scenes], (count - first) / fps + shift, played, heard, also)


def _tone(scraps: Path, seconds: float = 12.0) -> Path:
    path = scraps / f"tone-{seconds}.wav"
    if not path.exists():
        both = f"aevalsrc=0.03*sin(2*PI*200*t)+0.4*sin(2*PI*1000*t)*between(t\\,{TONE[0]}\\,{TONE[1]}):s=48000:d={seconds}"
        ffmpeg("-f", "lavfi", "-i", both, path)
    return path


def _encode(
    path: Path,
    scraps: Path,
    *,
    arguments: Sequence[str],
    fps: str = "25",
    sound: bool = True,
    count: int = COUNT,
    scenes: Sequence[int] = SCENES,
) -> None:
    inputs = ["-i", master(scraps, count, scenes, fps)]
    if sound:
        length = round(count / float(Fraction(fps)), 3)
        inputs += ["-i", _tone(scraps, length)]
    ffmpeg(*inputs, *arguments, path)


def _split(path: Path, scraps: Path) -> None:
    ffmpeg("-i", master(scraps, COUNT, SCENES), "-i", _tone(scraps), *X264, "-g", "150", "-keyint_min", "150", "-sc_threshold", "0", *AAC,
           "-f", "segment", "-segment_time", "6", "-reset_timestamps", "0", "-segment_format", "matroska", scraps / "split%d.mkv")  # fmt: skip
    (scraps / "split1.mkv").replace(path)


def _hls(path: Path, scraps: Path, *, kind: str) -> None:
    folder = scraps / kind
    folder.mkdir(exist_ok=True)
    ffmpeg("-i", master(scraps, COUNT, SCENES), "-i", _tone(scraps), *X264, "-g", "150", "-keyint_min", "150", "-sc_threshold", "0", *AAC,
           "-f", "hls", "-hls_time", "6", "-hls_segment_type", kind, folder / "list.m3u8")  # fmt: skip
    if kind == "mpegts":
        (folder / "list1.ts").replace(path)
    else:
        path.write_bytes((folder / "init.mp4").read_bytes() + (folder / "list1.m4s").read_bytes())


def _live(path: Path, scraps: Path) -> None:
    """As a browser records: through a pipe, so that neither length nor index is written."""
    ffmpeg(
        "-i", master(scraps, COUNT, SCENES), "-i", _tone(scraps), *VP8, *OPUS, "-f", "webm", "-live", "1", "-seekable", "0", path
    )


def _cut(path: Path, scraps: Path) -> None:
    """Cut without encoding, amid a group of pictures: an edit list hides what comes before."""
    whole = scraps / "whole.mp4"
    ffmpeg("-i", master(scraps, COUNT, SCENES), "-i", _tone(scraps), *X264, "-g", "60", *AAC, whole)
    ffmpeg("-ss", "3", "-i", whole, "-c", "copy", path)


def _late(path: Path, scraps: Path) -> None:
    """Picture that begins a second and a half after the sound."""
    ffmpeg(
        "-itsoffset", "1.5", "-i", master(scraps, COUNT, SCENES), "-i", _tone(scraps), "-vsync", "passthrough", *X264, *AAC, path
    )


def _joined(path: Path, scraps: Path) -> None:
    """Two recordings joined byte by byte: the clock begins anew."""
    whole = b""
    for first in (0, COUNT):
        part = scraps / f"joined-{first}.ts"
        scenes = [first + n for n in SCENES]
        ffmpeg("-i", master(scraps, COUNT, [0, *scenes] if first else scenes, first=first), *X264, part)
        whole += part.read_bytes()
    path.write_bytes(whole)


def _slides(path: Path, scraps: Path, *, simple: bool) -> None:
    """A frame a slide, as programs write a list of pictures with durations. ``simple``: without B-frames, whose order confuses ffmpeg's lengths of MP4."""
    told = []
    for slide, lasts in enumerate(SLIDES):
        still(scraps / f"slide{slide}.png", drawn(slide, slide + 1))
        told += [f"file slide{slide}.png", f"duration {lasts}"]
    (scraps / "slides.txt").write_text("\n".join([*told, f"file slide{len(SLIDES) - 1}.png\n"]))
    codec = VP9 if path.suffix == ".webm" else X264
    ffmpeg(
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
        scraps / "slides.txt",
        "-vsync",
        "vfr",
        "-pix_fmt",
        "yuv420p",
        *codec,
        *(("-bf", "0") if simple else ()),
        path,
    )


def _paced(path: Path, scraps: Path, *, times: Sequence[float], scenes: Sequence[int]) -> None:
    """Each frame at a time of its own, in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(drawn(number, sum(begin <= number for begin in scenes)), "rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _talk(path: Path, scraps: Path, *, dropped: bool) -> None:
    """Slides at a constant rate; ``dropped``: repeated frames left out, as screen recorders do."""
    fps = 10 if dropped else 5
    shown = [number for number, lasts in enumerate(SLIDES) for _ in range(round(lasts * fps))]
    how = ("-vf", "mpdecimate=max=300", "-vsync", "vfr") if dropped else ()
    if not dropped:  # 0.9, 0.6 and 0.7 s do not fall on fifths of a second: the slide is shown from the next frame on
        ends = np.cumsum(SLIDES)
        shown = [int(np.searchsorted(ends, n / fps + 1e-9, side="right")) for n in range(round(ends[-1] * fps))]
    pipe(path, (drawn(number, number + 1) for number in shown), (320, 240), str(fps), *how, *X264)


def _phone() -> Film:
    """Thirty frames a second that come early and late, with a hole of three seconds where the phone was busy."""
    rng = np.random.default_rng(5)
    steps = np.full(240, 1 / 30) + rng.uniform(-0.012, 0.012, 240)
    steps[130] = 3.0
    times = np.concatenate([[0.0], np.cumsum(steps)]).round(3)
    return Film([float(time) for time in times[:-1]], (0, 60, 131, 190), float(times[-1]))


def _fields(path: Path, scraps: Path, *, codec: str) -> None:
    """Fifty fields a second, each of which tells a number."""
    fields = list(frames(FIELDS, FIELD_SCENES))
    woven = []
    for first, second in zip(fields[::2], fields[1::2], strict=True):
        rows = np.arange(576) * 240 // 576
        frame = np.where((np.arange(576) % 2 == 0)[:, None, None], first[rows], second[rows])
        woven.append(np.repeat(frame, 9, axis=1)[:, ::4][:, :720])
    extra = (
        ("-x264opts", "tff=1", "-preset", "veryfast")
        if codec == "libx264"
        else ("-b:v", "8M", "-bf", "2", "-alternate_scan", "1", "-top", "1")
    )
    pipe(
        path,
        iter(woven),
        (720, 576),
        "25",
        "-vf",
        "setfield=tff",
        "-c:v",
        codec,
        "-pix_fmt",
        "yuv420p",
        "-flags",
        "+ilme+ildct",
        *extra,
    )


def _cover_first(path: Path, scraps: Path) -> None:
    cover = scraps / "cover.png"
    still(cover, drawn(4000, 6))
    ffmpeg("-i", cover, "-i", master(scraps, COUNT, SCENES), "-map", "0:v", "-map", "1:v", "-c:v:0", "mjpeg", "-pix_fmt:v:0", "yuvj420p", "-c:v:1", "libx264",
           "-preset", "veryfast", "-pix_fmt:v:1", "yuv420p", "-disposition:v:0", "0", "-disposition:v:1", "default", path)  # fmt: skip


def _cameras(path: Path, scraps: Path) -> None:
    second = master(scraps, COUNT, [0, *(1000 + n for n in SCENES)], first=1000)
    ffmpeg("-i", master(scraps, COUNT, SCENES), "-i", second, "-map", "0:v", "-map", "1:v", *X264, path)


def _samsung(path: Path, scraps: Path) -> None:
    """As Samsung writes it: nothing in the still tells of the film, but a trailer behind it."""
    film = scraps / "samsung.mp4"
    ffmpeg("-i", master(scraps, 75, (0, 50)), *X264, film)
    still(path, drawn(3000, 6), quality=92)
    block = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + film.read_bytes()
    tail = b"SEFH" + struct.pack("<IIHHII", 106, 1, 0, 0x0A30, len(block), len(block))
    path.write_bytes(path.read_bytes() + block + tail + struct.pack("<I", len(tail)) + b"SEFT")


def _motion(path: Path, scraps: Path) -> None:
    """A still of a phone with three seconds of film behind it."""
    film = scraps / "motion.mp4"
    ffmpeg("-i", master(scraps, 75, (0, 50)), *X264, film)
    behind = film.read_bytes()
    xmp = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/" GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MotionPhotoPresentationTimestampUs="1000000"
 GCamera:MicroVideo="1" GCamera:MicroVideoVersion="1" GCamera:MicroVideoOffset="{len(behind)}"><Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary" Item:Length="0" Item:Padding="0"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4" Item:Semantic="MotionPhoto" Item:Length="{len(behind)}" Item:Padding="0"/></rdf:li>
</rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
    still(path, drawn(3000, 6), quality=92, xmp=xmp.encode())
    path.write_bytes(path.read_bytes() + behind)
