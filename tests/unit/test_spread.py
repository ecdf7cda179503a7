"""Questions by long files: a minute of them is asked, spread evenly, a batch at a time; and it is told."""

from __future__ import annotations

import numpy as np
import pytest

from search.query import terms as asking
from search.query.algebra import Term
from search.query.spread import MAX_ASKED_CUTS, Spread
from search.query.terms import Terms
from search.types import Channel, Cut, Info, Modality, Span
from tests.fakes.encoder import FakeEncoder


def film(seconds: int, shot: int = 10):
    """The shots of a film, a frame a second whose pixels tell the second."""
    for start in range(0, seconds, shot):
        times = tuple(second * 1000 for second in range(start, min(start + shot, seconds)))
        frames = np.stack([np.full((4, 4, 3), (time // 1000) % 256, np.uint8) for time in times])
        yield Cut(Channel.VISUAL, Modality.VIDEO, Span(times[0], times[-1] + 1000), frames, times=times)


def windows(seconds: int):
    for start in range(0, seconds, 5):
        yield Cut(Channel.SOUND, Modality.AUDIO, Span(start * 1000, min(start + 5, seconds) * 1000), np.zeros(10, np.float32))


def taken(info: Info, cuts) -> tuple[list[Cut], bool]:
    spread = Spread(info)
    found = [one for cut in cuts if (one := spread.take(cut)) is not None]
    return found, spread.whole


@pytest.mark.parametrize("seconds", [1, 7, 59, 60])
def test_a_short_file_is_asked_whole(seconds):
    info = Info(Modality.VIDEO, "mp4", duration_ms=seconds * 1000)
    for made in (film, windows):
        cuts = list(made(seconds))
        found, whole = taken(info, cuts)
        assert whole
        assert all(one is cut for one, cut in zip(found, cuts, strict=True))


@pytest.mark.parametrize("seconds", [90, 600, 2_400, 36_000])
def test_a_long_film_is_asked_by_sixty_frames_and_twelve_windows_of_sound_spread_evenly(seconds):
    info = Info(Modality.VIDEO, "mp4", duration_ms=seconds * 1000)
    shots, whole = taken(info, film(seconds))
    times = [time for cut in shots for time in cut.times]
    assert not whole
    assert 59 <= len(times) <= 61
    assert sum(len(cut.content) for cut in shots) == len(times)
    assert np.abs(np.diff(times) - seconds * 1000 / 60).max() <= 1_000
    sounds, _ = taken(info, windows(seconds))
    assert 11 <= len(sounds) <= 13
    assert np.abs(np.diff([cut.span.start for cut in sounds]) - seconds * 1000 / 12).max() <= 5_000


@pytest.mark.parametrize("told", [None, 3_000])
def test_a_file_that_does_not_tell_its_length_or_lies_is_bounded_too(told):
    info = Info(Modality.VIDEO, "mpegts", duration_ms=told)
    found, whole = taken(info, film(36_000))
    assert not whole
    assert 60 <= sum(len(cut.content) for cut in found) <= 60 * 12
    assert found[-1].span.end > 30_000_000  # the end is asked, too


def test_of_a_long_text_some_paragraphs_are_asked():
    cuts = [Cut(Channel.TEXT, Modality.TEXT, Span(n * 10, n * 10 + 10, "char"), f"Paragraph {n}.") for n in range(5_000)]
    found, whole = taken(Info(Modality.TEXT, "txt"), cuts)
    assert not whole
    assert MAX_ASKED_CUTS <= len(found) <= 8 * MAX_ASKED_CUTS
    assert taken(Info(Modality.TEXT, "txt"), cuts[:50]) == (cuts[:50], True)


def test_cuts_are_encoded_a_batch_at_a_time_and_what_was_left_out_is_told(settings, tmp_path, monkeypatch):
    encoder, made, held = FakeEncoder(), [], []

    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def decode(self, *_: object):
            yield Info(Modality.VIDEO, "mp4", duration_ms=2_400_000)
            for cut in film(2_400):
                made.append(cut)
                yield Cut(cut.channel, cut.modality, cut.span, np.zeros((len(cut.content), 32, 32, 3), np.uint8), times=cut.times)

        def close(self) -> None:
            pass

    encode = encoder.encode
    encoder.encode = lambda modality, batch: held.append((len(made), len(batch))) or encode(modality, batch)
    monkeypatch.setattr(asking, "DecodePool", Pool)
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    with Terms(encoder, settings) as terms:
        term = Term(path, Modality.VIDEO)
        vectors = terms.encode(term)
        assert np.linalg.norm(vectors[Channel.VISUAL]) == pytest.approx(1)
        assert "40:00" in terms.told(term)
        assert terms.told(Term("words", Modality.TEXT)) == ""
    assert max(count for _, count in held) <= encoder.needs.batch
    assert held[0][0] < len(made) / 4, "the first batch is encoded while the rest is still being decoded"
    assert encoder.encoded == 60


def test_the_mean_over_batches_is_the_mean_over_all(settings, archive):
    encoder = FakeEncoder()
    cuts = list(film(55, shot=3))
    cuts = [Cut(c.channel, c.modality, c.span, np.full((1, 32, 32, 3), 5 * n, np.uint8)) for n, c in enumerate(cuts)]
    sums = asking._Sums(encoder)
    for cut in cuts:
        sums.add(cut)
    whole = encoder.encode(Modality.VIDEO, [cut.content for cut in cuts]).mean(axis=0)
    np.testing.assert_allclose(sums.aspects()[Channel.VISUAL], asking.unit(whole), atol=1e-6)
