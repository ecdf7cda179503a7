#!/usr/bin/env bash
# A clip of ten seconds, and the first five seconds of it, as time ranges of OpenTimelineIO.
#
# Guess: the clip contains its own first half, as it contains the instant at which both begin, and a range contains itself.
# Seen (OpenTimelineIO 0.18.1): contains() of two ranges is that of Allen's algebra, strict at both ends: False for the first half, the last half and the range itself,
# True for a part that touches neither end. contains() of an instant is half open: True for the first frame, False for the end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check OpenTimelineIO==0.18.1
cat >"$folder/try.py" <<'PY'
import sys

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange


def stretch(start, length):
    return TimeRange(RationalTime(start, 24), RationalTime(length, 24))


clip = stretch(48, 240)
seen = {
    "first half": clip.contains(stretch(48, 120)), "last half": clip.contains(stretch(168, 120)), "itself": clip.contains(clip),
    "middle": clip.contains(stretch(60, 120)), "first frame": clip.contains(RationalTime(48, 24)), "end": clip.contains(RationalTime(288, 24)),
}
print(otio.__version__, seen)
wanted = {"first half": False, "last half": False, "itself": False, "middle": True, "first frame": True, "end": False}
sys.exit(seen != wanted)
PY
"$folder/venv/bin/python" "$folder/try.py"
