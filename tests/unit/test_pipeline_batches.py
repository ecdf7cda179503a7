"""Which batches the pipeline gives to the encoder."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from indexer import pipeline
from indexer.pipeline import Pipeline, Progress
from search.settings import Settings
from search.types import KINDS, Channel, Cut, Info, Modality

COUNT = {Modality.IMAGE: np.zeros((2, 2, 3), np.uint8), Modality.AUDIO: np.zeros(4, np.float32)}


@pytest.fixture
def sent(encoder, monkeypatch):
    """A pipeline whose batches are noted instead of encoded, with a clock of its own: take(modality) -> batches so far."""
    clock, batches = SimpleNamespace(now=100.0), list[tuple[Modality, int]]()
    monkeypatch.setattr(pipeline.time, "monotonic", lambda: clock.now)
    settings = Settings(home=None)  # type: ignore[arg-type]
    made = Pipeline(settings, None, encoder, KINDS, None, Progress(), threading.Event())
    executor = SimpleNamespace(submit=lambda _, modality, contents: batches.append((modality, len(contents))) or object())

    def take(modality: Modality, count: int = 1, after: float = 0.0):
        for _ in range(count):
            clock.now += after
            work = pipeline._Work(SimpleNamespace(path=b"x"))
            made._take(work, Info(modality, "x"))
            channel = Channel.VISUAL if modality is Modality.IMAGE else Channel.SOUND
            made._take(work, Cut(channel, modality, None, COUNT[modality]))
            made._send(executor, full=True)
        return batches

    return take


def test_a_rare_kind_does_not_wait_until_another_has_ended(sent):
    sent(Modality.AUDIO)
    batches = sent(Modality.IMAGE, 40, after=0.05)
    assert batches[0] == (Modality.IMAGE, 8)
    assert (Modality.AUDIO, 1) in batches
    assert batches.index((Modality.AUDIO, 1)) <= 2


def test_batches_of_the_only_kind_fill_up_however_slowly_it_comes(sent):
    assert sent(Modality.IMAGE, 16, after=5.0) == [(Modality.IMAGE, 8)] * 2
