"""Questions whose answers are seen, written, said or excluded, over one small archive: what a search finds is better than either of its parts."""

from __future__ import annotations

import json

import pytest

from indexer.run import Job, index
from search.errors import InputError
from search.query import Engine
from search.query.evaluate import evaluate, read_manifest
from search.readers import written
from search.store import Database, Readers
from tests.media_samples import films

SAID = ("The zeppelin landed beside the lighthouse at noon", "Nobody waits for the night train to Lisbon")
DESCRIBED = {
    "yellow": "Grandmother's garden in Bristol",
    "cyan": "A regatta before Palermo",
    "black": "The organ of the cathedral",
}
NOTES = {
    "harvest": "The harvest begins early this year.",
    "bakery": "The baker sells rye bread and pretzels.",
    "timetable": "At night no train leaves the harbour.",
    "paint": "A tin of red paint stands in the shed.",
}
QUESTIONS = {
    "seen": [("white", "pictures/white.png"), ("magenta", "pictures/magenta.png"), ("green", "pictures/green.png")],
    "heard": [("a high tone", "tones/high.wav"), ("something low", "tones/low.wav")],
    "said": [("zeppelin lighthouse", "films/sea.mp4"), ("a train to Lisbon", "films/sea.mp4")],
    "written": [
        ("regatta", "pictures/cyan.png"),
        ("organ cathedral", "pictures/black.png"),
        ("rye pretzels", "texts/bakery.txt"),
    ],
    "misspelt": [("zepelin", "films/sea.mp4"), ("cathederal", "pictures/black.png"), ("harvset", "texts/harvest.txt")],
    "a phrase": [('"night train"', "films/sea.mp4"), ('"rye bread"', "texts/bakery.txt")],
    "without a word": [("red -flowers -paint", "pictures/red.png"), ("train -harbour", "films/sea.mp4")],
}
"""Questions, and the files that answer them."""


@pytest.fixture
def asked(settings, archive, encoder):
    """Figures of every kind of question, by what it was asked by."""
    film = films(archive / "films") / "sea.mp4"
    film.with_suffix(".vtt").write_text(
        "WEBVTT\n\n" + "\n\n".join(f"00:0{at}.000 --> 00:0{at + 1}.000\n{text}" for at, text in enumerate(SAID)) + "\n"
    )
    for name, text in DESCRIBED.items():
        (archive / "pictures" / f"{name}.xmp").write_text(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{text}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
        )
    for name, text in NOTES.items():
        (archive / "texts" / f"{name}.txt").write_text(text + "\n")
    index(settings, Job([archive]), encoder=encoder)
    reader = written.load(None, "cpu")
    Readers(Database(settings.database)).add("written", reader.revision, sorted(reader.reads), sorted(reader.channels))
    index(settings, Job(()), encoder=encoder)

    def figures(engine, kind: str, how: dict) -> dict[str, float]:
        lines = [{"query": {"text": question}, "relevant": [str(archive / file)], **how} for question, file in QUESTIONS[kind]]
        manifest = settings.home / "manifest.jsonl"
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return evaluate(engine, list(read_manifest(manifest)))["directions"]["text->any"]

    with Engine(settings, encoder=encoder) as engine:
        return {
            name: {kind: figures(engine, kind, how) for kind in QUESTIONS}
            for name, how in (("both", {}), ("meaning", {"words": False}), ("words", {"words": True}))
        }


def test_words_and_meaning_together_find_more_than_either(asked):
    print(
        "\n" + "\n".join(f"{how}: " + ", ".join(f"{kind} {one['MRR']:.2f}" for kind, one in asked[how].items()) for how in asked)
    )
    mean = {how: sum(one["queries"] * one["MRR"] for one in asked[how].values()) for how in asked}
    assert mean["both"] > max(mean["meaning"], mean["words"])
    for kind in QUESTIONS:
        assert asked["both"][kind]["MRR"] >= max(asked["meaning"][kind]["MRR"], asked["words"][kind]["MRR"]), kind


@pytest.mark.parametrize(
    "line",
    [
        {"query": {"text": "red"}, "words": "yes"},
        {"query": {"image": "red.png"}, "words": True},
        {"query": {"text": "red"}, "spoken": True},
        {"query": {"audio": "low.wav"}, "spoken": 1},
    ],
)
def test_a_line_that_asks_for_what_cannot_be_is_refused(tmp_path, line):
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps(line | {"relevant": ["a.jpg"]}))
    with pytest.raises(InputError, match="line 1"):
        list(read_manifest(manifest))
