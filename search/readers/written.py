"""Text written in media and beside them: captions and keywords, tags, chapters, subtitles. Needs no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from search.media.decode.paragraphs import paragraphs
from search.models import Model
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage

_PASSAGE = 1_000
"""Characters of the longest passage: what encoders get of a text."""


class WrittenReader:
    """The reader of this family. Cuts are text already; it adds their positions and removes repetitions."""

    name = "written"
    revision = "2"
    channels = frozenset({Channel.SPEECH, Channel.TEXT})
    reads = frozenset({Modality.IMAGE, Modality.AUDIO, Modality.VIDEO})
    needs = Needs(size=0, fit="crop", rate=0, characters=20_000, metadata=True)

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:  # noqa: ARG002  one signature for all readers
        """Yield each cue, and each value in paragraphs. Of equal values, as often in EXIF and XMP, only the first."""
        seen = set[tuple[object, str]]()
        for cut in cuts:
            if isinstance(cut, Gap) or not isinstance(cut.content, str) or cut.source is None:
                continue
            if cut.channel is Channel.SPEECH:
                yield Passage(cut.channel, cut.span, " ".join(cut.content.split()), cut.source, language=cut.language)
                continue
            if (said := (cut.span, cut.content.casefold())) in seen:
                continue
            seen.add(said)
            for start, end in paragraphs(cut.content, _PASSAGE):
                yield Passage(cut.channel, cut.span, cut.content[start:end], cut.source, language=cut.language)


def load(model: Model | None, device: str) -> WrittenReader:  # noqa: ARG001  one signature for all families
    """Load the reader."""
    return WrittenReader()
