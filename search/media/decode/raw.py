"""Raw pictures of cameras, through rawpy (LibRaw), as a plugin of Pillow: the camera's preview, or else a developed picture."""

from __future__ import annotations

import contextlib
import io
import multiprocessing  # noqa: F401  rawpy would import it when it opens the first file, when nothing can be opened any more
from typing import IO, Any, BinaryIO, cast

import numpy as np
import rawpy
from PIL import Image, ImageFile

_LEAST = 1000
"""From this longer side on, in pixels, a preview is used as the picture. A larger picture with a smaller preview is developed."""
_TURNED = {3: 3, 5: 8, 6: 6}
"""LibRaw's rotation -> the EXIF orientation."""
_ORIENTATION, _SOFTWARE, _CHANGED, _TAKEN = 0x0112, 0x0131, 0x0132, 0x9003
_LIBRAW = "dcraw"
_DETAILS = 0x8769
_KEPT = (0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
"""Tags that are kept of EXIF: what is shown, the camera, the date of change, artist and rights, and those of Windows."""
_KEPT_DETAILS = (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9286, 0xA436, 0xA437)
"""And of its details: dates with their offsets, the comment, title and photographer."""


class Raw(ImageFile.ImageFile):
    """A raw picture. It is not rotated: its orientation is in its EXIF, as in other photos."""

    format = "RAW"
    format_description = "Raw picture of a camera"

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("it is closed")
        try:
            self._raw = rawpy.imread(cast("BinaryIO", self.fp))
        except rawpy.LibRawError as error:
            raise SyntaxError(f"not a raw picture: {error}") from error
        sizes = self._raw.sizes
        self._size, self._mode = (sizes.width, sizes.height), "RGB"
        self._preview = _preview(self._raw)
        preview_exif = self._preview.info.get("exif") if self._preview else None
        self.info["exif"] = _exif(self.fp, preview_exif, _TURNED.get(sizes.flip, 1))
        self.info |= {
            name: self._preview.info[name] for name in ("icc_profile", "xmp") if self._preview and name in self._preview.info
        }

    def load(self) -> Any:  # noqa: ANN401 - Pillow's own
        """Decode the preview, or develop the picture at half its size."""
        if self._im is None:
            image = self._preview
            if image is None or (max(image.size) < _LEAST and max(image.size) < max(self.size)):
                developed = self._raw.postprocess(half_size=True, use_camera_wb=True, no_auto_bright=True, user_flip=0)
                image = Image.fromarray(developed)
                self.info.pop("icc_profile", None)
            image = image.convert("RGB")
            self._size, self.im = image.size, image.im
        return super().load()


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    """The preview stored by the camera; None: there is none that can be read."""
    try:
        thumb = raw.extract_thumb()
        if thumb.format == rawpy.ThumbFormat.JPEG:
            return Image.open(io.BytesIO(bytes(thumb.data)), formats=["JPEG"])
        return Image.fromarray(np.asarray(thumb.data))
    except (rawpy.LibRawError, OSError, ValueError, TypeError):
        return None


def _exif(file: IO[bytes], preview: bytes | None, orientation: int) -> bytes:
    """The EXIF of a file with a TIFF structure, or else of its preview. The orientation is the one that LibRaw found."""
    exif, details = Image.Exif(), dict[int, Any]()
    with contextlib.suppress(Exception):  # EXIF is often broken, and never worth a picture
        file.seek(0)
        exif.load_from_fp(file)
        details = exif.get_ifd(_DETAILS)
    if not exif and preview:
        with contextlib.suppress(Exception):
            exif.load(preview)
            details = exif.get_ifd(_DETAILS)
            if str(exif.get(_SOFTWARE)).startswith(_LIBRAW):  # it writes one where there is none, with the time of the picture
                details = {_TAKEN: exif.get(_CHANGED)}
    kept = Image.Exif()
    for tag in (tag for tag in _KEPT if tag in exif):
        kept[tag] = exif[tag]
    kept[_ORIENTATION] = orientation
    kept.get_ifd(_DETAILS).update({tag: value for tag, value in details.items() if tag in _KEPT_DETAILS})
    with contextlib.suppress(Exception):
        return kept.tobytes()
    plain = Image.Exif()
    plain[_ORIENTATION] = orientation
    return plain.tobytes()


Image.register_open(Raw.format, Raw, lambda _: True)
