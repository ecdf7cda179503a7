"""Small media files of every format, made from what they shall mean: a colour is a scene, a pitch is a sound.

So tests can say what must come out: a red scene's frames are red, a tone of 440 Hz peaks at 440 Hz.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 190, 50),
    "blue": (30, 60, 220),
    "yellow": (230, 210, 40),
    "grey": (110, 110, 110),
}
IMAGES = ("jpg", "png", "webp", "avif", "gif", "tiff", "bmp")
VIDEOS = ("mp4", "mov", "mkv", "webm", "avi", "ts")
SOUNDS = ("wav", "mp3", "flac", "ogg", "m4a", "opus")

_PICTURE_CODECS = {"webm": "libvpx", "avi": "mpeg4"}
_SOUND_CODECS = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "flac": "flac",
    "ogg": "libopus",
    "opus": "libopus",
    "webm": "libopus",
    "avi": "libmp3lame",
}
_HASTE = {"libx264": {"preset": "ultrafast"}, "libvpx": {"deadline": "good", "cpu-used": "5"}}
_CONTAINERS = {"ts": "mpegts", "m4a": "ipod", "mkv": "matroska", "opus": "ogg"}


def picture(colour: str, size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A picture (RGB) of one colour with a little texture, so that encoders have something to do."""
    width, height = size
    noise = np.random.default_rng(len(colour)).integers(-8, 9, (height, width, 1))
    return Image.fromarray((np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8))


def corner(size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A blue picture whose top left quarter is red: shows which way is up."""
    image = picture("blue", size)
    image.paste(COLOURS["red"], (0, 0, size[0] // 2, size[1] // 2))
    return image


def tone(hertz: float, seconds: float, rate: int = 44100) -> NDArray[np.float32]:
    """A sine of half amplitude, (samples,) float32."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_sound(path: Path, samples: NDArray[np.float32], rate: int = 44100) -> Path:
    """Write samples (mono) in the format of the suffix."""
    suffix = path.suffix[1:]
    with av.open(str(path), "w", format=_CONTAINERS.get(suffix)) as container:
        _encode_sound(container, _SOUND_CODECS.get(suffix, "aac"), samples, rate)
    return path


def write_video(
    path: Path,
    scenes: Sequence[tuple[str, float]],
    *,
    fps: int = 25,
    size: tuple[int, int] = (128, 96),
    sound: NDArray[np.float32] | None = None,
    times: Iterable[float] | None = None,
    **options: str,
) -> Path:
    """Write scenes, (colour, seconds) each, in the format of the suffix. ``times``: the frames' own, in seconds."""
    suffix = path.suffix[1:]
    shown = [colour for colour, seconds in scenes for _ in range(round(seconds * fps))]
    with av.open(str(path), "w", format=_CONTAINERS.get(suffix), options=options) as container:
        stream = container.add_stream(_PICTURE_CODECS.get(suffix, "libx264"), rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = _HASTE.get(stream.name, {})
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = _sound_stream(container, suffix, sound)
        pictures = {colour: np.asarray(picture(colour, size)) for colour in set(shown)}
        moments = list(times) if times is not None else [number / fps for number in range(len(shown))]
        for moment, colour in zip(moments, shown, strict=False):
            frame = av.VideoFrame.from_ndarray(pictures[colour], "rgb24")
            frame.time_base = Fraction(1, 1000) if times is not None else Fraction(1, fps)
            frame.pts = round(moment / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None and sound is not None:
            _fill(container, audio, sound, 44100)
    return path


def films(folder: Path) -> Path:
    """Three films of two scenes each, of which the first and the last show red, with a low or a high tone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scenes, pitch in (
        ("sunset", ("red", "yellow"), 220),
        ("sea", ("blue", "grey"), 3520),
        ("garden", ("green", "red"), 220),
    ):
        write_video(folder / f"{name}.mp4", [(colour, 2.0) for colour in scenes], sound=tone(pitch, 4.0))
    return folder


def _sound_stream(
    container: av.container.OutputContainer, suffix: str, sound: NDArray[np.float32] | None
) -> av.AudioStream | None:
    if sound is None:
        return None
    codec = _SOUND_CODECS.get(suffix, "aac")
    return container.add_stream(codec, rate=48000 if codec == "libopus" else 44100, layout="mono")


def _encode_sound(container: av.container.OutputContainer, codec: str, samples: NDArray[np.float32], rate: int) -> None:
    _fill(container, container.add_stream(codec, rate=48000 if codec == "libopus" else rate, layout="mono"), samples, rate)


def _fill(container: av.container.OutputContainer, stream: av.AudioStream, samples: NDArray[np.float32], rate: int) -> None:
    resampler = av.AudioResampler(stream.format.name, "mono", stream.rate, frame_size=stream.frame_size or None)
    for start in range(0, len(samples), 4096):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 4096], "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    for part in resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def colour_of(pixels: NDArray[np.uint8]) -> str:
    """The name of the colour that an array (…, 3) is nearest to on average."""
    mean = pixels.reshape(-1, 3).mean(0)
    return min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))


def pitch_of(samples: NDArray[np.float32], rate: int) -> float:
    """The strongest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        font = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources %s >>" % (len(objects), font)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer
