"""What files state of their making: content credentials, digital source types, generators' prompts; through the decoder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from search.errors import InputError
from search.media import DecodePool
from search.settings import Settings
from search.types import Credentials, Gap, Info, Needs, Origin
from tests import signed as make
from tests.media_samples import pdf, tone, write_sound, write_video
from tests.signed import created, picture, signed

c2pa = pytest.importorskip("c2pa", reason="the extra provenance is not installed")

NEEDS = Needs(32, "squash", 0, 0, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("provenance")


@pytest.fixture(scope="module")
def settings(folder):
    anchors = folder / "anchors.pem"
    anchors.write_bytes(make.chain("Newsroom")[2])
    return Settings(folder / "home", trust_anchors=str(anchors))


@pytest.fixture(scope="module")
def pool(settings):
    with DecodePool(settings, 1) as opened:
        yield opened


def stated(pool, file: Path):
    """What the report states, which is also what indexing keeps."""
    report = pool.provenance(file)
    (info,) = [one for one in pool.decode(file, NEEDS) if isinstance(one, Info)][:1]
    assert (info.provenance or report.provenance) == report.provenance
    assert (info.provenance is None) == (not report.evidence)
    return report


GENERATED = signed(picture((3, 200, 3)), created("trainedAlgorithmicMedia"), title="dream")[0]
CAPTURED = signed(picture(), created("digitalCapture"), title="shot")[0]


@pytest.mark.parametrize(
    ("content", "origin", "credentials", "evidence"),
    [
        (picture(), None, None, ""),
        (CAPTURED, Origin.CAPTURED, Credentials.TRUSTED, "digitalCapture"),
        (GENERATED, Origin.GENERATED, Credentials.TRUSTED, "trainedAlgorithmicMedia"),
        (signed(picture(), created("digitalCapture"), signer="Stranger")[0], Origin.CAPTURED, Credentials.VALID, "Stranger"),
        (signed(GENERATED, [{"action": "c2pa.color_adjustments"}], edits=True)[0], Origin.GENERATED, Credentials.TRUSTED, "made of"),
        (signed(CAPTURED, [{"action": "c2pa.color_adjustments"}], edits=True)[0], None, Credentials.TRUSTED, "color_adjustments"),
        (signed(CAPTURED, [], edits=True)[0], Origin.CAPTURED, Credentials.TRUSTED, "an unedited copy"),
        (
            signed(
                CAPTURED,
                [{"action": "c2pa.edited", "digitalSourceType": make.SOURCES + "compositeWithTrainedAlgorithmicMedia"}], edits=True,
            )[0], Origin.EDITED, Credentials.TRUSTED, "compositeWithTrainedAlgorithmicMedia",
        ),
        (signed(picture(), created("digitalCapture"), components=[GENERATED])[0], Origin.EDITED, Credentials.TRUSTED, "contains"),
        (signed(picture(), created("humanEdits"))[0], None, Credentials.TRUSTED, "does not state"),
        (CAPTURED[:-90] + bytes([CAPTURED[-90] ^ 1]) + CAPTURED[-89:], None, Credentials.INVALID, "assertion.dataHash.mismatch"),
        (
            signed(picture(), created("digitalCapture"), link="https://credentials.example/a.c2pa", embed=False)[0],
            None, Credentials.REMOTE, "not fetched",
        ),
    ],
    ids=[
        "unsigned", "captured", "generated", "a signer that is not trusted", "an edit of what was generated", "an edit of what was captured",
        "a copy of what was captured", "edited by a model", "with a generated part", "no origin stated", "changed afterwards", "credentials elsewhere",
    ],
)  # fmt: skip
def test_the_origin_of_a_signed_picture_is_what_its_credentials_state(pool, folder, content, origin, credentials, evidence):
    file = folder / "signed.jpg"
    file.write_bytes(content)
    found = stated(pool, file).provenance
    assert (found.origin, found.credentials) == (origin, credentials)
    assert evidence in found.evidence


def test_a_parent_whose_credentials_do_not_match_proves_nothing(pool, folder):
    forged = bytearray(GENERATED)
    forged[-90] ^= 1
    file = folder / "edited.jpg"
    file.write_bytes(signed(bytes(forged), [{"action": "c2pa.color_adjustments"}], edits=True)[0])
    report = stated(pool, file)
    assert report.provenance.origin is None
    assert report.claim is not None
    assert any("mismatch" in problem for problem in report.claim.made_from[0].problems)


def test_who_made_what_of_what_is_a_tree(pool, folder):
    file = folder / "tree.jpg"
    file.write_bytes(signed(GENERATED, [{"action": "c2pa.cropped"}], edits=True, title="cropped")[0])
    claim = stated(pool, file).claim
    assert claim is not None
    assert (claim.title, claim.signer, claim.software, claim.relation) == ("cropped", "Newsroom", "sample-maker 1.0", "")
    assert claim.actions == ("c2pa.opened", "c2pa.cropped")
    (parent,) = claim.made_from
    assert (parent.relation, parent.sources, parent.problems) == (
        "parent",
        ("trainedAlgorithmicMedia",),
        ("signingCredential.untrusted",),  # as whoever edited it saw it
    )


def test_credentials_beside_a_picture_are_its_own(pool, folder):
    content, manifest = signed(picture((9, 9, 9)), created("digitalCapture"), embed=False)
    file = folder / "beside.jpg"
    file.write_bytes(content)
    assert pool.provenance(file).evidence == ()
    file.with_suffix(".c2pa").write_bytes(manifest)
    assert pool.provenance(file).provenance.origin is Origin.CAPTURED
    file.write_bytes(picture((9, 9, 200)))
    assert pool.provenance(file).provenance.credentials is Credentials.INVALID


@pytest.mark.parametrize(
    ("name", "form", "mime"),
    [
        ("a.png", "PNG", "image/png"),
        ("a.webp", "WEBP", "image/webp"),
        ("a.gif", "GIF", "image/gif"),
        ("a.tif", "TIFF", "image/tiff"),
    ],
)
def test_other_formats_carry_credentials(pool, folder, name, form, mime):
    file = folder / name
    file.write_bytes(signed(picture(form=form), created("trainedAlgorithmicMedia"), form=mime)[0])
    assert stated(pool, file).provenance.origin is Origin.GENERATED


def xmp(code: str) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="'
        + (make.SOURCES + code).encode() + b'"/></rdf:RDF></x:xmpmeta>'
    )  # fmt: skip


def comment(text: str) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif


def texts(**pairs: str) -> PngInfo:
    info = PngInfo()
    for key, text in pairs.items():
        info.add_text(key, text)
    return info


SAMPLED = "a red fox, Steps: 20, Sampler: Euler a, CFG scale: 7"


@pytest.mark.parametrize(
    ("name", "content", "origin"),
    [
        ("x.jpg", picture(xmp=xmp("trainedAlgorithmicMedia")), Origin.GENERATED),
        ("x.jpg", picture(xmp=xmp("digitalCapture")), Origin.CAPTURED),
        ("x.jpg", picture(xmp=xmp("somethingElse")), None),
        ("x.jpg", picture(exif=comment(SAMPLED)), Origin.GENERATED),
        ("x.jpg", picture(exif=comment("Steps: up the tower")), None),
        ("x.png", picture(form="PNG", pnginfo=texts(parameters=SAMPLED)), Origin.GENERATED),
        ("x.png", picture(form="PNG", pnginfo=texts(prompt=json.dumps({"3": {"class_type": "KSampler"}}))), Origin.GENERATED),
        ("x.png", picture(form="PNG", pnginfo=texts(prompt="Describe the harbour")), None),
        ("x.png", picture(form="PNG", pnginfo=texts(parameters="aperture 2.8")), None),
    ],
)
def test_what_xmp_and_generators_write_is_evidence_and_other_text_is_not(pool, folder, name, content, origin):
    file = folder / name
    file.write_bytes(content)
    found = stated(pool, file).provenance
    assert (found.origin, found.credentials) == (origin, None)
    assert ("unsigned" in found.evidence) == (origin is not None)


def test_what_invalid_credentials_cover_is_not_believed_from_elsewhere(pool, folder):
    content, _ = signed(picture(xmp=xmp("digitalCapture")), created("digitalCapture"))
    file = folder / "invalid.jpg"
    file.write_bytes(content[:-90] + bytes([content[-90] ^ 1]) + content[-89:])
    found = stated(pool, file).provenance
    assert (found.origin, found.credentials) == (None, Credentials.INVALID)


def test_a_film_carries_credentials_and_is_decoded_as_before(pool, folder):
    import av
    import numpy as np

    plain = folder / "plain.mp4"
    with av.open(str(plain), "w") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for level in range(20):
            container.mux(track.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * level, np.uint8))))
        container.mux(track.encode())
    file = folder / "signed.mp4"
    file.write_bytes(signed(plain.read_bytes(), created("trainedAlgorithmicMedia"), form="video/mp4")[0])
    needs = replace(NEEDS, rate=16_000)
    before, after = (list(pool.decode(path, needs)) for path in (plain, file))
    assert after[0].provenance.origin is Origin.GENERATED
    assert [(type(one), getattr(one, "span", None)) for one in before] == [
        (type(one), getattr(one, "span", None)) for one in after
    ]


@pytest.mark.parametrize(
    ("name", "codec", "mime"),
    [
        ("a.wav", "pcm_s16le", "audio/wav"), ("a.flac", "flac", "audio/flac"), ("a.mp3", "mp3", "audio/mpeg"),
        ("a.m4a", "aac", "audio/mp4"), ("a.avi", "pcm_s16le", "video/avi"),
    ],
)  # fmt: skip
def test_sounds_carry_credentials(pool, folder, name, codec, mime):
    import av
    import numpy as np

    file = folder / name
    with av.open(str(file), "w") as container:
        track = container.add_stream(codec, rate=44_100, layout="mono")
        tone = (8_000 * np.sin(np.arange(44_100) / 20)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(track.format, "mono", 44_100, frame_size=track.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(track.encode(part))
        container.mux(track.encode())
    plain = file.read_bytes()
    assert pool.provenance(file).evidence == ()
    file.write_bytes(signed(plain, created("trainedAlgorithmicMedia"), form=mime)[0])
    assert pool.provenance(file).provenance.origin is Origin.GENERATED


@pytest.mark.parametrize("content", [b"", b"no certificate"])
def test_anchors_that_are_none_are_refused(settings, folder, content):
    file = folder / "none.pem"
    file.write_bytes(content)
    with pytest.raises(InputError, match="trust_anchors"):
        DecodePool(replace(settings, trust_anchors=str(file)), 1)
    with pytest.raises(InputError, match="No such file"):
        DecodePool(replace(settings, trust_anchors=str(folder / "absent.pem")), 1)


def test_credentials_that_are_cut_or_nested_are_told_and_the_picture_is_read(pool, folder):
    file = folder / "cut.jpg"
    at = CAPTURED.index(b"c2pa.signature")
    file.write_bytes(CAPTURED[:at] + bytes(40) + CAPTURED[at + 40 :])
    assert stated(pool, file).provenance.credentials is Credentials.INVALID
    deep = CAPTURED
    for _ in range(25):
        deep = signed(deep, [{"action": "c2pa.cropped"}], edits=True)[0]
    file.write_bytes(deep)
    found = stated(pool, file)
    depth, claim = 0, found.claim
    while claim and claim.made_from:
        depth, claim = depth + 1, claim.made_from[0]
    assert depth == 20
    assert found.provenance.credentials is Credentials.TRUSTED


@pytest.mark.parametrize("suffix", ["pdf", "mkv", "ogg"])
def test_credentials_in_a_format_that_is_not_read_are_told(pool, folder, suffix):
    """The box of credentials of a signed picture, attached to a file of another format; without it, nothing is told."""
    plain = folder / f"plain.{suffix}"
    if suffix == "pdf":
        plain.write_bytes(pdf("A red bus stops."))
    elif suffix == "mkv":
        write_video(plain, [("red", 1.0)])
    else:
        write_sound(plain, tone(440, 1))
    file = plain.with_stem("signed")
    file.write_bytes(plain.read_bytes() + GENERATED[GENERATED.index(b"jumb") - 4 :][:20_000])
    needs = Needs(32, "squash", 16_000, 1_000, 100)
    for of, told in ((plain, 0), (file, 1)):
        found = list(pool.decode(of, needs))
        assert [one.detail for one in found if isinstance(one, Gap) and one.reason == "credentials"] == told * [
            "content credentials that are not read in this format"
        ]
        assert (pool.provenance(of).evidence == ("It has content credentials that are not read in this format.",)) == bool(told)
        assert pool.provenance(of).provenance.credentials is None
