"""What sets files apart: by hand, and over an archive with tags and texts."""

from __future__ import annotations

import math

import pytest

from indexer.run import RunRequest, index
from search.errors import UnknownName
from search.query import Engine
from search.query.contrast import differences
from search.store import Database, Labels
from search.types import Filter, Modality
from tests.media_samples import picture


def test_differences_are_log_odds_in_standard_deviations():
    (one,) = differences({"dog": 8}, {"dog": 1}, 10, 10, 5)
    odds = math.log(12.5 / 7.5) - math.log(5.5 / 14.5)  # ten files more on either side, of which 9 in 20 have it
    assert (one.value, one.these, one.those) == ("dog", 8, 1)
    assert one.deviations == pytest.approx(odds / math.sqrt(1 / 12.5 + 1 / 7.5 + 1 / 5.5 + 1 / 14.5))
    assert differences({"dog": 8}, {"dog": 8}, 10, 10, 5) == ()
    assert differences({}, {}, 10, 10, 5) == ()
    assert differences({"dog": 1}, {}, 1, 0, 5) == ()
    found = differences({"a": 90, "b": 80}, {"c": 90, "b": 10}, 100, 100, 1)
    assert [one.value for one in found] == ["a", "c"]


def test_tags_and_words_set_collections_apart(settings, tmp_path, encoder):
    for name, word in (("a", "harbour"), ("b", "mountain")):
        (tmp_path / name).mkdir()
        for number in range(12):
            (tmp_path / name / f"{number}.txt").write_text(f"The {word} number {number} in the evening light.\n")
        index(settings, RunRequest([tmp_path / name], collection=name), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        found = engine.contrast(Filter(collections=("a",)), Filter(collections=("b",)))
        assert (found.these, found.those, found.tags, found.limited) == (12, 12, (), False)
        assert [(one.value, one.these, one.those) for one in found.words] == [("harbour", 12, 0), ("mountain", 0, 12)]
        assets = engine.store.assets_of([str(tmp_path / "b" / f"{n}.txt") for n in range(12)]).values()
        Labels(Database(settings.database)).put(1, {asset: [("rock", 0.9)] for asset in assets})
        back = engine.contrast(Filter(collections=("b",)), Filter(collections=("a",)), most=1)
        assert [(one.value, one.these, one.those) for one in back.tags] == [("rock", 12, 0)]
        assert engine.contrast(Filter(modalities=(Modality.IMAGE,)), Filter()).words == ()
        with pytest.raises(UnknownName):
            engine.contrast(Filter(collections=("c",)), Filter())


def test_pictures_that_tell_one_side_from_the_other_come_first(settings, tmp_path, encoder):
    for name, colours in (("a", ("red", "green")), ("b", ("blue", "green"))):
        (tmp_path / name).mkdir()
        for colour in colours:
            picture(colour, (64, 48 if name == "a" else 49)).save(tmp_path / name / f"{name}-{colour}.png")
        index(settings, RunRequest([tmp_path / name], collection=name), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        found = engine.contrast(Filter(collections=("a",)), Filter(collections=("b",)))
        shown = [
            [engine.store.segments(ids)[one].path.rsplit("/", 1)[1] for one in ids]
            for ids in (found.these_pictures, found.those_pictures)
        ]
    assert [side[0] for side in shown] == ["a-red.png", "b-blue.png"]
