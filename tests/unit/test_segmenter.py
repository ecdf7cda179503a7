"""Masks by a model, on tiny SAM and SAM 2 with random weights, beside transformers' own processing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForMaskGeneration, AutoProcessor

from search.errors import InputError, ModelMissing, UnknownName
from search.models import Models
from search.ondemand import masking, segmenter
from search.types import MaskPrompt
from tests.fakes import tiny_sam
from tests.fakes.tiny_sam import KINDS

WIDE = np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8)
CLICK, BOX = MaskPrompt(((30.0, 50.0),)), MaskPrompt(box=(10.0, 20.0, 50.0, 60.0))
SCRIBBLE = MaskPrompt(((30.0, 50.0), (35.0, 55.0)), ((90.0, 10.0),), (10.0, 20.0, 50.0, 60.0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: tiny_sam.write(tmp_path_factory.mktemp(kind) / "model", kind) for kind in KINDS}


def load(folder: Path):
    return masking.load(str(folder), Models(folder.parent), "cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("prompt", "points", "labels", "box", "several"),
    [
        (CLICK, [[30, 30]], [1], None, True), (BOX, None, None, [10, 12, 60, 48], False),
        (SCRIBBLE, [[30, 30], [35, 33], [90, 6]], [1, 1, 0], [10, 12, 60, 48], False),
    ],
)  # fmt: skip
def test_a_mask_is_the_one_that_transformers_makes_itself(kind, folders, prompt, points, labels, box, several):
    picture, mask, share = load(folders[kind]).mask("a", lambda: WIDE, prompt)
    processor = AutoProcessor.from_pretrained(folders[kind])
    model = AutoModelForMaskGeneration.from_pretrained(folders[kind]).eval()
    given = {"input_points": [[points]], "input_labels": [[labels]]} if points else {}
    given |= {"input_boxes": [[box]]} if box else {}
    inputs = processor(images=Image.fromarray(WIDE), return_tensors="pt", **given)
    with torch.inference_mode():
        told = model(**{name: inputs[name] for name in ("pixel_values", *given)}, multimask_output=several)
    sizes = [inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
    masks = processor.post_process_masks(told.pred_masks, *sizes)[0][0]
    best = int(told.iou_scores[0, 0].argmax())
    assert len(masks) == (3 if several else 1)
    assert np.array_equal(mask, masks[best].numpy())
    assert mask.shape == (60, 100)
    assert abs(share - min(max(float(told.iou_scores[0, 0, best]), 0), 1)) < 1e-4
    assert picture is WIDE


def test_a_further_click_into_a_picture_needs_neither_the_picture_nor_its_features(folders, monkeypatch):
    made, looked, encoded = load(folders["sam2"]), [], []
    real = made._model.get_image_embeddings
    monkeypatch.setattr(made._model, "get_image_embeddings", lambda pixels: encoded.append(1) or real(pixels))

    def ask(key):
        return made.mask(key, lambda: looked.append(key) or WIDE, CLICK)

    first, again = ask(("a", ())), ask(("a", ()))
    assert np.array_equal(first[1], again[1])
    ask(("a", (40,)))
    assert (looked, len(encoded)) == ([("a", ()), ("a", (40,))], 2)
    monkeypatch.setattr(segmenter, "KEPT_PICTURES", 2)
    ask(("a", ()))
    ask("b")  # for which the one goes that was pointed into the longest ago
    ask(("a", ()))
    ask(("a", (40,)))
    assert looked == [("a", ()), ("a", (40,)), "b", ("a", (40,))]


def test_what_is_missing_or_makes_no_masks_is_told(folders, tmp_path):
    with pytest.raises(InputError, match="No model is set"):
        masking.load("", Models(tmp_path), "cpu")
    with pytest.raises(UnknownName):
        masking.load("caption:a/b", Models(tmp_path), "cpu")
    with pytest.raises(ModelMissing, match="is not here"):
        masking.load("mask:facebook/sam2.1-hiera-tiny", Models(tmp_path), "cpu")
    copy = Path(shutil.copytree(folders["sam"], tmp_path / "model"))
    (copy / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelMissing, match="makes no masks"):
        load(copy)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelMissing, match="pickle"):
        load(copy)
    assert masking.source("facebook/sam-vit-base").licence == "Apache-2.0"
