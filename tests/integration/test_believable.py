"""Answers in the pocket space over all media at once: the right medium is first, whatever the archive's mix, and what is not there is not called found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from indexer.run import RunRequest, index
from search.query import Engine, Term
from search.query.answers import WEAK_PROBABILITY
from search.settings import Settings
from search.types import Filter, Modality

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SENTENCE = "The lighthouse keeper wrote down every ship that passed in the winter of 1911."


def ask(text: str) -> Term:
    return Term(text, Modality.TEXT)


def archive(folder: Path, files: list[Path]) -> Settings:
    (folder / "files").mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder / "files")
    settings = Settings(home=folder / "home")
    index(settings, RunRequest([folder / "files"]))
    return settings


def of(kind: str) -> list[Path]:
    return sorted((SAMPLE / kind).iterdir())


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    with Engine(archive(tmp_path_factory.mktemp("sample"), [*of("images"), *of("sounds"), *of("texts")])) as engine:
        yield engine


def first(engine: Engine, text: str, k: int = 1) -> list[str]:
    return [Path(hit.segment.path).name for hit in engine.search(ask(text), k=k, group="asset").hits]


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("a red motorcycle", {"red-motorcycle.jpg"}), ("rain falling", {"rain.m4a"}),
        ("a dog barking", {"dog-bark.ogg", "training-a-young-dog.md", "husky.jpg"}), ("an elephant", {"elephant.png"}),
        ("how to bake bread", {"bread-recipe.txt"}), ("a rooster crowing", {"rooster-crowing.wav", "rooster.png", "farm-animals.txt"}),
        ("a hot air balloon", {"hot-air-balloon.jpg"}),
    ],
)  # fmt: skip
def test_the_right_medium_is_first_in_a_mixed_archive(sample, question, names):
    assert first(sample, question)[0] in names


def test_what_is_there_is_found_and_gibberish_is_not(sample):
    assert sample.search(ask("a red motorcycle")).found.verdict == "yes"
    assert sample.search(ask("an elephant")).found.verdict == "yes"
    assert sample.search(ask("zzqqxv")).found.verdict == "no"
    assert sample.search(ask("vrrxzt pppqqq")).found.verdict == "no"


def test_a_picture_is_not_worse_for_being_common(tmp_path):
    husky = Image.open(SAMPLE / "images" / "husky.jpg").convert("RGB")
    width, height = husky.size
    crops = []
    for number in range(60):
        left, top = number % 10 * width // 60, number // 10 * height // 60
        crops.append(tmp_path / f"crop-{number:02}.jpg")
        husky.crop((left, top, left + width * 5 // 6, top + height * 5 // 6)).resize((320, 240)).save(crops[-1])
    others = [path for path in [*of("sounds"), *of("texts")] if "dog" not in path.name]
    with Engine(archive(tmp_path / "a", [*crops, *others])) as engine:
        hits = engine.search(ask("a dog"), k=20).hits
        assert [hit.segment.modality for hit in hits[:10]].count(Modality.IMAGE) >= 8
        assert hits[0].segment.modality is Modality.IMAGE


def test_the_very_sentence_of_the_only_text_is_first(tmp_path):
    text = tmp_path / "log.txt"
    text.write_text(SENTENCE, "utf-8")
    with Engine(archive(tmp_path / "a", [*of("images"), text])) as engine:
        for words in (False, True):
            answer = engine.search(ask(SENTENCE), words=words)
            assert Path(answer.hits[0].segment.path).name == "log.txt"
            assert answer.found is None or answer.found.verdict == "yes"
        assert answer.hits[0].score > 0


@pytest.mark.parametrize("count", [1, 2, 8])
def test_one_picture_among_many_sounds_and_texts_is_first(tmp_path, count):
    pictures = [
        SAMPLE / "images" / "red-motorcycle.jpg",
        *[path for path in of("images") if "motor" not in path.name][: count - 1],
    ]
    with Engine(archive(tmp_path / "a", [*pictures, *of("sounds"), *of("texts")])) as engine:
        answer = engine.search(ask("a red motorcycle"))
        assert Path(answer.hits[0].segment.path).name == "red-motorcycle.jpg"


@pytest.mark.parametrize("shown", ["1", "on", "TV"])
def test_a_letter_or_two_answer_nothing(tmp_path, shown):
    text = tmp_path / "shown.txt"
    text.write_text(shown, "utf-8")
    with Engine(archive(tmp_path / "a", [*of("images"), text])) as engine:
        answer = engine.search(ask("a woman walking"), k=60)
        (hit,) = [hit for hit in answer.hits if hit.segment.text is not None]
        assert hit.confidence < WEAK_PROBABILITY
        assert hit.rank > 5
        assert Path(engine.search(ask(shown), words=True).hits[0].segment.path) == tmp_path / "a" / "files" / "shown.txt"


def test_scores_and_probabilities_fall_together_and_none_is_told_where_nothing_is_known(sample):
    answer = sample.search(ask("a boat on the sea"), k=50)
    chances = [hit.confidence for hit in answer.hits]
    assert None not in chances
    assert chances == sorted(chances, reverse=True)
    assert answer.estimate.low <= answer.estimate.expected <= answer.estimate.high
    assert sample.search(ask("an elephant"), Filter(modalities=(Modality.IMAGE,))).found.questions >= 59


@pytest.mark.parametrize(
    "question", ["x", "?!", "... -- ...", "красный мотоцикл", "赤いオートバイ", "zq " * 1000], ids=["letter", "marks", "dots", "russian", "japanese", "long"]
)  # fmt: skip
def test_a_question_that_means_nothing_here_is_answered_and_not_called_found(sample, question):
    answer = sample.search(ask(question), k=100)
    chances = [hit.confidence for hit in answer.hits if hit.confidence is not None]
    assert all(0 <= chance <= 1 for chance in chances)
    assert chances == sorted(chances, reverse=True)
    assert answer.found is None or answer.found.verdict != "yes"


def test_a_thousand_words_are_searched(sample):
    answer = sample.search(ask("a red motorcycle stands in the street " * 143), k=100)
    pictures = [hit for hit in answer.hits if hit.segment.modality is Modality.IMAGE]
    assert Path(pictures[0].segment.path).name == "red-motorcycle.jpg"
    assert all(0 < hit.confidence < 1 for hit in answer.hits)


def test_an_archive_of_one_item_and_one_of_equal_items_answer(tmp_path):
    picture = Image.open(SAMPLE / "images" / "red-motorcycle.jpg").convert("RGB")
    equal = [tmp_path / f"copy-{number}.png" for number in range(4)]
    for number, path in enumerate(equal):
        picture.save(path, compress_level=number + 1)
    for name, files in (("one", equal[:1]), ("equal", equal)):
        with Engine(archive(tmp_path / name, files)) as engine:
            there, away = (engine.search(ask(text)) for text in ("a red motorcycle", "a bar chart"))
            assert len({hit.confidence for hit in there.hits}) == 1
            assert there.found.verdict == "yes"
            assert away.found.verdict != "yes"
            assert there.found.probability > away.found.probability
            assert there.hits[0].confidence > away.hits[0].confidence


def test_a_filter_that_leaves_one_segment_judges_that_one(sample):
    (hit,) = sample.search(ask("an elephant"), Filter(modalities=(Modality.IMAGE,)), k=1).hits
    alone = Filter(under=(hit.segment.path,))
    there, away = (sample.search(ask(text), alone) for text in ("an elephant", "a bar chart"))
    assert [one.segment.path for one in (*there.hits, *away.hits)] == 2 * [hit.segment.path]
    assert there.found.verdict == "yes"
    assert away.found.verdict != "yes"
    assert there.hits[0].confidence > away.hits[0].confidence
