"""Words beside films and in texts: subtitles by their names, and sentences that cues, line ends and pages break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.truth.archive import found, read
from tests.bench.truth.case import Judged
from tests.bench.truth.drawing import ffmpeg, master
from tests.bench.truth.films import COUNT, SCENES, X264
from tests.media_samples import pdf


def subtitles(place: Path) -> Iterator[Judged]:
    """Subtitles beside films, by the names that people and programs give them; each says one word of its own."""
    media = place / "media"
    film = place / "film.mp4"
    ffmpeg("-i", master(place, COUNT, SCENES), *X264, film)
    said: dict[str, str] = {}
    for number, (path, subtitles) in enumerate(SUBTITLES.items()):
        target = media / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(film.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([number]))
        for name, (word, content) in subtitles.items():
            beside = target.parent / name
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            said[word] = str(beside.relative_to(media))
    with read(place) as (_, address):
        for word, name in said.items():
            hits = found(address, f'"{word}"')
            attached = any(hit["asset"]["modality"] == "video" for hit in hits)
            yield name, f'a film found by "{word}"', "found" if attached else "only the text" if hits else "not found", attached


def _srt(word: str, start: str = "00:00:01,000", end: str = "00:00:03,000", line_end: str = "\n") -> str:
    return line_end.join(["1", f"{start} --> {end}", f"The word here is {word}", ""])


SUBTITLES: dict[str, dict[str, tuple[str, str | bytes]]] = {
    "a/film.mp4": {
        **{name: (word, _srt(word)) for name, word in (
            ("film.srt", "plainword"), ("film.en.srt", "enword"), ("film.en.forced.srt", "forcedword"), ("film.forced.en.srt", "forcedfirst"), ("film.en.sdh.srt", "sdhword"),
            ("film.English.srt", "englishname"), ("film.pt-BR.srt", "brazilword"), ("film.zh-Hans.srt", "hansword"), ("film.2.en.srt", "secondeng"), ("film.en.2.srt", "engsecond"),
            ("film.commentary.en.srt", "commentaryword"), ("film_en.srt", "underscoreword"), ("film-de.srt", "dashword"), ("film.en-orig.srt", "origword"),
            ("FILM.fr.srt", "capitalword"), ("film [en].srt", "bracketword"), ("film.nl.SRT", "uppersuffix"), ("film.signs.en.srt", "signsword"),
        )},
        "film.en.ass": ("assword", "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
                        "Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,The word here is assword\n"),
        "film.lrc": ("lrcword", "[00:01.00]The word here is lrcword\n"),
        "film.en.ttml": ("ttmlword", '<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="00:00:01.000" end="00:00:03.000">The word here is ttmlword</p></div></body></tt>'),
    },
    "b/Film.Two.2019.mkv": {
        "Subs/2_English.srt": ("subsfolder", _srt("subsfolder")), "Subs/Film.Two.2019/2_English.srt": ("subsdeeper", _srt("subsdeeper")),
        "Film.Two.2019.mkv.en.srt": ("fullname", _srt("fullname")),
    },
    "c/episode.ts": {"episode.fr.srt": ("été", _srt("été").encode("cp1252"))},
    "d/wien.mp4": {"wien.en.srt": ("doublecr", _srt("doublecr", line_end="\r\r\n"))},
    "e/mac.mp4": {"mac.en.srt": ("maccr", _srt("maccr", line_end="\r"))},
    "g/nohours.mp4": {"nohours.en.vtt": ("nohours", "WEBVTT\n\n00:01.000 --> 00:03.000\nThe word here is nohours\n")},
    "h/spaces.mp4": {"spaces.en.srt": ("tighttimes", "1\n00:00:03,500-->00:00:05,000\nThe word here is tighttimes\n")},
    "i/blank.mp4": {"blank.en.srt": ("afterblank", "1\n00:00:01,000 --> 00:00:03,000\nFirst line\n\nThe word here is afterblank\n\n2\n00:00:04,000 --> 00:00:05,000\nEnd\n")},
    "j/early.mp4": {"early.en.srt": ("earlyword", "1\n-00:00:01,000 --> 00:00:03,000\nThe word here is earlyword\n")},
    "k/tight.mp4": {"tight.en.srt": ("nogapword", "1\n00:00:01,000 --> 00:00:02,000\nFirst\n2\n00:00:02,000 --> 00:00:03,000\nThe word here is nogapword\n")},
}  # fmt: skip
"""Film -> subtitles beside it -> the word that they say, and what stands in them."""


def phrases(place: Path) -> Iterator[Judged]:
    """Sentences that cues, line ends and pages break."""
    media = place / "media"
    cues = ("1\n00:00:00,500 --> 00:00:02,000\nNobody on the island had ever seen\n\n2\n00:00:02,000 --> 00:00:03,800\na copper lantern of that size\n\n"
            "3\n00:00:03,800 --> 00:00:06,000\nbefore the harbour master bought one.\n")  # fmt: skip
    ffmpeg("-i", master(place, COUNT, SCENES), *X264, media / "talk.mp4")
    (media / "talk.en.srt").write_text(cues)
    (place / "inside.srt").write_text(cues.replace("copper", "silver"))
    ffmpeg(
        "-i",
        master(place, COUNT, SCENES),
        "-i",
        place / "inside.srt",
        "-map",
        "0:v",
        "-map",
        "1",
        *X264,
        "-c:s",
        "mov_text",
        media / "inside.mp4",
    )
    (media / "lecture.txt").write_text(
        "The report was typed with hard line ends, and a hyphen-\nated word stands at the end of a line; the golden lan-\ntern of the harbour is such a word.\n"
    )
    (media / "minutes.pdf").write_bytes(
        _wrapped_pdf("The committee looked at the iron lan-", "tern again and found no photo-", "graphs of it in the archive.")
    )
    (media / "hidden.html").write_text(
        "<html><body><p>Seen tulips.</p><p hidden>Unseen orchids.</p><p aria-hidden='true'>Unseen lilies.</p></body></html>"
    )
    with read(place) as (_, address):
        for name, phrase, at in PHRASES:
            hits = [hit for hit in found(address, f'"{phrase}"') if hit["asset"]["name"] == name]
            right = bool(hits) and (at is None or any(hit["span"] and abs(hit["span"]["start_ms"] - at) <= 1600 for hit in hits))
            yield name, f'"{phrase}"', f"at {hits[0]['span']}"[:40] if hits else "not found", right
        hits = found(address, '"unseen orchids"') + found(address, '"unseen lilies"')
        yield "hidden.html", "what is hidden is not found", f"{len(hits)} found", not hits


PHRASES = (
    ("talk.mp4", "ever seen a copper lantern", 500), ("talk.mp4", "that size before the harbour master", 2000), ("inside.mp4", "ever seen a silver lantern", 500),
    ("lecture.txt", "the golden lantern of the harbour", None), ("lecture.txt", "hyphenated word", None), ("minutes.pdf", "iron lantern again", None),
    ("minutes.pdf", "no photographs of it", None),
)  # fmt: skip
"""Of which file, what it says, and when, in milliseconds."""


def _wrapped_pdf(*lines: str) -> bytes:
    """Lines below each other on one page."""
    return pdf(") Tj 0 -18 Td (".join(lines))
