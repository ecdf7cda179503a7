#!/usr/bin/env bash
# Phones, screen recorders and conferences write films whose frame rate varies. A frame at a moment is asked for by CAP_PROP_POS_MSEC.
#
# Guess: OpenCV seeks by the stamps of the frames, as `ffmpeg -ss` does, and gives the frame that is on screen then.
# Seen (opencv-python-headless 5.0.0.93): it turns the time into a frame number by one rate for the whole file. In an MP4 of 12 s (two seconds of 30
# frames, eight of one, two of 30) 4.5 s gives the frame of 1.6 s and 7.5 s that of 10.4 s; in Matroska, where it takes the rate that the encoder was
# told, 4.5 s gives no frame at all, 7.5 s that of 11.4 s, and CAP_PROP_FRAME_COUNT says 360 for 128 frames. PyAV reads all stamps right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.3.5
cat >"$folder/try.py" <<'PY'
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

folder = Path(sys.argv[1])
moments = [i / 30 for i in range(60)] + [2.0 + i for i in range(8)] + [10 + i / 30 for i in range(60)]


def colour(moment):
    return (200, 30, 30) if moment < 2 else (30, 200, 30) if moment < 6 else (30, 30, 200) if moment < 10 else (220, 220, 40)


def write(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"x264-params": "log-level=none"})
        stream.width = stream.height = 128
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(np.full((128, 128, 3), colour(moment), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(moment * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def at(path, moment):
    film = cv2.VideoCapture(str(path))
    film.set(cv2.CAP_PROP_POS_MSEC, moment * 1000)
    read, frame = film.read()
    return round(film.get(cv2.CAP_PROP_POS_MSEC)) if read else None


seen = {}
for suffix in ("mp4", "mkv"):
    path = folder / f"film.{suffix}"
    write(path)
    with av.open(str(path)) as film:
        assert [round(frame.time, 3) for frame in film.decode(video=0)] == [round(moment, 3) for moment in moments]
    seen[suffix] = at(path, 4.5), at(path, 7.5), int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
print(cv2.__version__, seen)
sys.exit(seen != {"mp4": (1600, 10400, 128), "mkv": (None, 11367, 360)})
PY
"$folder/venv/bin/python" "$folder/try.py" "$folder"
