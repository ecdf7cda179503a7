"""A reader: says of each picture and shot whether it is dark or bright, so that it is found by these words.

A package makes it known in its pyproject.toml:

    [project.entry-points."sensorium.readers"]
    brightness = "reader_plugin"

Then: sensorium readers add brightness && sensorium search --words dark
"""

from collections.abc import Iterable, Iterator

from search.models import Model
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage


class Brightness:
    """Writes a caption for each picture and shot."""

    name = "brightness"
    revision = "1"  # another revision reads everything again
    channels = frozenset({Channel.CAPTION})
    reads = frozenset({Modality.IMAGE, Modality.VIDEO})
    needs = Needs(size=16, fit="squash", rate=0)  # frames of 16 x 16 pixels, no sound

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:
        """Yield a passage for each cut, with the cut's time."""
        for cut in cuts:
            if isinstance(cut, Cut) and not isinstance(cut.content, str):
                light = float(cut.content.mean()) / 255
                word = "dark" if light < 0.4 else "bright"
                yield Passage(Channel.CAPTION, cut.span, f"a {word} picture", self.name, abs(light - 0.4) / 0.6)


def load(model: Model | None, device: str) -> Brightness:
    """Load the reader. One of this name alone needs no model."""
    return Brightness()
