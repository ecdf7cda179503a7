"""Zero-shot classification with an encoder that knows colours and pitches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InputError
from search.ondemand import zeroshot
from search.ondemand.zeroshot import MAX_LABEL_CHARACTERS, MAX_LABELS, TEMPLATES, LabelSet, read
from search.types import Channel, Modality, Space
from tests.fakes.encoder import COLOURS, DIM, PITCHES, FakeEncoder

OTHERS = ["a dog", "harbour at night", "old car"]


@pytest.fixture(scope="module")
def encoder() -> FakeEncoder:
    return FakeEncoder()


def random_vectors(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_picture_of_a_colour_is_given_its_name(encoder):
    pictures = [np.full((32, 32, 3), colour, np.uint8) for colour in COLOURS.values()]
    labels = [*OTHERS, *COLOURS]
    probabilities = LabelSet(encoder, labels).classify(encoder.encode(Modality.IMAGE, pictures))
    assert [labels[best] for best in probabilities.argmax(1)] == list(COLOURS)
    assert probabilities.max(1).min() > 0.9


def test_a_tone_is_given_its_pitch(encoder):
    tones = [np.sin(np.arange(16_000) / 16_000 * 2 * np.pi * pitch).astype(np.float32) for pitch in PITCHES.values()]
    vocabulary = LabelSet(encoder, [*PITCHES, *COLOURS], Channel.SOUND)
    best = vocabulary.classify(encoder.encode(Modality.AUDIO, tones)).argmax(1)
    assert [vocabulary.labels[row] for row in best] == list(PITCHES)


def test_probabilities_are_the_softmax_of_a_hundred_cosines(encoder):
    vocabulary, vectors = LabelSet(encoder, [*COLOURS]), random_vectors(20)
    shares = np.exp(100 * (vectors.astype(np.float64) @ vocabulary.vectors.T.astype(np.float64)))
    assert np.allclose(vocabulary.classify(vectors), shares / shares.sum(1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_every_row_sums_to_one(encoder, count):
    vocabulary = LabelSet(encoder, [f"thing {number}" for number in range(count)])
    probabilities = vocabulary.classify(random_vectors(50))
    assert probabilities.shape == (50, count)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert vocabulary.classify(random_vectors(0)).shape == (0, count)


@given(st.permutations([*COLOURS, *OTHERS]))
def test_the_order_of_labels_means_nothing(order):
    encoder, plain = FakeEncoder(), [*COLOURS, *OTHERS]
    one, other = (LabelSet(encoder, labels).classify(random_vectors(8)) for labels in (plain, order))
    assert np.allclose(one[:, [plain.index(label) for label in order]], other, atol=1e-5)


def test_a_label_is_the_mean_of_its_sentences_vectors(encoder):
    sentences = encoder.encode(Modality.TEXT, [template.format("red") for template in TEMPLATES[Channel.VISUAL]])
    mean = sentences.mean(0)
    vectors = LabelSet(encoder, ["blue", "red"]).vectors
    assert np.allclose(vectors[1], mean / np.linalg.norm(mean), atol=1e-6)


def test_many_labels_are_encoded_in_parts_and_keep_their_order(encoder, monkeypatch):
    whole = LabelSet(encoder, [*COLOURS]).vectors
    monkeypatch.setattr(zeroshot, "_AT_ONCE", 3)
    assert np.array_equal(LabelSet(encoder, [*COLOURS]).vectors, whole)


def test_every_channel_has_sentences_that_name_the_label():
    assert {*TEMPLATES} == {*Channel}
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)


def test_braces_in_a_label_are_letters(encoder):
    assert LabelSet(encoder, ["{0}", "{}"]).labels == ("{0}", "{}")


def test_space_around_and_inside_of_labels_is_tidied(encoder):
    assert LabelSet(encoder, ["  old \t car\n", "dog"]).labels == ("old car", "dog")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([], "no labels"),
        (["red", " \t"], "label 2 is empty"),
        (["red", "blue", " RED "], "label 3, 'RED', is the label 1 again"),
        (["x" * (MAX_LABEL_CHARACTERS + 1)], "101 characters"),
        ([f"thing {number}" for number in range(MAX_LABELS + 1)], "at most 10000"),
    ],
)
def test_what_is_no_vocabulary_is_refused(encoder, labels, says):
    with pytest.raises(InputError, match=says) as caught:
        LabelSet(encoder, labels)
    assert caught.value.remedy


def test_a_space_without_text_has_no_labels():
    encoder = FakeEncoder()
    encoder.space = Space("deaf", "fake", "deaf", "1", DIM, frozenset({Modality.IMAGE}))
    with pytest.raises(InputError, match="accepts no text"):
        LabelSet(encoder, ["red"])


def test_a_file_holds_a_label_a_line(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeff# things\nred\n\n  C# code \r\nhärbour\n  # not this\n".encode())
    assert read(file) == ("red", "C# code", "härbour")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no labels"),
        (b"# nothing\n\n", "no labels"),
        (b"red\nbl\xffue\n", "Line 2 .* not UTF-8"),
        (b"# c\nred\n\nred\n", "line 4 of .*, 'red', is the line 2 of .* again"),
        (b"red\n" + b"x" * 101, "line 2 .* 101 characters"),
        (b"x" * 4_100_000, "too large"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path, content, says):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read(file)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["absent.txt", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / name)
