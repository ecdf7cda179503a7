"""Questions whose answers are seen, written, said or excluded, over one small archive: what a search finds is better than either of its parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from indexer.run import RunRequest, index
from search import encoders
from search.errors import InputError
from search.query import Engine, Term
from search.query.evaluate import evaluate, read_manifest
from search.readers import written
from search.store import Database, Readers
from search.types import Filter, Modality

SAMPLE = Path(__file__).parents[2] / "data" / "sample"

SAID = ("The zeppelin landed beside the lighthouse at noon", "Nobody waits for the night train to Lisbon")
DESCRIBED = {
    "kettle": "A present from Aunt Margarethe in Bristol",
    "facade": "The regatta office, seen from Palermo",
    "meadow": "Near Uppsala",
}
NOTES = {
    "harvest": "The harvest begins early this year.",
    "bakery": "The baker sells rye bread and pretzels.",
    "timetable": "At night no train leaves the harbour.",
    "motorcycles": "A red motorcycle needs oil and patience.",
    "zoo": "The elephant house is closed on Mondays.",
}
QUESTIONS = {
    "seen": [
        ("a hot air balloon in the sky", "images/hot-air-balloon.jpg"), ("an owl", "images/owl.jpg"), ("a cup of coffee", "images/espresso-cup.jpg"),
        ("boats on the shore at sunset", "images/rowing-boats-sunset.jpg"), ("an astronaut", "images/astronaut.jpg"),
    ],
    "said": [("zeppelin lighthouse", "pets.mp4"), ("a train to Lisbon", "pets.mp4")],
    "written": [("Margarethe", "images/kettle.jpg"), ("Palermo regatta", "images/facade.jpg"), ("rye pretzels", "notes/bakery.txt")],
    "in other words": [("somewhere to buy something to eat", "notes/bakery.txt"), ("gathering crops in the fields", "notes/harvest.txt")],
    "misspelt": [("zepelin", "pets.mp4"), ("Magarethe Bristl", "images/kettle.jpg"), ("harvset", "notes/harvest.txt")],
    "a phrase": [('"beside the lighthouse"', "pets.mp4"), ('"rye bread"', "notes/bakery.txt")],
    "without a word": [("a red motorcycle -oil", "images/red-motorcycle.jpg"), ("an elephant -mondays", "images/elephant.png"), ("a train to Lisbon -harbour", "pets.mp4")],
}  # fmt: skip
"""Questions, and the files that answer them."""


def plainly_named(archive: Path) -> dict[str, str]:
    """Give files names that say nothing, those beside each other the same: names are words, which would answer what is asked of pictures.

    Returns what became of each path without its suffix.
    """
    became: dict[str, str] = {}
    for path in sorted(path for path in archive.rglob("*") if path.is_file()):
        stem = str(path.relative_to(archive)).partition(".")[0]
        name = became.setdefault(stem, f"{stem.rpartition('/')[0]}/{1000 + len(became)}".lstrip("/"))
        path.rename(archive / (name + path.name[len(stem.rpartition("/")[2]) :]))
    return became


@pytest.fixture
def asked(settings, tmp_path):
    """Figures of every kind of question, by what it was asked by."""
    archive, encoder = tmp_path / "archive", encoders.load("pocket")
    (archive / "notes").mkdir(parents=True)
    shutil.copytree(SAMPLE / "images", archive / "images")
    shutil.copytree(SAMPLE / "texts", archive / "texts")
    shutil.copy(SAMPLE / "videos" / "pets.mp4", archive)
    cues = [f"00:0{at}.000 --> 00:0{at + 1}.000\n{text}\n" for at, text in enumerate(SAID)]
    (archive / "pets.vtt").write_text("\n".join(["WEBVTT\n", *cues]))
    for name, text in DESCRIBED.items():
        (archive / "images" / f"{name}.xmp").write_text(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{text}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
        )
    for name, text in NOTES.items():
        (archive / "notes" / f"{name}.txt").write_text(text + "\n")
    plain = plainly_named(archive)
    index(settings, RunRequest([archive]), encoder=encoder)
    reader = written.load(None, "cpu")
    Readers(Database(settings.database)).add("written", reader.revision, sorted(reader.reads), sorted(reader.channels))
    index(settings, RunRequest(()), encoder=encoder)

    def figures(engine, kind: str, how: dict) -> dict[str, float]:
        lines = [
            {
                "query": {"text": question},
                "relevant": [str(found) for found in archive.glob(plain[file.partition(".")[0]] + ".*")],
                **how,
            }
            for question, file in QUESTIONS[kind]
        ]
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
    assert mean["both"] > 1.1 * max(mean["meaning"], mean["words"])
    for kind in QUESTIONS:  # words that happen to stand somewhere take next to nothing from what is found by meaning
        assert asked["both"][kind]["MRR"] > asked["meaning"][kind]["MRR"] - 0.02, kind
    for kind in ("said", "written", "a phrase", "without a word"):
        assert asked["both"][kind]["MRR"] >= asked["words"][kind]["MRR"], kind


def test_what_is_misspelt_is_asked_as_it_was_meant(settings, tmp_path):
    encoder = encoders.load("pocket")
    (tmp_path / "notes").mkdir()
    for name, text in NOTES.items():
        (tmp_path / "notes" / f"{name}.txt").write_text(text + "\n")
    index(settings, RunRequest([tmp_path / "notes"]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        meant, typed = (engine.search(Term(text, Modality.TEXT)) for text in ("early harvest", "early harvset"))
        assert typed.hits[0].segment.path == meant.hits[0].segment.path
        assert typed.hits[0].cosine == pytest.approx(meant.hits[0].cosine, abs=1e-6)
        assert typed.notes == ("Searched as “early harvest”.",)
        assert meant.notes == ()
        assert engine.search(Term("early harvset", Modality.TEXT), words=True).notes == ()
        assert engine.search(Term('"early harvset"', Modality.TEXT)).notes == ()
        assert engine.search(Term("a helicopter -oil", Modality.TEXT)).notes == ()  # the encoder knows the word, if no text does


def test_words_of_collections_that_are_not_seen_put_nothing_right(settings, tmp_path):
    encoder = encoders.load("pocket")
    for collection, text in (("notes", "An early harvest of apples."), ("other", "Boats.")):
        (tmp_path / collection).mkdir()
        (tmp_path / collection / "text.txt").write_text(text + "\n")
        index(settings, RunRequest([tmp_path / collection], collection), encoder=encoder)
    asked = Term("early harvset", Modality.TEXT)
    with Engine(settings, encoder=encoder) as engine:
        assert engine.search(asked, Filter(within=("notes",))).notes == ("Searched as “early harvest”.",)
        assert engine.search(asked, Filter(within=("other",))).notes == ()


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
