#!/usr/bin/env bash
# In TTML a body or div may begin later than its document and say nothing of its end: then it lasts as long as what it holds (TTML2, 12.3).
#
# Guess: ttconv shifts all times of what such an element holds by its begin.
# Seen (ttconv 1.2.3): it shifts every time but the last. The implicit end forgets the element's own begin, so that the last subtitle ends as much
# too early as the element begins late: here one from 6 s to 10 s ends at 9 s. Where the body tells an end, all times are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ttconv==1.2.3
cat >"$folder/try.py" <<'PY'
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version

from ttconv.imsc import reader
from ttconv.isd import ISD

TEXT = (
    '<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><head><layout><region xml:id="r"/></layout></head><body {}><div region="r">'
    '<p begin="2s" end="4s">One.</p><p begin="5s" end="9s">Two.</p></div></body></tt>'
)


def times(attributes: str) -> list[float]:
    """When what is shown changes, in seconds."""
    document = reader.to_model(ElementTree.ElementTree(ElementTree.fromstring(TEXT.format(attributes))))
    return [float(time) for time in ISD.significant_times(document)]


seen = {told: times(told) for told in ("", 'begin="1s"', 'begin="1s" end="60s"')}
print(version("ttconv"), seen)
expected = {"": [0, 2, 4, 5, 9], 'begin="1s"': [0, 1, 3, 5, 6, 9], 'begin="1s" end="60s"': [0, 1, 3, 5, 6, 10, 60]}
sys.exit(seen != expected)
PY
"$folder/venv/bin/python" "$folder/try.py"
