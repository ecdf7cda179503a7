"""Where a picture was taken is nobody's business: no picture that the service makes says it, nor any answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from indexer import run

POSITION = ("52.5163", "13.3777")


@pytest.fixture
def placed(archive):
    """A photo and a video that say where they were taken, in every way that they can."""
    if not shutil.which("exiftool") or not shutil.which("ffmpeg"):
        pytest.skip("exiftool and ffmpeg are not installed")
    photo, video = archive / "pictures" / "placed.jpg", archive / "pictures" / "placed.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=1600x1200:d=1", "-frames:v", "1", photo], check=True)
    tags = [
        f"-EXIF:GPSLatitude={POSITION[0]}",
        "-EXIF:GPSLatitudeRef=N",
        f"-EXIF:GPSLongitude={POSITION[1]}",
        "-EXIF:GPSLongitudeRef=E",
    ]
    tags += [
        f"-XMP:GPSLatitude={POSITION[0]}",
        f"-XMP:GPSLongitude={POSITION[1]}",
        "-EXIF:Artist=Somebody",
        "-IPTC:Caption-Abstract=A gate",
    ]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, photo], check=True)
    where = f"location=+{POSITION[0]}+0{POSITION[1]}/"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=640x480:d=2", "-metadata", where, "-movflags", "use_metadata_tags", "-pix_fmt", "yuv420p", video], check=True)  # fmt: skip
    for path in (photo, video):
        assert POSITION[0] in subprocess.run(["exiftool", "-n", path], capture_output=True, text=True, check=True).stdout
    return photo, video


def test_thumbnails_and_answers_do_not_tell_where_media_were_taken(start, indexed, archive, encoder, placed, tmp_path):
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    http = start(indexed)
    assets = [one for one in http.get("/v1/assets?limit=50").json()["assets"] if one["name"].startswith("placed")]
    assert len(assets) == 2
    for asset in assets:
        links = asset["links"]
        addresses = [f"{links['thumbnail']}{'&' if '?' in links['thumbnail'] else '?'}size={size}" for size in (160, 1280)]
        for address in [*addresses, *([links["preview"]] if links["preview"] else [])]:
            made = http.get(address)
            assert made.status_code == 200, address
            file = tmp_path / "made"
            file.write_bytes(made.content)
            (told,) = json.loads(subprocess.run(["exiftool", "-j", "-G1", "-a", file], capture_output=True, check=True).stdout)
            assert {name.partition(":")[0] for name in told} <= {
                "SourceFile",
                "ExifTool",
                "System",
                "File",
                "JFIF",
                "Composite",
            }, told
        for address in (f"/v1/assets/{asset['id']}", f"/v1/assets/{asset['id']}/segments"):
            answer = http.get(address)
            assert answer.status_code == 200
            assert not any(part in answer.text for part in (*POSITION, "13.37", "52.51"))


def test_originals_are_served_without_positions_unless_the_setting_names_their_collection(
    start, indexed, archive, encoder, placed, tmp_path
):
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    http, told = start(indexed), start(replace(indexed, show_positions="other,default"))
    assets = [one for one in http.get("/v1/assets?limit=50").json()["assets"] if one["name"].startswith("placed")]
    for asset, path in zip(sorted(assets, key=lambda one: one["name"]), placed, strict=True):
        address, original = asset["links"]["media"], path.read_bytes()
        whole, answer = told.get(address), http.get(address)
        assert whole.content == original
        assert len(answer.content) == len(original)
        assert answer.content != original
        assert answer.headers["etag"] != whole.headers["etag"]
        file = tmp_path / f"served{path.suffix}"
        file.write_bytes(answer.content)
        said = subprocess.run(["exiftool", "-n", "-a", file], capture_output=True, text=True, check=True).stdout
        assert POSITION[0] not in said
        assert ("Somebody" in said) == (path.suffix == ".jpg")
        assert b"52.51" not in answer.content
        for first in range(0, len(original), 7_001):
            part = http.get(address, headers={"Range": f"bytes={first}-{first + 7_000}"})
            assert (part.status_code, part.content) == (206, answer.content[first : first + 7_001])
        assert http.get(address, headers={"Range": "bytes=-500"}).content == answer.content[-500:]
        assert http.head(address).headers["content-length"] == str(len(original))
        assert http.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert http.get(address, headers={"If-None-Match": whole.headers["etag"]}).status_code == 200
    (red,) = http.get("/v1/assets?name=red.png").json()["assets"]
    assert http.get(red["links"]["media"]).content == (archive / "pictures" / "red.png").read_bytes()
