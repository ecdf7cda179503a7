"""Date assets without a date: assets of older archives, and assets for which a file beside them or the zone has changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from indexer.scan import unchanged_since
from search.errors import MediaError
from search.media import DecodePool
from search.media.metadata import dating
from search.store.asset_dates import Dates, Placed
from search.store.intake import path_of
from search.types import Filed, Info, Modality, Needs
from search.zones import Zones

ASSETS_PER_COMMIT = 64
"""Assets whose dates are written in one transaction."""

_HEAD = Needs(size=0, fit="crop", rate=0, window_ms=0, characters=1_000)
"""Nothing is decoded: what a file tells of itself stands in its head."""


def redate(dates: Dates, pool: DecodePool, zones: Zones, stop: threading.Event, report: Callable[[], None]) -> int:
    """Look for the dates of all assets that have none. Returns how many were dated. Assets whose file is gone stay waiting."""
    dates.again([one.asset for one in dates.zoned() if one.zone != (zones.name(path_of(one.path)) or "")])
    count, after = 0, 0
    while not stop.is_set() and (placed := dates.undated(after, ASSETS_PER_COMMIT)):
        after = placed[-1].asset
        dated = [(one.asset, filed) for one in placed if not stop.is_set() and (filed := _dated(one, pool, zones))]
        dates.put(dated)
        count += len(dated)
        report()
    return count


def _dated(one: Placed, pool: DecodePool, zones: Zones) -> Filed | None:
    if not unchanged_since(one.path, one.size, one.mtime_ns):
        return None
    path = Path(path_of(one.path))
    info = Info(Modality.TEXT, "")
    with (
        contextlib.suppress(MediaError),
        pool.source(one.path, one.digest, one.size) as source,
        contextlib.closing(pool.decode(source, _HEAD)) as found,
    ):
        for item in found:
            if isinstance(item, Info):
                info = item
            break
    return dating.file_under(info, path, one.mtime_ns, dating.read_beside(pool, path), zones)
