"""Positions are taken out of files: judged by exiftool, with the picture, the sound and everything else left as they were."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import subprocess
import zlib

import pytest
from PIL import Image

from search.media import DecodePool
from search.media.metadata.positions import find, patched
from search.settings import Settings
from search.types import Modality
from tests.unit.media_pool import NEEDS

LATITUDE, LONGITUDE = "52.516312", "13.377712"
EXIF = (
    f"-EXIF:GPSLatitude={LATITUDE}", "-EXIF:GPSLatitudeRef=N", f"-EXIF:GPSLongitude={LONGITUDE}", "-EXIF:GPSLongitudeRef=E",
    "-EXIF:GPSAltitude=4213", "-EXIF:GPSProcessingMethod=somewhere", "-EXIF:Artist=Somebody", "-EXIF:DateTimeOriginal=2024:05:01 12:00:00",
)  # fmt: skip
XMP = (f"-XMP:GPSLatitude={LATITUDE}", f"-XMP:GPSLongitude={LONGITUDE}", "-XMP:GPSAltitude=4213", "-XMP:Title=A gate")
FILM = (
    f"-Keys:GPSCoordinates={LATITUDE} {LONGITUDE} 4213",
    f"-UserData:GPSCoordinates={LATITUDE} {LONGITUDE} 4213",
    "-Keys:Title=A gate",
)
TELLING = re.compile(r"52[.,]51|13[.,]37|52 deg|13 deg|4213|somewhere")

pytestmark = pytest.mark.skipif(
    not (shutil.which("exiftool") and shutil.which("ffmpeg")), reason="exiftool and ffmpeg are not installed"
)


def tags(path) -> dict[str, object]:
    """What exiftool says of a file, but of where it lies and when it was written."""
    found = subprocess.run(["exiftool", "-j", "-G1", "-a", "-ee", path], capture_output=True, check=True).stdout
    return {
        name: value for name, value in json.loads(found)[0].items() if not name.startswith(("System", "SourceFile", "ExifTool"))
    }


def frames(path) -> bytes:
    """Checksums of what ffmpeg decodes of a file."""
    return subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "framemd5", "-"], capture_output=True, check=True).stdout


def write(path, *arguments: str) -> None:
    subprocess.run(["exiftool", "-q", "-overwrite_original", *arguments, path], check=True)


def still(path, *arguments: str, **options):
    Image.effect_mandelbrot((160, 120), (-2, -1.5, 1, 1.5), 20).convert("RGB").save(path, **options)
    write(path, *arguments)


def film(path, *metadata: str) -> None:
    made = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x120:d=1:r=5", *metadata, "-pix_fmt", "yuv420p", path]
    subprocess.run(made, check=True)


def jpeg(path):
    still(path, *EXIF, *XMP)


def jpeg_big_endian(path):
    still(path, "-ExifByteOrder=MM", *EXIF)


def motion_photo(path):
    """A JPEG behind which a film lies, as phones write them."""
    still(path, *EXIF)
    moving = path.with_suffix(".mp4")
    film(moving)
    write(moving, *FILM)
    path.write_bytes(path.read_bytes() + moving.read_bytes())
    moving.unlink()


def png(path):
    still(path, *EXIF, *XMP)


def png_compressed(path):
    still(path, *XMP)
    write(path, "-api", "Compress=1", "-z", "-XMP:Label=x")


def png_raw_profile(path):
    """EXIF as older programs write it: as hexadecimal digits in compressed text."""
    source = path.with_suffix(".jpg")
    still(source, *EXIF)
    with Image.open(source) as picture:
        exif = picture.info["exif"]
    source.unlink()
    made = io.BytesIO()
    Image.open(io.BytesIO(_plain())).save(made, "PNG")
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    chunk = b"zTXt" + b"Raw profile type exif\0\0" + zlib.compress(text)
    whole = made.getvalue()
    path.write_bytes(whole[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:])


def _plain() -> bytes:
    file = io.BytesIO()
    Image.effect_mandelbrot((160, 120), (-2, -1.5, 1, 1.5), 20).save(file, "BMP")
    return file.getvalue()


def webp(path):
    still(path, *EXIF, *XMP)


def tiff(path):
    still(path, *EXIF, *XMP)


def avif(path):
    still(path, *EXIF, *XMP)


def mp4(path):
    film(path)
    write(path, *FILM, *XMP)


def mp4_streamed(path):
    film(path, "-metadata", f"location=+{LATITUDE}+0{LONGITUDE}/", "-movflags", "use_metadata_tags+faststart")


def mp4_plain(path):
    film(path, "-metadata", f"location=+{LATITUDE}+0{LONGITUDE}/")


def threegp(path):
    film(path)
    content = path.read_bytes()
    box = (
        struct.pack(">4s4x2s", b"loci", b"\x15\xc7")
        + b"somewhere\0\0"
        + struct.pack(">III", int(13.377712 * 65536), int(52.516312 * 65536), 0)
    )
    box = struct.pack(">I", len(box) + 4) + box + b"\0"
    box = struct.pack(">I", len(box)) + box[4:]
    udta = struct.pack(">I4s", len(box) + 8, b"udta") + box
    at = content.index(b"moov") - 4
    (length,) = struct.unpack(">I", content[at : at + 4])
    assert at + length == len(content)  # it lies at the end, so no offset moves
    path.write_bytes(content[:at] + struct.pack(">I", length + len(udta)) + content[at + 4 :] + udta)


def matroska(path):
    film(path, "-metadata", f"LOCATION=+{LATITUDE}+0{LONGITUDE}/")


PICTURES = {
    "a.jpg": jpeg, "b.jpg": jpeg_big_endian, "motion.jpg": motion_photo, "a.png": png, "packed.png": png_compressed, "raw.png": png_raw_profile,
    "a.webp": webp, "a.tiff": tiff, "a.avif": avif,
}  # fmt: skip
FILMS = {"a.mp4": mp4, "b.mp4": mp4_streamed, "c.mp4": mp4_plain, "d.mp4": threegp, "a.mov": mp4, "a.mkv": matroska}


@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
def test_no_position_is_left_and_everything_else_is(tmp_path, name):
    path = tmp_path / name
    (PICTURES | FILMS)[name](path)
    before, modality = tags(path), Modality.IMAGE if name in PICTURES else Modality.VIDEO
    whole = path.read_bytes()
    assert TELLING.search(json.dumps(before)), before
    with DecodePool(Settings(home=tmp_path / "home"), 1) as pool:
        patches = pool.positions(path)
        cuts = list(pool.decode(path, NEEDS))
    with path.open("rb") as file:
        assert list(find(file, len(whole), modality)) == patches
    cleaned = tmp_path / f"cleaned{path.suffix}"
    cleaned.write_bytes(patched(whole, 0, patches))
    assert len(cleaned.read_bytes()) == len(whole)
    after = tags(cleaned)
    assert not TELLING.search(json.dumps(after)), after
    assert b"52.51" not in cleaned.read_bytes()
    assert frames(cleaned) == frames(path)
    gone = {tag for tag in before if tag not in after}
    of_positions = r"GPS|Location|Warning|PNG|Free"
    packed = "|Exif|IFD0" if name == "raw.png" else ""  # which goes as a whole
    assert all(re.search(of_positions + packed, tag) for tag in gone), gone
    assert cuts


def test_patches_fall_into_any_piece():
    from search.types import Patch

    whole, patches = bytes(range(100)), [Patch(10, b"abcdef"), Patch(14, b"XY"), Patch(98, b"zz")]
    changed = patched(whole, 0, patches)
    assert changed[10:16] == b"abcdXY"
    for start in range(100):
        for end in range(start, 100):
            assert patched(whole[start:end], start, patches) == changed[start:end]


def test_a_file_without_a_position_stays_as_it_is(tmp_path):
    for name, make in {"a.jpg": jpeg, "a.png": png, "a.mp4": mp4}.items():
        path = tmp_path / name
        make(path)
        write(path, "-GPS*=", "-XMP:GPS*=", "-Keys:GPSCoordinates=", "-UserData:GPSCoordinates=")
        with path.open("rb") as file:
            size = path.stat().st_size
            assert list(find(file, size, Modality.VIDEO if name == "a.mp4" else Modality.IMAGE)) == []


def test_texts_are_left_alone():
    assert list(find(io.BytesIO(b"+52.516312+013.377712/"), 22, Modality.TEXT)) == []
