"""ImageBind: the same vectors as the reference implementation from the same weights, and nothing loaded that is not such a model."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
safetensors = pytest.importorskip("safetensors.torch")

from search import encoders  # noqa: E402
from search.encoders import imagebind  # noqa: E402
from search.encoders.imagebind.checkpoint import UNUSED, read_sizes  # noqa: E402
from search.encoders.imagebind.encoder import CLIP_SAMPLES, ImageBindEncoder, _clips  # noqa: E402
from search.encoders.imagebind.fbank import FRAME, MEL_BINS, SAMPLE_RATE, SHIFT, fbank, frames  # noqa: E402
from search.encoders.imagebind.towers import TOWERS, Sizes, tower  # noqa: E402
from search.errors import ModelMissing, UnknownName  # noqa: E402
from search.types import NEAREST_METRES, Modality  # noqa: E402
from tests.fakes import tiny_imagebind  # noqa: E402

WEIGHTS = "imagebind_huge.safetensors"
MEAN, STD = np.float32([0.48145466, 0.4578275, 0.40821073]), np.float32([0.26862954, 0.26130258, 0.27577711])
TEXTS = ["A dog runs along the beach.", "ünïcode 漢字 🐘 &amp; more", "word " * 75, ""]


@pytest.fixture(scope="module")
def reference():
    """The published model code at a tiny size, with seeded random weights; of what it imports, little is needed."""
    if importlib.util.find_spec("imagebind") is None:
        pytest.skip("imagebind-unofficial is not installed")
    stubs = {
        name: types.ModuleType(name) for name in ("einops", "iopath", "iopath.common", "iopath.common.file_io", "imagebind.data")
    }
    stubs["einops"].rearrange = lambda tensor, _: tensor.transpose(0, 1)
    stubs["iopath.common.file_io"].g_pathmgr = types.SimpleNamespace(open=open)
    with pytest.MonkeyPatch.context() as patch:
        for name, stub in stubs.items():
            patch.setitem(sys.modules, name, stub)
        from imagebind.models.imagebind_model import ImageBindModel

        sizes = {f"{name}_embed_dim": 32 for name in TOWERS} | {f"{name}_num_blocks": 2 for name in TOWERS}
        model = ImageBindModel(out_embed_dim=64, **sizes, **{f"{name}_num_heads": 4 for name in TOWERS}).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    return model


@pytest.fixture(scope="module")
def ours(reference, tmp_path_factory) -> ImageBindEncoder:
    folder = tmp_path_factory.mktemp("reference")
    (folder / "config.json").write_text(json.dumps(tiny_imagebind.SIZES))
    safetensors.save_file({key: weight.contiguous() for key, weight in reference.state_dict().items()}, folder / WEIGHTS)
    return imagebind.load(tiny_imagebind.model(folder), "cpu")


def expected(reference, tower: str, inputs) -> np.ndarray:
    """The reference's vectors, at unit length: it stretches those of some towers."""
    with torch.inference_mode():
        return torch.nn.functional.normalize(reference({tower: torch.as_tensor(inputs)})[tower], dim=-1).numpy()


def coloured(pictures: np.ndarray) -> np.ndarray:
    """Pictures (…, H, W, 3) uint8 as the official code has them: (…, 3, H, W) float32."""
    return np.moveaxis((pictures / np.float32(255) - MEAN) / STD, -1, -3)


def official_spectrogram(sound: np.ndarray) -> np.ndarray:
    """(1, BINS, 204) of a clip, with the filter banks of transformers in torchaudio's place; which of its own accord pads none."""
    audio = pytest.importorskip("transformers.audio_utils")
    with warnings.catch_warnings(action="ignore"):  # that the lowest filters lie between two frequencies
        filters = audio.mel_filter_bank(
            257, MEL_BINS, 20, SAMPLE_RATE / 2, SAMPLE_RATE, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
        )
    found = audio.spectrogram(
        sound - sound.mean(), audio.window_function(FRAME, "hann", periodic=False), FRAME, SHIFT, 512, power=2.0, center=False,
        preemphasis=0.97, mel_filters=filters, log_mel="log", mel_floor=1.192092955078125e-07, remove_dc_offset=True,
    )  # fmt: skip
    padded = np.pad(found, ((0, 0), (0, max(0, 204 - found.shape[1]))))[:, :204]
    return ((padded - -4.268) / 9.138)[None].astype(np.float32)


