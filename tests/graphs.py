"""Graphs of the pocket space that are loaded once for all encoders of a process: nearly every test that indexes or searches has one of its own.

Forked runs of the command line (``tests.commands``) inherit those that are loaded before.
"""

from __future__ import annotations

import onnxruntime as ort

from search.encoders.pocket import PocketEncoder

_REAL = PocketEncoder._session
_loaded: dict[tuple[int, int], ort.InferenceSession] = {}


def session(encoder: PocketEncoder, graph: bytes) -> ort.InferenceSession:
    """Stands for ``PocketEncoder._session``. Sessions hold no state from one run to the next, and threads may share them."""
    key = len(graph), hash(graph)
    if key not in _loaded:
        _loaded[key] = _REAL(encoder, graph)
    return _loaded[key]


def preload() -> None:
    """Load the graphs of pictures, sounds and texts for the encoders of this process and of its forks."""
    PocketEncoder._session = session
    encoder = PocketEncoder()
    for graph in (encoder._vision, encoder._sound, encoder._text):
        assert graph.get_inputs()
