"""The tips family against transformers' own code, on tiny models of random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra tips is not installed")
transformers = pytest.importorskip("transformers", reason="the extra tips is not installed")

from search import encoders  # noqa: E402
from search.errors import ModelMissing, UnknownName  # noqa: E402
from search.models import Models  # noqa: E402
from search.types import Modality  # noqa: E402
from tests.fakes import tiny_tips  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_tips.write(tmp_path_factory.mktemp("tips") / "tips")


@pytest.fixture(scope="module")
def encoder(folder):
    return encoders.load(f"tips:{folder}", Models(folder), "cpu")


def test_vectors_are_those_of_transformers(folder, encoder):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["red flower", "a", "word1 word2 word3 word4"]
    given = tokenizer(texts, padding="max_length", max_length=16, return_tensors="pt")
    pictures = np.random.default_rng(0).integers(0, 256, (3, tiny_tips.SIDE, tiny_tips.SIDE, 3), np.uint8)
    with torch.no_grad():
        said = model.get_text_features(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).pooler_output
        seen = model.get_image_features(pixel_values=torch.tensor(pictures).permute(0, 3, 1, 2) / 255).pooler_output
    for found, expected in ((encoder.encode(Modality.TEXT, texts), said), (encoder.encode(Modality.IMAGE, list(pictures)), seen)):
        expected = torch.nn.functional.normalize(expected, dim=1).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-5)
    shot = encoder.encode(Modality.VIDEO, [pictures])[0]
    mean = encoder.encode(Modality.IMAGE, list(pictures)).mean(0)
    np.testing.assert_allclose(shot, mean / np.linalg.norm(mean), atol=2e-5)


def test_what_is_no_such_model_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ModelMissing, match="not tipsv2"):
        encoders.load(f"tips:{tmp_path}", Models(tmp_path), "cpu")
    with pytest.raises(UnknownName):
        encoders.source("tips:nonsense")
    assert encoders.source("tips:google/tipsv2-b14").repository == "google/tipsv2-b14"
