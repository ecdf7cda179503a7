"""File names as text: the names of an asset's files, and of their folders, form one segment of text.

Triggers of migration 0012 record the assets whose locations are added, removed or changed; the indexer then writes their names.
Names are found by words only. They are not embedded, because a name is not a sentence.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, func, insert, or_, select

from search.store import tables as t
from search.store.database import Database
from search.types import KINDS, Channel, Kind, Modality

READER = 0
"""Stands for a reader in segments that are names: readers count from 1."""
SOURCE = "file name"
MAX_NAMES, MAX_NAME_CHARACTERS = 20, 1_000
"""Files of an asset whose names are written, and characters of a name with its folders: the last ones."""
_MODALITIES = sorted(str(modality) for modality in Modality if Kind(modality, Channel.TEXT) in KINDS)


class Names:
    """Writes names. Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def among(self, segments: Sequence[int]) -> dict[int, tuple[int, str]]:
        """Those of some segments that are names: segment -> (asset, name)."""
        s = t.segment.c
        query = select(s.id, s.asset_id, s.text).where(s.id.in_(segments), s.reader_id == READER)
        with self._database.reading() as connection:
            return {row.id: (row.asset_id, row.text) for row in connection.execute(query)}

    def write(self, limit: int) -> int:
        """Write the names of at most ``limit`` assets whose files were added, removed or changed. Returns how many assets were
        handled.

        Assets whose content is not known yet stay waiting.
        """
        due, a, s = t.renamed.c, t.asset.c, t.segment.c
        waiting = (
            select(due.asset_id).outerjoin(t.asset, a.id == due.asset_id).where(or_(a.id.is_(None), a.modality.is_not(None)))
        )
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(waiting.limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            assets = list(connection.execute(waiting.order_by(due.asset_id).limit(limit)).scalars())
            told = _told(connection, assets)
            ours = and_(s.asset_id.in_(assets), s.reader_id == READER)
            before = {row.asset_id: row.text for row in connection.execute(select(s.asset_id, s.text).where(ours))}
            changed = [asset for asset in assets if told.get(asset) != before.get(asset)]
            connection.execute(delete(t.segment).where(ours, s.asset_id.in_(changed)))
            texts = and_(s.asset_id.in_(changed), s.channel == str(Channel.TEXT))
            last = select(s.asset_id, func.max(s.ordinal)).where(texts).group_by(s.asset_id)
            ordinals: dict[int, int] = {asset: ordinal + 1 for asset, ordinal in connection.execute(last)}
            rows = [
                {
                    "asset_id": asset, "channel": str(Channel.TEXT), "ordinal": ordinals.get(asset, 0), "text": told[asset], "reader_id": READER,
                    "source": SOURCE,
                }
                for asset in changed
                if asset in told
            ]  # fmt: skip
            if rows:
                connection.execute(insert(t.segment), rows)
            connection.execute(delete(t.renamed).where(due.asset_id.in_(assets)))
            return len(assets)


def _told(connection: Connection, assets: Sequence[int]) -> dict[int, str]:
    """The names of assets, one a line. Assets without files, or of media that are not searched by words, are left out."""
    where, a = t.location.c, t.asset.c
    roots: dict[int, list[bytes]] = defaultdict(list)
    for collection, path in connection.execute(select(t.root.c.collection_id, t.root.c.path)):
        roots[collection].append(path)
    query = (
        select(where.asset_id, where.collection_id, where.path)
        .join(t.asset, a.id == where.asset_id)
        .where(where.asset_id.in_(assets), where.state != "missing", a.modality.in_(_MODALITIES))
        .order_by(where.id)
    )
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for asset, collection, path in connection.execute(query):
        found[asset][name(path, roots[collection])] = None
    return {asset: "\n".join(list(names)[:MAX_NAMES]) for asset, names in found.items()}


def name(path: bytes, roots: Sequence[bytes]) -> str:
    """A file's name, with the names of its folders from the nearest root on."""
    above = max(
        (root.rstrip(b"/") for root in roots if path.startswith(root.rstrip(b"/") + b"/")), key=len, default=os.path.dirname(path)
    )
    told = path[len(os.path.dirname(above)) :].decode("utf-8", "replace").replace("\0", "\ufffd")
    return told.strip("/")[-MAX_NAME_CHARACTERS:]