@pytest.fixture(scope="module")
def cases() -> dict[str, tuple[Modality, list, str, np.ndarray]]:
    """Name -> modality and contents for our encoder, tower and inputs for the reference."""
    rng = np.random.default_rng(11)
    pictures = rng.integers(0, 256, (3, 224, 224, 3), np.uint8)
    shots = [rng.integers(0, 256, (4, 224, 224, 3), np.uint8) for _ in range(2)]
    clips = np.stack([shot.reshape(2, 2, 224, 224, 3) for shot in shots])
    long = [rng.uniform(-0.5, 0.5, 80_000).astype(np.float32) + np.float32(0.1) for _ in range(2)]
    short = [rng.uniform(-0.5, 0.5, 12_345).astype(np.float32)]
    grey = rng.random((3, 224, 224), np.float32)
    motion = rng.normal(0, 3, (3, 6, 2000)).astype(np.float32)
    spectrograms = np.stack(
        [[official_spectrogram(sound[at : at + CLIP_SAMPLES]) for at in (0, 24_000, 48_000)] for sound in long]
    )
    return {
        "image": (Modality.IMAGE, list(pictures), "vision", coloured(pictures)),
        "video": (Modality.VIDEO, shots, "vision", np.moveaxis(coloured(clips), -4, -3)),
        "audio": (Modality.AUDIO, long, "audio", spectrograms),
        "short audio": (Modality.AUDIO, short, "audio", official_spectrogram(short[0])[None, None]),
        "depth": (Modality.DEPTH, list(grey), "depth", ((0.075 * 518.86 / 600 / NEAREST_METRES * grey - 0.0418) / 0.0295)[:, None].astype(np.float32)),
        "thermal": (Modality.THERMAL, list(grey), "thermal", grey[:, None]),
        "imu": (Modality.IMU, list(motion), "imu", motion),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["image", "video", "audio", "short audio", "depth", "thermal", "imu"])
def test_vectors_are_those_of_the_reference(reference, ours, cases, name):
    modality, contents, tower, inputs = cases[name]
    found, wanted = ours.encode(modality, contents), expected(reference, tower, inputs)
    error = np.abs(found - wanted).max()
    print(f"{name}: {error:.1e}")
    assert error < 1e-4
    assert len(found) == 1 or np.abs(wanted[0] - wanted[1]).max() > 1e-3  # the towers do look at what they are given


def test_texts_are_cut_into_pieces_and_encoded_as_by_the_reference(reference, ours):
    module = sys.modules["imagebind.models.multimodal_preprocessors"]
    tokenizer = module.SimpleTokenizer(str(Path(module.__file__).parents[1] / "bpe" / "bpe_simple_vocab_16e6.txt.gz"))
    wanted = expected(reference, "text", torch.stack([tokenizer(text) for text in TEXTS]))
    error = np.abs(ours.encode(Modality.TEXT, TEXTS) - wanted).max()
    print(f"text: {error:.1e}")
    assert error < 1e-4


def test_a_text_that_is_too_long_is_the_mean_of_its_pieces(ours):
    whole, part, rest = ours.encode(Modality.TEXT, ["word " * 100, "word " * 75, "word " * 25])
    mean = 77 * part + 27 * rest
    assert np.allclose(whole, mean / np.linalg.norm(mean), atol=1e-5)


# Filter banks.


def test_a_tone_shows_at_its_pitch_and_silence_is_the_floor():
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz in (300, 1000, 4000):
        energies = fbank(torch.sin(2 * torch.pi * hertz * time)).mean(0)
        mel = 1127 * np.log1p(np.array([20, 8000, hertz]) / 700)
        assert abs(int(energies.argmax()) - ((mel[2] - mel[0]) / (mel[1] - mel[0]) * (MEL_BINS + 1) - 1)) < 1.5
    assert torch.equal(fbank(torch.zeros(FRAME)), torch.full((1, MEL_BINS), np.log(np.float32(1.1920929e-07))))


def test_a_constant_does_not_show_and_twice_as_loud_is_four_times_the_energy():
    noise = torch.rand(5000, generator=torch.Generator().manual_seed(0)) - 0.5
    assert torch.allclose(fbank(noise + 0.25), fbank(noise), atol=2e-3)
    louder = fbank(2 * noise) - fbank(noise)
    assert louder[fbank(noise) > -15].numpy() == pytest.approx(
        np.log(4), abs=1e-4
    )  # the lowest filters lie between two frequencies
    assert [frames(samples) for samples in (0, 399, 400, 559, 560, 32_000)] == [0, 0, 1, 1, 2, 198]
    assert fbank(noise).shape == (frames(5000), MEL_BINS)


