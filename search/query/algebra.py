"""Query algebra: an expression that states its meaning. Nothing is guessed from how a string looks.

``Query = Term | Near | Blend``. A blend is arithmetic on unit vectors inside one space, as in "this photo, and rain, but no
people".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from search.errors import QueryError
from search.types import Modality


@dataclass(frozen=True, slots=True)
class Term:
    """Content to search with: the text itself, or a file for every other modality. Error messages call the file ``name``."""

    content: str | Path
    modality: Modality
    name: str = ""

    def __post_init__(self) -> None:
        """Raises QueryError for a text without words."""
        if isinstance(self.content, str) and not self.content.strip():
            raise QueryError("The query text is empty.", remedy="Say in a few words what to look for.")


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


def parts(query: Query) -> tuple[tuple[float, Term | Near], ...]:
    """The weighted terms of a query."""
    return query.parts if isinstance(query, Blend) else ((1.0, query),)
