"""Camera, rights and position, as files state them in EXIF, XMP, IPTC, PNG and the tags of films."""

from __future__ import annotations

from fractions import Fraction

import pytest
from PIL import Image, PngImagePlugin

from search.media import DecodePool
from search.media.metadata import circumstances, iptc, recorded, xmp
from search.media.metadata.circumstances import Told
from tests.media_samples import picture
from tests.unit.media_pool import decode, settings


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
  xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:cc="http://creativecommons.org/ns#" tiff:Make="SONY" tiff:Model="ILCE-7M4" exif:GPSLatitude="59,19.758N" exif:GPSLongitude="18,4,7W">
  <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">Anna Berg</rdf:li></rdf:Alt></dc:rights>
  <cc:license rdf:resource="https://creativecommons.org/licenses/by/4.0/"/></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("maker", "model", "told"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"), ("NIKON CORPORATION", "NIKON D750", "NIKON D750"), ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("", "X100", "X100"), ("Leica", "", "Leica"), (" \0", "  ", None), ("a\n\tb", "c" * 400, "a b " + "c" * 296),
    ],
)  # fmt: skip
def test_maker_and_model_are_one_name(maker, model, told):
    assert circumstances.camera(maker, model) == told


def test_xmp_states_camera_rights_and_position():
    told = xmp.told(XMP)
    assert told.camera == "SONY ILCE-7M4"
    assert told.rights == "Anna Berg; https://creativecommons.org/licenses/by/4.0/"
    assert told.position == pytest.approx((59 + 19.758 / 60, -(18 + 4 / 60 + 7 / 3600)))


@pytest.mark.parametrize(
    ("tags", "position"),
    [
        ({1: "N", 2: (Fraction(35), Fraction(40), Fraction(3372, 100)), 3: "W", 4: (139, 39, 1)}, (35.676033, -139.650278)),
        ({1: b"S\0", 2: (33.5,), 3: "E", 4: (151, 12.5)}, (-33.5, 151.208333)), ({2: (1, 30, float("nan")), 4: (2, 0, 0)}, (1.5, 2.0)),
        ({1: "N", 2: (0, 0, 0), 3: "E", 4: (0, 0, 0)}, None), ({1: "N", 2: (91, 0, 0), 3: "E", 4: (0, 0, 0)}, None),
        ({2: "12", 4: (1, 2, 3)}, None), ({2: (1, 2, 3)}, None), ({2: (), 4: ("x", 1, 1)}, None),
    ],
)  # fmt: skip
def test_the_position_in_exif(tags, position):
    found = circumstances.of_gps(tags)
    assert found == (None if position is None else pytest.approx(position, abs=1e-6))


def test_a_photograph_states_what_made_it_where_and_whose_it_is(pool, tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x8298] = "Canon", "Canon EOS R5", "Berg\0Editor"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 52.0, 4.8), 3: "E", 4: (151.0, 12.0, 36.0)})
    picture("red").save(tmp_path / "a.jpg", exif=exif)
    info = decode(pool, tmp_path / "a.jpg").info
    assert (info.camera, info.rights, info.position) == ("Canon EOS R5", "Berg; Editor", (-33.868, 151.21))
    words = PngImagePlugin.PngInfo()
    words.add_text("Copyright", "Berg")
    words.add_itxt("XML:com.adobe.xmp", XMP.decode().replace("dc:rights", "dc:left"))
    picture("red").save(tmp_path / "b.png", pnginfo=words)
    info = decode(pool, tmp_path / "b.png").info
    assert (info.camera, info.rights) == ("SONY ILCE-7M4", "https://creativecommons.org/licenses/by/4.0/")


def test_films_and_press_photographs_state_it_too():
    tags = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15",
        "copyright": "Berg",
        "location": "+35.6-139.6/",
    }
    assert recorded.told([tags], "mov") == Told((), (35.6, -139.6), "Apple iPhone 15", "Berg")
    assert recorded.told([{"xmp": XMP.decode()} | tags], "mov").camera == "SONY ILCE-7M4"
    assert iptc.rights(b"\x1c\x02\x74\x00\x04Berg" + b"\x1c\x02\x05") == "Berg"
    assert iptc.rights(b"nonsense") == ""
