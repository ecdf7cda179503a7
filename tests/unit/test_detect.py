"""The detect family, on tiny models with random weights in the layouts that the hub has, beside transformers' own processing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from search import readers
from search.encoders.device import DeviceRunner
from search.errors import InputError, ModelMissing
from search.media import DecodePool
from search.models import Model, Models
from search.readers.detect import checked
from search.readers.detect.detector import Boxes, Detector, GroundingDino, OmDetTurbo, Owlv2
from search.readers.detect.reader import MOST_THINGS, SIDE_PIXELS, ThingReader
from search.types import Channel, Cut, Gap, Info, Modality, Span
from tests.fakes import tiny_detect
from tests.fakes.tiny_detect import KINDS, LABELS, SIDE
from tests.unit import media_pool

WIDE = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
RED = (255, 0, 0)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(media_pool.settings(), 1) as made:
        yield made


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: tiny_detect.write(tmp_path_factory.mktemp(kind) / "model", kind) for kind in KINDS}


def load(folder: Path, labels=LABELS) -> ThingReader:
    return readers.load(f"detect:{folder}", Models(folder.parent), "cpu", labels)


@pytest.fixture(scope="module")
def loaded(folders) -> dict[str, ThingReader]:
    return {kind: load(folder) for kind, folder in folders.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_those_that_transformers_makes_itself(kind, folders, loaded, monkeypatch):
    detector = loaded[kind]._detector
    monkeypatch.setattr(type(detector), "threshold", 0.0)
    processor = AutoProcessor.from_pretrained(folders[kind])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folders[kind]).eval()
    inputs = processor(images=Image.fromarray(WIDE), text=[list(LABELS)], return_tensors="pt")
    with torch.inference_mode():
        told = model(**inputs)
        corners, scores, labels = detector.raw(WIDE, LABELS)
    (theirs,) = processor.post_process_grounded_object_detection(told, threshold=0.0, target_sizes=[(48, 80)])
    assert len(corners) == len(theirs["boxes"]) > 3
    torch.testing.assert_close(corners, theirs["boxes"], atol=1e-4, rtol=1e-4)
    if isinstance(detector, GroundingDino):  # whose scores are of tokens, and whose labels are loose words
        named = told.logits[0].argmax(dim=1)[:, None] == torch.tensor([at for some in detector._tokens(LABELS) for at in some])
        torch.testing.assert_close(scores[named.any(dim=1)], theirs["scores"][named.any(dim=1)], atol=1e-4, rtol=1e-4)
        assert (scores <= theirs["scores"] + 1e-4).all()
    else:
        torch.testing.assert_close(scores, theirs["scores"], atol=1e-4, rtol=1e-4)
        assert torch.equal(labels, theirs["labels"])


class Oracle(torch.nn.Module):
    """Sees the red rectangle in what the processor made of a picture, and tells its box as a model of one of the kinds would."""

    config = SimpleNamespace(text_config=SimpleNamespace(max_position_embeddings=16))

    def __init__(self) -> None:
        super().__init__()
        self.owlv2 = SimpleNamespace(get_text_features=lambda input_ids, **_: torch.zeros(len(input_ids), 1))

    def box(self, pixels: torch.Tensor) -> torch.Tensor:
        at = (pixels[0, 0] > pixels[0, 1] + 1).nonzero()
        size = torch.tensor(pixels.shape[2:])
        first, last = at.min(dim=0).values / size, (at.max(dim=0).values + 1) / size
        return torch.cat([((first + last) / 2).flip(0), (last - first).flip(0)])[None, None]

    def image_embedder(self, pixel_values):
        return pixel_values, None

    def class_predictor(self, features, asked):
        return torch.full((1, 1, asked.shape[1]), 4.0), None

    def box_predictor(self, features, cells):
        return self.box(cells)

    def forward(self, pixel_values, input_ids, **_):
        return SimpleNamespace(logits=torch.full((1, 1, input_ids.shape[1]), 4.0), pred_boxes=self.box(pixel_values))


@pytest.fixture(scope="module")
def oracles(folders) -> dict[str, Detector]:
    found = {}
    for kind, of in (("owlv2", Owlv2), ("grounding-dino", GroundingDino)):
        processor = AutoProcessor.from_pretrained(folders[kind])
        size = {"height": 256, "width": 256} if kind == "owlv2" else {"shortest_edge": 256, "longest_edge": 512}
        processor.image_processor.size = size
        found[kind] = of(DeviceRunner("cpu"), Oracle(), processor, ("red",))
    return found


@pytest.mark.parametrize("kind", ["owlv2", "grounding-dino"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(60, 300), st.integers(60, 300)), turn=st.sampled_from([1, 3, 6, 8]),
    corner=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)), part=st.tuples(st.floats(0.2, 0.4), st.floats(0.2, 0.4)),
)  # fmt: skip
def test_a_box_survives_turns_scaling_and_letterbox_to_a_pixel(kind, oracles, pool, tmp_path, size, turn, corner, part):
    """From a file with an EXIF orientation through our decoder, and through the scaling and padding of each kind of model."""
    width, height = size
    left, top = int(corner[0] * width), int(corner[1] * height)
    right, bottom = left + max(int(part[0] * width), 12), top + max(int(part[1] * height), 12)
    shown = Image.new("RGB", size, "black")
    shown.paste(RED, (left, top, right, bottom))
    stored = (
        shown.transpose({3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[turn])
        if turn > 1
        else shown
    )
    exif, file = Image.Exif(), tmp_path / "turned.png"
    exif[0x0112] = turn
    stored.save(file, exif=exif)
    reader = ThingReader(Model("detect:oracle", Path(), "1"), oracles[kind])
    info, *cuts = pool.decode(file, reader.needs)
    (thing,) = reader.read(info, cuts)
    pixel = max(1.0, max(size) / 256)  # of the picture, or of what the model sees of it
    found = [
        thing.box[0] * width / 100,
        thing.box[1] * height / 100,
        (thing.box[0] + thing.box[2]) * width / 100,
        (thing.box[1] + thing.box[3]) * height / 100,
    ]
    assert np.abs(np.array(found) - (left, top, right, bottom)).max() <= pixel + 1e-6
    assert thing.label == "red"


class Given(Detector):
    """Finds what it is told to."""

    def __init__(self, boxes, labels=("red", "blue")) -> None:
        self.labels, self._parts, self._boxes = labels, [(0, labels)], boxes
        self._runner = DeviceRunner("cpu")

    def raw(self, picture, labels):
        corners, scores, at = zip(*self._boxes, strict=True)
        return torch.tensor(corners, dtype=torch.float32), torch.tensor(scores), torch.tensor(at)


def reads(boxes, cut=None, info=None):
    reader = ThingReader(Model("detect:given", Path(), "1"), Given(boxes))
    cut = cut or Cut(Channel.VISUAL, Modality.IMAGE, None, np.zeros((SIDE_PIXELS, SIDE_PIXELS, 3), np.uint8))
    return list(reader.read(info or Info(Modality.IMAGE, "png", SIDE_PIXELS, SIDE_PIXELS), [cut]))


def test_boxes_are_clipped_and_those_in_the_padding_or_of_one_thing_go():
    side = SIDE_PIXELS
    found = reads([
        ((-10, -10, side / 2, side / 2), 0.9, 0), ((0, 0, side / 2, side / 2 - 8), 0.8, 0), ((0, 0, side / 2, side / 2), 0.7, 1),
        ((side + 5, 0, side + 90, 50), 0.9, 0), ((5, 5, 5, 50), 0.9, 1),
    ])  # fmt: skip
    assert [(one.label, one.box, round(one.confidence, 2)) for one in found] == [
        ("red", (0, 0, 50, 50), 0.9), ("blue", (0, 0, 50, 50), 0.7)
    ]  # fmt: skip
    assert {one.source for one in found} == {"detect:given"}


def test_of_a_thousand_boxes_the_surest_are_kept_and_the_rest_is_told():
    spots = [((x * 30, y * 30, x * 30 + 20, y * 30 + 20), 0.2 + (x + 34 * y) / 2000, 0) for x in range(34) for y in range(30)]
    *things, gap = reads(spots)
    assert len(things) == MOST_THINGS
    assert min(one.confidence for one in things) > 0.2 + (len(spots) - MOST_THINGS - 1) / 2000
    assert isinstance(gap, Gap)
    assert "720 things" in gap.detail


def test_of_a_shot_the_middle_frame_is_looked_at_and_its_time_is_told():
    frames = np.zeros((3, SIDE_PIXELS, SIDE_PIXELS, 3), np.uint8)
    cut = Cut(Channel.VISUAL, Modality.VIDEO, Span(1_000, 4_000), frames, times=(1_000, 2_040, 3_000))
    sound = Cut(Channel.SOUND, Modality.AUDIO, Span(0, 1_000), np.zeros(16_000, np.float32))
    film = Info(Modality.VIDEO, "mp4", SIDE_PIXELS, SIDE_PIXELS, 4_000)
    (thing,) = reads([((0, 0, 10, 10), 0.9, 1)], cut, film)
    assert (thing.at_ms, thing.span, thing.label) == (2_040, Span(1_000, 4_000), "blue")
    reader = ThingReader(Model("detect:given", Path(), "1"), Given([]))
    assert list(reader.read(film, [sound, Gap("no_picture", "none")])) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 80), (80, 4), (1, 1)])
def test_strange_pictures_are_looked_at_like_others(kind, shape, loaded):
    plain = np.full((*shape, 3), 90, np.uint8)
    (found,) = loaded[kind]._detector.find([plain])
    assert isinstance(found, Boxes)
    assert (found.corners[:, 2:] <= (shape[1], shape[0])).all()


def test_labels_are_looked_for_in_parts_that_the_model_can_read(folders):
    many = tuple(f"{'red ' * (number % 3)}thing no. {number}" for number in range(60))
    for kind in ("grounding-dino", "omdet-turbo"):
        reader = load(folders[kind], many)
        assert reader._detector.looks > 1
        assert "looks at each picture" in reader.note
        assert [label for _, part in reader._detector._parts for label in part] == list(many)
        (found,) = reader._detector.find([WIDE])
        assert set(found.labels) <= set(range(60))
    assert load(folders["owlv2"], many)._detector.looks == 1
    tokens = load(folders["grounding-dino"])._detector._tokens(["red ball", "no 1"])
    assert [len(some) for some in tokens] == [2, 3]
    with pytest.raises(InputError, match="longer than this model can read"):
        load(folders["omdet-turbo"], ("a " * 90,))


def test_other_labels_are_another_revision_and_bad_ones_are_refused(folders, loaded, tmp_path):
    assert load(folders["owlv2"]).revision == loaded["owlv2"].revision != load(folders["owlv2"], ("red",)).revision
    assert checked([" red  ball ", "red ball", "blue"]) == ("red ball", "blue")
    for bad in ([" . "], ["x" * 201], [f"label {number}" for number in range(5_001)]):
        with pytest.raises(InputError):
            checked(bad)
    with pytest.raises(InputError, match="nothing to look for"):
        load(folders["owlv2"], ())
    with pytest.raises(InputError, match="looks for no labels"):
        readers.load("written", Models(tmp_path), "cpu", ("red",))


def test_what_is_missing_or_no_detector_is_told(folders, tmp_path):
    with pytest.raises(ModelMissing, match="is not here"):
        readers.load("detect:omlab/omdet-turbo-swin-tiny-hf", Models(tmp_path / "none"), "cpu", LABELS)
    copy = Path(shutil.copytree(folders["owlv2"], tmp_path / "model"))
    (copy / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelMissing, match="does not find things by words"):
        load(copy)
    (copy / "preprocessor_config.json").unlink(missing_ok=True)
    (copy / "processor_config.json").unlink(missing_ok=True)
    shutil.copy(folders["owlv2"] / "config.json", copy)
    with pytest.raises(ModelMissing, match="cannot be prepared"):
        load(copy)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelMissing, match="pickle"):
        load(copy)


def test_omdet_turbo_and_owlv2_have_their_own_thresholds():
    assert (Owlv2.threshold, OmDetTurbo.threshold, GroundingDino.threshold) == (0.1, 0.3, 0.25)
    assert SIDE < SIDE_PIXELS