def test_filter_banks_are_those_of_torchaudio():
    """Means over time of every sixteenth band that torchaudio 2.11's ``compliance.kaldi.fbank`` gives of this sound, called as the official code does."""
    time = np.arange(8000) / SAMPLE_RATE
    sound = torch.tensor(
        0.4 * np.sin(2 * np.pi * (200 + 1500 * time) * time) + 0.2 * np.sin(9000 * time**2) + 0.05, dtype=torch.float32
    )
    energies = fbank(sound).double()
    assert energies.shape == (48, MEL_BINS)
    assert energies.mean(0)[::16].tolist() == pytest.approx(
        [-9.6116, -10.4732, -7.4606, -6.6788, -13.6287, -15.9223, -15.9424, -15.9424], abs=1e-3
    )


@pytest.mark.parametrize(
    ("samples", "starts"), [(1, [0]), (CLIP_SAMPLES, [0]), (CLIP_SAMPLES + 100, [0, 50, 100]), (80_000, [0, 24_000, 48_000])]
)
def test_clips_lie_at_the_beginning_in_the_middle_and_at_the_end(samples, starts):
    assert [int(clip[0]) for clip in _clips(np.arange(samples, dtype=np.float32))] == starts


# What is loaded, and what is not.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tiny_imagebind.write(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A model of its own to damage."""
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refused(folder: Path) -> ModelMissing:
    with pytest.raises(ModelMissing) as caught:
        imagebind.load(tiny_imagebind.model(folder), "cpu")
    assert caught.value.remedy
    return caught.value


def rewritten(folder: Path, change) -> None:
    weights = safetensors.load_file(folder / WEIGHTS)
    change(weights)
    safetensors.save_file(weights, folder / WEIGHTS)


KEY = "modality_trunks.audio.blocks.1.attn.bias_k"


def test_a_missing_weight_is_named(folder):
    rewritten(folder, lambda weights: weights.pop(KEY))
    assert KEY in str(refused(folder))
    assert WEIGHTS in str(refused(folder))


@pytest.mark.parametrize("wrong", [torch.zeros(1, 1, 31), torch.zeros(32), torch.zeros(1, 1, 32, dtype=torch.int64)])
def test_a_weight_of_another_shape_or_kind_is_named(folder, wrong):
    rewritten(folder, lambda weights: weights.update({KEY: wrong}))
    assert KEY in str(refused(folder))


def test_a_weight_that_no_such_model_has_is_named(folder):
    rewritten(folder, lambda weights: weights.update({"modality_trunks.audio.blocks.2.norm_1.bias": torch.zeros(32)}))
    assert "blocks.2" in str(refused(folder))


def test_a_weight_that_is_no_number_is_named_when_its_tower_is_loaded(folder):
    rewritten(folder, lambda weights: weights[KEY].fill_(float("nan")))
    encoder = imagebind.load(tiny_imagebind.model(folder), "cpu")
    encoder.encode(Modality.TEXT, ["a dog"])
    with pytest.raises(ModelMissing, match=KEY):
        encoder.encode(Modality.AUDIO, [np.zeros(800, np.float32)])


@pytest.mark.parametrize("length", [0, 5, 2000, -1])
def test_weights_that_are_cut_short_are_named(folder, length):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    assert WEIGHTS in str(refused(folder))


def test_weights_that_are_no_safetensors_are_named(folder):
    (folder / WEIGHTS).write_bytes(b"\xff" * 4000)
    assert WEIGHTS in str(refused(folder))


@pytest.mark.parametrize("name", ["imagebind_huge.pth", "pytorch_model.bin"])
def test_a_pickle_is_never_loaded_and_how_to_convert_it_is_told(folder, name):
    (folder / WEIGHTS).rename(folder / name)
    error = refused(folder)
    assert name in str(error)
    assert "pickle" in str(error)
    assert "torch.load" in error.remedy


def test_an_empty_folder_says_what_is_not_there(tmp_path):
    assert WEIGHTS in str(refused(tmp_path))


@pytest.mark.parametrize("told", [
    "", "[]", "7", "{", '"huge"', "[" * 100_000, '{"dim": "64"}', '{"dim": 0}', '{"dim": true}', '{"dim": 1e9}', '{"width": 3}',
    '{"vision": 32}', '{"vision": {"width": 32}}', '{"vision": {"width": 30, "blocks": 2, "heads": 4}}',
    '{"vision": {"width": 32, "blocks": -1, "heads": 4}}', '{"vision": {"width": 32, "blocks": 99999999, "heads": 4}}',
])  # fmt: skip
def test_a_configuration_that_gives_no_sizes_is_named(folder, told):
    (folder / "config.json").write_text(told)
    assert "config.json" in str(refused(folder))


def test_without_a_configuration_the_sizes_are_those_of_huge(folder):
    (folder / "config.json").unlink()
    assert read_sizes(folder / "config.json") == Sizes()
    assert WEIGHTS in str(refused(folder))


