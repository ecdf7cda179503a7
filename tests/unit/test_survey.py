"""A map of the archive: what is alike lies together, and a map goes on from the one before."""

from __future__ import annotations

import numpy as np

from search.query import survey
from search.query.survey import Atlas

CLUSTERS, EACH, DIM = 4, 20, 24


def vectors(seed: int, each: int = EACH) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = 3 * np.eye(CLUSTERS, DIM)
    found = np.repeat(centres, each, 0) + 0.4 * random.standard_normal((CLUSTERS * each, DIM))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def atlas(assets, places, before=None) -> Atlas:
    return Atlas("pocket", 1, assets, places, *survey._parted(places, before))


def spread(places) -> float:
    return float(np.linalg.norm(places - places.mean(0), axis=1).mean())


def test_what_is_alike_lies_together_and_stays_where_it_was():
    assets, given = np.arange(CLUSTERS * EACH, dtype=np.int64), vectors(1)
    places = survey._laid_out(assets, given, None, 1)
    groups = places.reshape(CLUSTERS, EACH, 2)
    middles = groups.mean(1)
    within = np.linalg.norm(groups - middles[:, None], axis=2).mean()
    between = np.linalg.norm(middles[:, None] - middles, axis=2)[~np.eye(CLUSTERS, dtype=bool)].min()
    assert between > 3 * within

    before = atlas(assets, places)
    more = np.concatenate([given, vectors(2, 4)])
    after = survey._laid_out(np.arange(len(more), dtype=np.int64), more, before, 1)
    moved = np.linalg.norm(after[: len(assets)] - places, axis=1)
    assert np.median(moved) < 0.15 * spread(places)
    added = after[len(assets) :].reshape(CLUSTERS, 4, 2).mean(1)
    nearest = np.linalg.norm(added[:, None] - after[: len(assets)].reshape(CLUSTERS, EACH, 2).mean(1), axis=2).argmin(1)
    assert nearest.tolist() == [0, 1, 2, 3]


def test_areas_are_named_by_what_their_files_have_more_often():
    area_of = {asset: asset // 30 for asset in range(60)}
    said = {
        asset: {"light", "harbour" if asset < 30 else "mountain"} | ({"rare"} if asset == 3 else set()) for asset in range(60)
    }
    counts = survey._counted(area_of, said | {99: {"elsewhere"}})
    assert [survey._telling(counts, area, 30, 60) for area in (0, 1)] == [["harbour"], ["mountain"]]


def test_few_files_and_copies_have_a_place_each(tmp_path):
    few = survey._laid_out(np.arange(3, dtype=np.int64), vectors(1)[:3], None, 1)
    assert few.shape == (3, 2)
    assert survey._laid_out(np.empty(0, np.int64), np.empty((0, DIM), np.float32), None, 1).shape == (0, 2)
    same = np.repeat(vectors(1)[:1], 60, 0)
    assert np.isfinite(survey._laid_out(np.arange(60, dtype=np.int64), same, None, 1)).all()


def test_a_map_is_read_as_it_was_written_and_one_that_is_damaged_is_none(tmp_path):
    file = tmp_path / "maps" / "map.npz"
    assert Atlas.read(file) is None
    made = atlas(np.arange(80, dtype=np.int64), np.random.default_rng(1).random((80, 2), np.float32))
    made.write(file)
    read = Atlas.read(file)
    assert (read.space, read.made_at) == ("pocket", 1)
    for name in ("assets", "places", "areas", "centres"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    file.write_bytes(file.read_bytes()[:200])
    assert Atlas.read(file) is None
