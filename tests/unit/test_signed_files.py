"""Signed exports: what was made of a file carries credentials that say so, and those of the file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from search.errors import InputError, MediaError
from search.media import DecodePool
from search.media.signed_files import SigningKey, credentialed
from search.types import Credentials, Origin
from tests.media_samples import tone
from tests.signed import chain, created, picture, signed
from tests.unit.media_pool import settings

pytest.importorskip("c2pa")

CUT = ("c2pa.trimmed", "c2pa.transcoded")


@pytest.fixture
def key(tmp_path) -> SigningKey:
    certificates, private, _ = chain("Desk")
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "chain.pem").write_bytes(certificates)
    return SigningKey.read(tmp_path / "key.pem", tmp_path / "chain.pem")


def told(content: bytes, path: Path):
    path.write_bytes(content)
    with DecodePool(settings(), 1) as pool:
        return pool.provenance(path)


def test_a_picture_made_of_a_generated_one_says_so_by_the_credentials_of_its_source(key, tmp_path):
    source = tmp_path / "källa.jpg"
    source.write_bytes(signed(picture(), created("trainedAlgorithmicMedia"))[0])
    made = credentialed(source, "one", "jpg", picture((1, 2, 3)), ("c2pa.resized.proportional",), key)
    report = told(made, tmp_path / "made.jpg")
    assert (report.provenance.credentials, report.provenance.origin) == (Credentials.VALID, Origin.GENERATED)
    assert (report.claim.signer, report.claim.title) == ("Desk", "one.jpg")
    assert (report.claim.actions, report.claim.sources) == (("c2pa.opened", "c2pa.resized.proportional"), ("humanEdits",))
    (parent,) = report.claim.made_from
    assert (parent.relation, parent.title, parent.signer, parent.sources) == (
        "parent",
        "källa.jpg",
        "Newsroom",
        ("trainedAlgorithmicMedia",),
    )
    changed = (
        made.replace(picture((1, 2, 3))[-40:], picture((9, 9, 9))[-40:])
        if picture((1, 2, 3))[-40:] in made
        else made[:-3] + b"abc"
    )
    assert told(changed, tmp_path / "changed.jpg").provenance.credentials is Credentials.INVALID


def test_sources_that_carry_no_credentials_are_named_and_sounds_and_films_are_signed(key, tmp_path):
    plain, ogg = tmp_path / "plain.jpg", tmp_path / "a.mkv"
    plain.write_bytes(picture())
    ogg.write_bytes(b"\x1aE\xdf\xa3 no credentials fit in here")
    import av

    for suffix, name in (("flac", "flac"), ("mp4", "aac")):
        with av.open(tmp_path / f"a.{suffix}", "w") as file:
            stream = file.add_stream(name, rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray((tone(440, 1, 16_000) * 32767).astype("<i2")[None], "s16", "mono")
            frame.sample_rate = 16_000
            for one in (frame, None):
                file.mux(stream.encode(one))
        for source in (plain, ogg):
            made = credentialed(source, "cut", suffix, (tmp_path / f"a.{suffix}").read_bytes(), CUT, key)
            report = told(made, tmp_path / f"made.{suffix}")
            assert report.provenance.credentials is Credentials.VALID
            assert [(one.relation, one.title, one.signer) for one in report.claim.made_from] == [("parent", source.name, "")]


def test_what_cannot_be_signed_is_said_and_a_key_never_is(key, tmp_path, caplog):
    with pytest.raises(InputError, match="carry no content credentials"):
        credentialed(tmp_path / "key.pem", "a", "mkv", b"", CUT, key)
    with pytest.raises(MediaError, match="cannot be signed"):
        credentialed(tmp_path / "key.pem", "a", "jpg", b"no picture", CUT, key)
    with pytest.raises(MediaError):
        credentialed(tmp_path / "gone.jpg", "a", "jpg", picture(), CUT, key)
    private = (tmp_path / "key.pem").read_text()
    line = private.splitlines()[1]
    (tmp_path / "torn.pem").write_text(private[:80])
    (tmp_path / "locked.pem").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    (tmp_path / "other.pem").write_bytes(chain("Other")[0])
    for name, certificates, said in (
        ("torn.pem", "chain.pem", "holds no private key"), ("locked.pem", "chain.pem", "without a password"), ("chain.pem", "chain.pem", "no private key"),
        ("key.pem", "key.pem", "no certificates"), ("key.pem", "other.pem", "not the one"), ("gone.pem", "chain.pem", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said) as refused:
            SigningKey.read(tmp_path / name, tmp_path / certificates)
        assert line[:20] not in str(refused.value)
    assert line[:20] not in repr(key) + caplog.text


def test_the_command_signs_what_it_exports(tmp_path, key, settings_with_pictures):
    home, answer = settings_with_pictures
    from typer.testing import CliRunner

    from ui.cli import app

    arguments = ["export", str(answer), "--home", str(home), "--to", str(tmp_path / "a.zip"), "--json"]
    signing = ["--sign", str(tmp_path / "key.pem"), str(tmp_path / "chain.pem")]
    done = CliRunner().invoke(app, [*arguments, "--format", "pictures", *signing])
    assert done.exception is None, done.exception
    assert json.loads(done.stdout)["left_out"] == {}
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "out")
    (made,) = (tmp_path / "out").glob("*.jpg")
    assert told(made.read_bytes(), tmp_path / "made.jpg").claim.made_from[0].title == "red.png"
    refused = CliRunner().invoke(app, [*arguments, "--format", "csv", *signing])
    assert "is not signed" in str(refused.exception)


@pytest.fixture
def settings_with_pictures(tmp_path):
    from indexer.run import RunRequest, index
    from search.settings import Settings
    from tests.fakes.encoder import FakeEncoder
    from tests.media_samples import picture as coloured

    (tmp_path / "media").mkdir()
    coloured("red").save(tmp_path / "media" / "red.png")
    held = Settings(home=tmp_path / "home")
    index(held, RunRequest([tmp_path / "media"]), encoder=FakeEncoder())
    hit = {"asset": {"id": 1}, "span": None, "channel": "visual", "confidence": None, "evidence": {}}
    (tmp_path / "answer.json").write_text(json.dumps({"hits": [hit]}))
    return held.home, tmp_path / "answer.json"
