"""What is said and written, as the page tells it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.api.schemas import Read
from ui.passage_text import MAX_LEAD_CHARACTERS, passage, pieces

stretch = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple)


def told(found: list[tuple[str, bool]]) -> str:
    """Pieces as a line, with brackets around what is marked."""
    return "".join(f"[{text}]" if marked else text for text, marked in found)


def test_marks_are_characters_of_the_text_whatever_a_browser_counts():
    text = "😀 <b>dog</b> & Straße"
    assert told(pieces(text, [(5, 8), (15, 21)])) == "😀 <b>[dog]</b> & [Straße]"


def test_a_long_text_is_shown_about_its_first_mark_in_whole_words():
    text = f"{'far away from it all ' * 20}there comes the fire engine {'and on and on ' * 20}"
    begin = text.index("fire")
    found = pieces(text, [(begin, begin + 11)], 60)
    assert told(found) == "…from it all there comes the [fire engine] and on and on and on…"
    assert pieces(text, [], 19) == [("far away from it", False), ("…", False)]
    assert told(pieces("one word " + "x" * 90, [(9, 99)], 30)) == f"one word [{'x' * 21}]…"


@given(st.text(max_size=60), st.lists(stretch, max_size=4), st.integers(1, 60))
def test_nothing_of_a_text_is_lost_or_made_up(text, marks, room):
    whole = pieces(text, marks)
    assert "".join(piece for piece, _ in whole) == text
    inside = {at for begin, end in marks for at in range(begin, min(end, len(text)))}
    assert "".join(piece for piece, marked in whole if marked) == "".join(text[at] for at in sorted(inside))
    shown = "".join(piece for piece, _ in pieces(text, marks, room))
    kept = shown.removeprefix("…").removesuffix("…") if len(text) > room else shown
    assert kept in text
    assert len(shown) <= room + 2


def test_the_first_mark_is_always_among_what_is_shown():
    for start in range(300):
        text = "ab " * 100 + "dog" + " cd" * 100
        assert ("dog", True) in pieces(text[start:], [(300 - start, 303 - start)], MAX_LEAD_CHARACTERS + 20)
        assert ("犬", True) in pieces(
            "文" * (300 - start) + "犬" + "字" * 300, [(300 - start, 301 - start)], MAX_LEAD_CHARACTERS + 20
        )


@pytest.mark.parametrize(
    ("channel", "source", "sure", "translated", "label", "by", "shown", "written"),
    [
        ("speech", "faster-whisper base", 0.874, False, "speech", "transcribed by faster-whisper base", "87%", False),
        ("speech", "faster-whisper base", 0.5, True, "translation by a model", "faster-whisper base", "50%", True),
        ("speech", "film.de.srt", None, False, "subtitle", "film.de.srt", "", False),
        ("ocr", "rapidocr", 0.99, False, "on-screen text", "read by rapidocr", "99%", False),
        ("caption", "written by caption:some/model", 0.4, False, "caption by a model", "caption:some/model", "40%", True),
        ("text", "EXIF", None, False, "metadata", "EXIF", "", False),
    ],
)  # fmt: skip
def test_every_text_says_where_it_comes_from(channel, source, sure, translated, label, by, shown, written):
    read = Read(text="a dog", source=source, confidence=sure, translated=translated, language="en")
    found = passage(read, channel)
    assert {name: found[name] for name in ("label", "by", "sure", "written", "language")} == {
        "label": label, "by": by, "sure": shown, "written": written, "language": "en",
    }  # fmt: skip


def test_a_text_of_its_own_is_no_metadata_and_without_a_text_there_is_nothing_to_tell():
    assert passage(Read(text="a dog"), "text", own=True)["label"] == "text"
    assert passage(Read(), "visual") is None
