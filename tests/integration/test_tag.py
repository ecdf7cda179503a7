"""Labels of a vocabulary: given from vectors that are there, filtered by, and taken away again."""

from __future__ import annotations

import pytest

from indexer.run import RunRequest, index
from indexer.tag import tag
from search import encoders
from search.errors import InputError, UnknownName
from search.query import Engine, Term
from search.store import Database, Labels, SqlStore
from search.types import Channel, Filter, Modality
from tests.fakes.encoder import COLOURS
from tests.fakes.partial import Shelf

ANYTHING = Term("a picture", Modality.TEXT)


@pytest.fixture
def indexed(settings, archive, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    index(settings, RunRequest([archive]), encoder=encoder)
    encoder.encoded = 0
    return settings


def names(answer) -> set[str]:
    return {hit.segment.path.rpartition("/")[2] for hit in answer.hits}


def test_files_get_the_labels_that_fit_and_are_found_by_them(indexed, encoder):
    told = tag(indexed, list(COLOURS))
    assert told.tagged <= told.assets
    assert told.labels["red"] >= 1
    with Engine(indexed, encoder=encoder) as engine:
        red = engine.search(ANYTHING, Filter(tags=("red",)), k=50)
        assert "red.png" in names(red)
        assert {hit.segment.modality for hit in red.hits} <= {Modality.IMAGE, Modality.VIDEO}
        both = engine.search(ANYTHING, Filter(tags=("red", "blue")), k=50)
        assert names(both) == names(red) | names(engine.search(ANYTHING, Filter(tags=("blue",)), k=50))
        with pytest.raises(UnknownName, match="rad") as caught:
            engine.search(ANYTHING, Filter(tags=("rad",)))
        assert "red" in caught.value.remedy


def test_nothing_is_embedded_but_the_labels(indexed, encoder):
    tag(indexed, ["red", "blue"])
    assert encoder.encoded == 2 * 7  # sentences


def test_another_run_replaces_the_labels_of_its_space(indexed):
    tag(indexed, ["red", "blue"])
    tag(indexed, ["green", "yellow", "blue"])
    assert "red" not in Labels(Database(indexed.database)).names()


def test_sound_has_labels_of_its_own(indexed):
    told = tag(indexed, ["low", "middle", "high"], channel=Channel.SOUND)
    assert {"low", "high"} <= set(told.labels)
    store = SqlStore(Database(indexed.database))
    asset = next(iter(store.assets_of([hit for hit in _paths(store) if hit.endswith("low.wav")]).values()))
    (label, score), *_ = Labels(Database(indexed.database)).of(asset)
    assert label == "low"
    assert 0.5 <= score <= 1


def _paths(store) -> list[str]:
    return [segment.path for segment in store.segments(store.ids(1).tolist()).values()]


@pytest.mark.parametrize(
    ("labels", "options", "error"),
    [
        ([], {}, InputError),
        (["red", "red"], {}, InputError),
        (["red"], {"space": "nowhere"}, UnknownName),
        (["red"], {"channel": Channel.MOTION}, InputError),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(indexed, labels, options, error):
    tag(indexed, ["red", "blue"])
    before = Labels(Database(indexed.database)).names()
    with pytest.raises(error):
        tag(indexed, labels, **options)
    assert Labels(Database(indexed.database)).names() == before
