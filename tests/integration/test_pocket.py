"""What the pocket space reaches on pictures and sounds that its heads never saw. The given data stays outside: without it these skip."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import search.encoders.pocket
from search.encoders.pocket import PocketEncoder
from search.media import DecodePool
from search.types import Cut, Modality

sys.path.append(str(Path(search.encoders.pocket.__file__).parent / "training"))

from held_out import recording, split_pictures, split_recordings


@pytest.fixture(scope="module")
def encoder() -> PocketEncoder:
    return PocketEncoder()


def vectors(encoder: PocketEncoder, paths: list[Path], modality: Modality) -> np.ndarray:
    """A vector a file, as the archive has them: the mean of its segments."""
    from search.settings import Settings

    rows = []
    with DecodePool(Settings(home=Path("/nonexistent")), 1) as pool:
        for path in paths:
            cuts = [item.content for item in pool.decode(path, encoder.needs) if isinstance(item, Cut)]
            mean = encoder.encode(modality, cuts).mean(axis=0)
            rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def test_captions_find_pictures_that_were_held_out(encoder, shared):
    """300 of the thousand held-out pictures; the share over all thousand is in the model card."""
    folder = shared / "flickr8k"
    paths = sorted((folder / "images").iterdir())
    held_out = [paths[row] for row in split_pictures(len(paths))[1][:300]]
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        captions = {row["image"]: row["caption"] for row in csv.DictReader(file)}
    pictures = vectors(encoder, held_out, Modality.IMAGE)
    texts = encoder.encode(Modality.TEXT, [captions[path.name] for path in held_out])
    scores = texts @ pictures.T
    rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert np.mean(rank < 1) > 0.35
    assert np.mean(rank < 10) > 0.80


def test_names_find_sounds_of_recordings_that_were_held_out(encoder, shared):
    with (shared / "esc10" / "labels.csv").open(newline="") as file:
        labels = {row["clip"]: row["label"] for row in csv.DictReader(file)}
    held = split_recordings(list(labels))
    clips = [clip for clip in labels if recording(clip) in held]
    found = vectors(encoder, [shared / "esc10" / "clips" / clip for clip in clips], Modality.AUDIO)
    names = sorted(set(labels.values()))
    queries = encoder.encode(Modality.TEXT, [f"the sound of {name}" for name in names])
    named = [names[row] for row in (found @ queries.T).argmax(axis=1)]
    assert np.mean([labels[clip] == name for clip, name in zip(clips, named, strict=True)]) > 0.75


def test_the_picture_of_a_thing_is_found_by_its_sound(encoder, shared):
    folder = shared / "pairs"
    pictures = sorted(folder.glob("*.jpg"))
    seen = vectors(encoder, pictures, Modality.IMAGE)
    heard = vectors(encoder, sorted(folder.glob("cat_*.wav")), Modality.AUDIO)
    assert "cat" in pictures[int((heard @ seen.T)[0].argmax())].name
