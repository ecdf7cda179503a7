#!/usr/bin/env bash
# Scanners and astronomy programs write TIFFs of 16 bits a channel with each channel in a plane of its own (PlanarConfiguration 2).
#
# Guess: Pillow reads an uncompressed one like the same picture with its channels side by side, or raises.
# Seen (Pillow 13.0.0): it raises nothing and reads other colours: of red, green and blue stripes, the second comes out red and the third dark green.
# The planes are taken for planes of 8 bits. With TiffImagePlugin.READ_LIBTIFF the same file is read right, through libtiff.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.3.5
cat >"$folder/try.py" <<'PY'
import sys
from pathlib import Path

import numpy as np
import PIL
import tifffile
from PIL import Image, TiffImagePlugin

folder = Path(sys.argv[1])
stripes = np.zeros((32, 48, 3), np.uint16)
stripes[:, :16, 0], stripes[:, 16:32, 1], stripes[:, 32:, 2] = 65535, 40000, 20000
tifffile.imwrite(folder / "chunky.tif", stripes, photometric="rgb")
tifffile.imwrite(folder / "planar.tif", np.moveaxis(stripes, 2, 0), photometric="rgb", planarconfig="separate")


def read(name: str, *, libtiff: bool) -> list[list[int]]:
    TiffImagePlugin.READ_LIBTIFF = libtiff
    with Image.open(folder / name) as image:
        return np.asarray(image.convert("RGB"))[16, [8, 24, 40]].tolist()


right = [[255, 0, 0], [0, 156, 0], [0, 0, 78]]
seen = {(name, libtiff): read(name, libtiff=libtiff) for name in ("chunky.tif", "planar.tif") for libtiff in (False, True)}
print(PIL.__version__, seen)
wrong = [[255, 0, 0], [255, 0, 0], [0, 64, 0]]
expected = {("chunky.tif", False): right, ("chunky.tif", True): right, ("planar.tif", False): wrong, ("planar.tif", True): right}
sys.exit(seen != expected)
PY
"$folder/venv/bin/python" "$folder/try.py" "$folder"