def test_huge_has_the_weights_of_the_official_file(reference, monkeypatch):
    monkeypatch.setattr(torch, "linspace", lambda *range_: [torch.zeros((), device="cpu")] * range_[2])  # it is asked for values
    with torch.device("meta"):
        official = type(reference)(
            vision_embed_dim=1280, vision_num_blocks=32, text_embed_dim=1024, text_num_blocks=24, text_num_heads=16, out_embed_dim=1024,
        ).state_dict()  # fmt: skip
        ours = {key: weight.shape for name in TOWERS for key, weight in tower(name, Sizes()).state_dict().items()}
    assert ours == {key: weight.shape for key, weight in official.items() if not key.startswith(UNUSED)}


def test_a_model_on_the_hub_may_be_called_as_the_hub_calls_it_and_be_in_half_precision(folder):
    weights = {key: weight.half() for key, weight in safetensors.load_file(folder / WEIGHTS).items()}
    (folder / WEIGHTS).unlink()
    safetensors.save_file(weights, folder / "model.safetensors")
    encoder = imagebind.load(tiny_imagebind.model(folder), "cpu")
    assert encoder.encode(Modality.TEXT, ["a dog"]).dtype == np.float32


def test_towers_are_loaded_when_they_are_needed(folder):
    encoder = imagebind.load(tiny_imagebind.model(folder), "cpu")
    assert not encoder._functions
    encoder.encode(Modality.TEXT, ["a dog"])
    assert [*encoder._functions] == ["text"]


def test_a_still_shot_is_its_picture_and_frames_are_seen_in_pairs(folder):
    encoder, rng = imagebind.load(tiny_imagebind.model(folder), "cpu"), np.random.default_rng(1)
    a, b, c = rng.integers(0, 256, (3, 224, 224, 3), np.uint8)
    alone = encoder.encode(Modality.IMAGE, [a, c])
    shots = encoder.encode(Modality.VIDEO, [a[None], np.stack([a, a]), np.stack([a, b, c]), np.stack([a, b]), c[None]])
    assert np.allclose(shots[0], alone[0], atol=1e-5)
    assert np.allclose(shots[1], alone[0], atol=1e-5)
    assert np.allclose(shots[4], alone[1], atol=1e-5)
    mean = shots[3] + shots[4]
    assert np.allclose(shots[2], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_space_takes_everything_and_says_what_it_wants(folder):
    encoder = imagebind.load(tiny_imagebind.model(folder), "cpu")
    assert encoder.space.accepts == set(Modality)
    assert (encoder.space.name, encoder.space.family, encoder.space.model) == ("imagebind:tiny", "imagebind", "tiny")
    assert (encoder.needs.size, encoder.needs.fit, encoder.needs.rate, encoder.needs.filter) == (224, "crop", 16_000, "bicubic")


def test_the_licence_has_to_be_accepted():
    source = imagebind.source("huge")
    assert source.licence == "CC-BY-NC-4.0"
    assert "commercial" in source.notice
    assert not any(name.endswith((".pth", ".bin")) for name in source.files)
    with pytest.raises(UnknownName, match="tiny"):
        imagebind.source("tiny")


def test_importing_the_family_loads_no_framework():
    code = "import sys, search.encoders.imagebind; print([name for name in ('torch', 'open_clip', 'safetensors') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_it_is_found_by_its_name():
    assert encoders.family("imagebind:huge") is imagebind


def test_in_half_precision_as_on_a_gpu_vectors_point_the_same_way(folder):
    exact, coarse = (imagebind.load(tiny_imagebind.model(folder), "cpu") for _ in range(2))
    coarse._runner.dtype = torch.bfloat16
    rng = np.random.default_rng(5)
    pictures, grey = rng.integers(0, 256, (2, 224, 224, 3), np.uint8), rng.random((2, 224, 224), np.float32)
    contents = {
        Modality.IMAGE: list(pictures), Modality.VIDEO: [pictures], Modality.TEXT: TEXTS, Modality.DEPTH: list(grey),
        Modality.AUDIO: [rng.uniform(-0.5, 0.5, 80_000).astype(np.float32)], Modality.THERMAL: list(grey),
        Modality.IMU: [rng.normal(0, 2, (6, 2000)).astype(np.float32)],
    }  # fmt: skip
    for modality, batch in contents.items():
        found = coarse.encode(modality, batch)
        assert found.dtype == np.float32
        assert (found * exact.encode(modality, batch)).sum(axis=1).min() > 0.98, modality


def test_a_track_is_no_motion_that_it_knows(tmp_path):
    encoder = tiny_imagebind.build(tmp_path)
    with pytest.raises(ValueError, match="holds positions"):
        encoder.encode(Modality.IMU, [np.ones((3, 20), np.float32)])
