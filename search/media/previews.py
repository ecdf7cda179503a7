"""Pictures of sounds, as waves. ffmpeg-python's graphs run on the ffmpeg that imageio-ffmpeg ships, in a process of its own that is
confined as decoders are; clips are cut in the same way.
"""  # fmt: skip

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from search.errors import MediaError
from search.media.ffmpeg import DECODERS, DEMUXERS, PROTOCOL
from search.media.opening import Held, opened
from search.media.sandbox import confine
from search.types import Picture

PROCESSOR_SECONDS = 30
"""Processor time of one picture."""

PATIENCE = 10
"""The wall-clock limit, as a multiple of the processor time. It is generous, since a busy machine is not the file's fault."""

MEMORY_BYTES = 3 << 30
"""Address space of ffmpeg, in bytes."""

MAX_PIXELS = 250_000_000
"""A frame with more is not decoded, in pixels."""


def wave(path: str | Held, width: int, height: int) -> bytes:
    """The loudness of a sound over time: a PNG with a transparent background, readable on light and dark pages."""
    mono = source().audio.filter("aformat", channel_layouts="mono", sample_rates=16_000)
    return _run(path, mono.filter("showwavespic", s=f"{width}x{height}", colors="0x6b7fd7", scale="sqrt"), "png")


def jpeg(picture: Picture) -> bytes:
    """A picture (H, W, 3) uint8 RGB as a JPEG without metadata."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=82)
    return file.getvalue()


def source(**options: Any) -> Any:  # noqa: ANN401 - ffmpeg-python has no types
    """Standard input as ffmpeg's input. It must be a self-contained media file: no playlist, no network, no special names."""
    import ffmpeg

    return ffmpeg.input(
        f"{PROTOCOL}:",
        protocol_whitelist=PROTOCOL,
        format_whitelist=DEMUXERS,
        codec_whitelist=DECODERS,
        max_pixels=MAX_PIXELS,
        threads=1,
        **options,
    )


def _run(path: str | Held, graph: Any, codec: Literal["mjpeg", "png"], **options: Any) -> bytes:  # noqa: ANN401
    return execute(
        path, graph.output("pipe:1", format="image2pipe", vcodec=codec, vframes=1, threads=1, map_metadata=-1, **options)
    )[0]


def execute(
    path: str | Held, output: Any, *, seconds: int = PROCESSOR_SECONDS, level: str = "error", empty: bool = False  # noqa: ANN401 - ffmpeg-python has no types
) -> tuple[bytes, str]:  # fmt: skip
    """Run a graph on a file, confined: what it writes to its standard output, and what it logs at ``level``.

    ``seconds`` of processor time are allowed. With ``empty``, it may write nothing.

    Raises:
        MediaError: ffmpeg fails, takes too long, or writes nothing.
    """
    import ffmpeg
    import imageio_ffmpeg

    command = ffmpeg.compile(
        output.global_args("-nostdin", "-hide_banner", "-loglevel", level), cmd=imageio_ffmpeg.get_ffmpeg_exe()
    )
    with opened(path if isinstance(path, Held) else Path(path)) as file:
        process = subprocess.Popen(  # noqa: S603
            [*confined(seconds), *command], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0, env={}
        )
    try:
        made, complaints = process.communicate(timeout=PATIENCE * seconds)
    except subprocess.TimeoutExpired:
        raise MediaError("too_slow", f"not ready within {PATIENCE * seconds} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
    told = complaints.decode("utf-8", "replace").replace(f"{PROTOCOL}:", "the file")
    if process.returncode or not (made or empty):
        said = told.strip().splitlines()
        raise MediaError("undecodable", said[-1][:300] if said else "there is nothing at that time")
    return made, told


def confined(seconds: int) -> tuple[str, ...]:
    """The beginning of a command that confines what follows, with ``seconds`` of processor time.

    A small program confines itself and becomes ffmpeg: in a process with threads, no code may run between fork and exec.
    """
    return (sys.executable, "-I", "-S", confine.__file__, str(seconds), str(MEMORY_BYTES))
