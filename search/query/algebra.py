"""Query algebra: an expression that states its meaning. Nothing is guessed from how a string looks.

``Query = Term | Near | Blend``. A blend is arithmetic on unit vectors inside one space, as in "this photo, and rain, but no
people". A ``Then`` is an ordered pattern of queries over the timeline of one file, as in "a siren, and within half a minute a
crowd, and no police car between".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from search.errors import QueryError
from search.types import Box, Channel, Modality


@dataclass(frozen=True, slots=True)
class Term:
    """Content to search with: the text itself, or a file for every other modality. Error messages call the file ``name``. ``box``: only
    this part of a picture."""

    content: str | Path
    modality: Modality
    name: str = ""
    box: Box | None = None

    def __post_init__(self) -> None:
        """Raises QueryError for a text without words, and for a box that is none or not of a picture."""
        if self.box is not None:
            if self.modality is not Modality.IMAGE:
                raise QueryError("A box is a part of a picture.", remedy="Ask with a picture, or without the box.")
            check_box(self.box)
        if isinstance(self.content, str) and not self.content.strip():
            raise QueryError("The query text is empty.", remedy="Say in a few words what to look for.")


def check_box(box: Box) -> None:
    """Raises QueryError for a box that has no size, or does not lie in the picture."""
    left, top, width, height = box
    if not (0 <= left < 100 and 0 <= top < 100 and 0 < width <= 100.001 - left and 0 < height <= 100.001 - top):
        raise QueryError(
            f"{left:g},{top:g},{width:g},{height:g} is no part of a picture.",
            remedy="Give left, top, width and height in percent of the picture: 25,40,30,20. It has a size, and ends at 100.",
        )


def parsed_box(told: str) -> Box:
    """A box from four numbers with commas between them.

    Raises:
        QueryError: they are not, or it is no part of a picture.
    """
    try:
        left, top, width, height = (float(side) for side in told.split(","))
    except ValueError:
        raise QueryError(
            f"{told!r} is no part of a picture.",
            remedy="Give left, top, width and height in percent of the picture: 25,40,30,20.",
        ) from None
    check_box((left, top, width, height))
    return left, top, width, height


@dataclass(frozen=True, slots=True)
class Near:
    """A query for content similar to a segment of the archive."""

    segment: int


@dataclass(frozen=True, slots=True)
class Blend:
    """A weighted sum of parts; a negative weight subtracts."""

    parts: tuple[tuple[float, Term | Near], ...]

    def __post_init__(self) -> None:
        """Raises QueryError if no part has a weight other than 0."""
        if not any(weight for weight, _ in self.parts):
            raise QueryError("The query has no terms.", remedy="Give some text, a file or a segment, with a weight other than 0.")


Query: TypeAlias = Term | Near | Blend


LONGEST_GAP_MS = 24 * 3_600_000
"""The longest gap between two steps of a pattern."""

MAX_STEPS = 12
"""The most steps of a pattern."""


@dataclass(frozen=True, slots=True)
class Link:
    """How a step of a pattern follows the one before it.

    ``together``: both overlap in time. Otherwise it starts ``least_ms`` to ``most_ms`` after the end of the one before.
    """

    together: bool = False
    least_ms: int = 0
    most_ms: int = 30_000

    def __post_init__(self) -> None:
        """Raises QueryError for a gap that is negative, too long, or ends before it begins."""
        if self.least_ms < 0 or self.most_ms > LONGEST_GAP_MS:
            raise QueryError(
                f"A gap of {self.least_ms / 1000:g} to {self.most_ms / 1000:g} seconds cannot be.",
                remedy="Choose 0 seconds to 24 hours.",
            )
        if self.least_ms > self.most_ms:
            raise QueryError(
                f"The gap from {self.least_ms / 1000:g} to {self.most_ms / 1000:g} seconds ends before it begins.",
                remedy="Exchange the two.",
            )


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a pattern: what is asked for, and how it follows the step before.

    ``channels``: it is seen or heard in one of these; none: in any. ``without``: nothing of this lies between it and the step before.
    ``times``: so often one after the other, each within the gap of a ``Link()`` after the one before. The first step's ``link`` has no
    meaning.
    """

    query: Query
    channels: tuple[Channel, ...] = ()
    link: Link = Link()
    without: tuple[Query, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Then:
    """An ordered pattern over the timeline of one file."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises QueryError for a pattern of fewer than two steps or too many, counting repetitions, and for what cannot be between."""
        if any(step.times < 1 for step in self.steps):
            raise QueryError(
                "A step of the pattern is to occur less than once.",
                remedy="Repeat a step once or more; what must not occur is put between two steps.",
            )
        count = sum(step.times for step in self.steps)
        if not 2 <= count <= MAX_STEPS:
            raise QueryError(
                f"The pattern has {count} step{'s' * (count != 1)}.",
                remedy=f"Give 2 to {MAX_STEPS} steps. A step that is repeated counts as often.",
            )
        if self.steps[0].without:
            raise QueryError(
                "Nothing comes before the first step, so nothing can be absent there.",
                remedy="Put the exclusion behind a later step.",
            )

    @property
    def links(self) -> tuple[tuple[Step, Link, tuple[Query, ...]], ...]:
        """The steps in their order, repeated ones as often as they are, each with its link and with what must be absent before it."""
        return tuple(
            (step, step.link if first else Link(), step.without if first else ())
            for step in self.steps
            for first in (True, *(False,) * (step.times - 1))
        )


def every_term(query: Query | Then) -> tuple[Term | Near, ...]:
    """The terms of a query or pattern that have a weight."""
    if isinstance(query, Then):
        return tuple(term for step in query.steps for one in (step.query, *step.without) for term in every_term(one))
    return tuple(term for weight, term in parts(query) if weight)


def parts(query: Query) -> tuple[tuple[float, Term | Near], ...]:
    """The weighted terms of a query."""
    return query.parts if isinstance(query, Blend) else ((1.0, query),)
