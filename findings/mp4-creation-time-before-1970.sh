#!/usr/bin/env bash
# MP4 keeps a film's creation time as seconds since 1904, so that digitised footage can carry the day on which it was shot.
#
# Guess: a creation time in 1965 that FFmpeg writes into an MP4 file is the one that it reads back.
# Seen (PyAV 18.1.0, FFmpeg 8.1): it reads 2031-03-02, 66 years later. FFmpeg takes seconds below 2,082,844,800 for a clock that starts in 1970,
# since some writers use that one, and every honest time before 1970 lies below. From 1970 on the time comes back as it was written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5
cat >"$folder/try.py" <<'PY'
import sys
from pathlib import Path

import av
import numpy as np


def written_and_read(folder: Path, time: str) -> str:
    file = folder / "film.mp4"
    with av.open(str(file), "w") as made:
        made.metadata["creation_time"] = time
        stream = made.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        made.mux(stream.encode())
    with av.open(str(file)) as opened:
        return opened.metadata["creation_time"]


folder = Path(sys.argv[1])
seen = {time: written_and_read(folder, f"{time}T12:00:00Z") for time in ("1965-03-01", "1971-03-01", "2024-03-01")}
print(av.__version__, seen)
expected = {"1965-03-01": "2031-03-02", "1971-03-01": "1971-03-01", "2024-03-01": "2024-03-01"}
sys.exit({asked: read[:10] for asked, read in seen.items()} != expected)
PY
"$folder/venv/bin/python" "$folder/try.py" "$folder"
