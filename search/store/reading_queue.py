"""The queue of readings: each one asset to be read by one reader. What was read is kept as segments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Table, and_, delete, func, insert, select, update

from search.store import tables as t
from search.store.intake import write_ledger
from search.store.queue import Queue, Unit, described, gap_row
from search.types import LONGEST_LABEL, Gap, Info, Passage, PictureCodes, Thing


@dataclass(frozen=True, slots=True)
class Read:
    """A reader's result for a unit: passages, codes of ``pictures``, or ``things``. ``beside``: a fingerprint of the files beside the asset's file; None: the reader does not
    read these."""

    unit: Unit
    info: Info
    passages: Sequence[Passage]
    gaps: Sequence[Gap] = ()
    beside: str | None = None
    pictures: Sequence[PictureCodes] = ()
    things: Sequence[Thing] = ()

    @property
    def count(self) -> int:
        """How much was read."""
        return len(self.passages) + len(self.pictures) + len(self.things)


class ReadingQueue(Queue):
    """The assets that one reader has to read; ``of`` is the reader's key."""

    _work: ClassVar[Table] = t.reading
    _whose: ClassVar[str] = "reader_id"

    def keep(self, read: Sequence[Read], source: str) -> list[Read]:
        """Commit readings: passages as segments, codes of pictures, things, gaps and the units' end, in one transaction. What this reader read of
        them before is deleted.

        Returns the readings that were still leased to this worker. ``source``: the reader's name, for passages without a source.
        """
        with self._database.writing() as connection:
            held = self._held(connection, [item.unit for item in read])
            ours = [item for item in read if item.unit.id in held]
            drop_read(
                connection, and_(t.segment.c.reader_id == self._of, t.segment.c.asset_id.in_([one.unit.asset for one in ours]))
            )
            for table in (t.region, t.thing):
                of_ours = table.c.asset_id.in_([one.unit.asset for one in ours])
                connection.execute(delete(table).where(table.c.reader_id == self._of, of_ours))
            for item in ours:
                unknown = update(t.asset).where(t.asset.c.id == item.unit.asset, t.asset.c.modality.is_(None))
                connection.execute(unknown.values(described(item.info, item.unit)))
                gaps = [gap_row(gap) for gap in item.gaps]
                write_ledger(connection, item.unit.collection, item.unit.asset, item.unit.path, gaps, reader_id=self._of)
                told = {"beside": item.beside, "passages": item.count}
                connection.execute(update(t.reading).where(t.reading.c.id == item.unit.id).values(**told))
            if rows := [row for item in ours for row in self._rows(connection, item, source)]:
                connection.execute(insert(t.segment), rows)
            if codes := [self._coded(item, one) for item in ours for one in item.pictures]:
                connection.execute(insert(t.region), codes)
            if things := [thing_row(item.unit.asset, self._of, one) for item in ours for one in item.things]:
                connection.execute(insert(t.thing), things)
            self._end(connection, [item.unit.id for item in ours], state="done", reason=None)
            return ours

    def _coded(self, item: Read, one: PictureCodes) -> dict[str, Any]:
        start, end = (one.span.start, one.span.end) if one.span else (None, None)
        return {
            "asset_id": item.unit.asset, "reader_id": self._of, "start": start, "end": end, "at_ms": one.at_ms, "codes": one.codes,
        }  # fmt: skip

    def _rows(self, connection: Connection, item: Read, source: str) -> list[dict[str, Any]]:
        c = t.segment.c
        last = select(c.channel, func.max(c.ordinal)).where(c.asset_id == item.unit.asset).group_by(c.channel)
        ordinals: Counter[str] = Counter({channel: ordinal + 1 for channel, ordinal in connection.execute(last)})
        rows = []
        for passage in item.passages:
            span = (passage.span.unit, passage.span.start, passage.span.end) if passage.span else (None, None, None)
            row = {
                "asset_id": item.unit.asset, "channel": str(passage.channel), "ordinal": ordinals[passage.channel], "text": passage.text,
                "reader_id": self._of, "source": (passage.source or source)[:200], "language": passage.language,
                "confidence": passage.confidence, "detail": _detail(passage),
            }  # fmt: skip
            rows.append(row | dict(zip(("unit", "start", "end"), span, strict=True)))
            ordinals[passage.channel] += 1
        return rows


def thing_row(asset: int, reader: int | None, one: Thing) -> dict[str, Any]:
    """A row of ``thing``."""
    start, end = (one.span.start, one.span.end) if one.span else (None, None)
    sides = dict(zip(("left", "top", "width", "height"), map(float, one.box), strict=True))
    return {
        "asset_id": asset, "reader_id": reader, "start": start, "end": end, "at_ms": one.at_ms, "label": one.label[:LONGEST_LABEL],
        "confidence": one.confidence, **sides,
    }  # fmt: skip


def drop_read(connection: Connection, which: Any) -> None:  # noqa: ANN401 - an SQL condition on segments
    """Delete segments that a reader made. Indexes learn of it from ``removal``."""
    gone = select(t.embedding.c.space_id, t.embedding.c.segment_id).join(t.segment, t.segment.c.id == t.embedding.c.segment_id)
    connection.execute(insert(t.removal).from_select(["space_id", "segment_id"], gone.where(which).order_by(t.embedding.c.id)))
    connection.execute(delete(t.segment).where(which))


def _detail(passage: Passage) -> str | None:
    """Word times, the box, and whether it is a translation, as JSON. None if there is none of these."""
    words = [[word.start, word.end, word.start_ms, word.end_ms, word.confidence] for word in passage.words]
    if not (words or passage.box or passage.translated):
        return None
    return json.dumps({"words": words, "box": passage.box, "translated": passage.translated}, separators=(",", ":"))
