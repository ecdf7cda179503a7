"""Passages: the texts that readers read, for spaces and searches."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, exists, func, or_, select

from search.store import tables as t
from search.store.database import Database, put_new
from search.store.names import READER
from search.types import WORDS, Kind, Vectors


class Passages:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """The highest id of a passage or other segment."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(t.segment.c.id))).scalar() or 0

    def missing(self, space: int, kinds: Sequence[Kind], limit: int, *, after: int = 0) -> list[tuple[int, str]]:
        """Passages of ``kinds`` with ids above ``after`` without a vector in a space, except names: ids and texts, at most
        ``limit``."""
        s, a = t.segment.c, t.asset.c
        wanted = [
            and_(a.modality == str(kind.modality), s.channel == str(kind.channel)) for kind in kinds if kind.channel in WORDS
        ]
        if not wanted:
            return []
        held = exists().where(t.embedding.c.segment_id == s.id, t.embedding.c.space_id == space)
        query = (
            select(s.id, s.text)
            .join(t.asset, a.id == s.asset_id)
            .where(s.reader_id.is_not(None), s.reader_id != READER, s.text.is_not(None), s.id > after, or_(*wanted), ~held)
            .order_by(s.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [(row.id, row.text) for row in connection.execute(query)]

    def put(self, space: int, ids: Sequence[int], vectors: Vectors) -> None:
        """Store the vectors (n, dim) of passages (n,). Vectors that another worker stored in the meantime stay. Deleted passages
        are skipped, and all of them if the space is gone."""
        blobs = [vector.tobytes() for vector in vectors.astype("<f2")]
        with self._database.writing() as connection:
            if connection.execute(select(t.space.c.id).where(t.space.c.id == space)).first() is None:
                return
            there = set(connection.execute(select(t.segment.c.id).where(t.segment.c.id.in_(ids))).scalars())
            rows = [
                {"space_id": space, "segment_id": id_, "vector": blob}
                for id_, blob in zip(ids, blobs, strict=True)
                if id_ in there
            ]
            if not rows:
                return
            put_new(connection, t.embedding, rows)
