"""Make the fingerprints of files that were indexed before there were any. Their files are decoded again; nothing is embedded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing

from indexer.scan import unchanged_since
from search.errors import MediaError
from search.media import DecodePool, fingerprints
from search.store.fingerprint_rows import FingerprintRows, Unprinted
from search.types import Cut, Fingerprint, Needs

ASSETS_AT_ONCE = 64
"""Assets whose fingerprints are written in one transaction."""


def fingerprint_older(
    rows: FingerprintRows, pool: DecodePool, needs: Needs, report: Callable[[int], None] = lambda _: None
) -> int:  # fmt: skip
    """Fingerprint what has none, as an encoder with ``needs`` gets it. Returns how many assets were decoded; files that are gone, have changed or
    cannot be decoded are left as they are."""
    count, after = 0, 0
    while some := rows.without(after, ASSETS_AT_ONCE):
        after = some[-1].asset
        made = [one for asset in some for one in _made(asset, pool, needs)]
        rows.put(made)
        count += len({asset.asset for asset in some})
        report(count)
    return count


def _made(asset: Unprinted, pool: DecodePool, needs: Needs) -> list[tuple[int, Fingerprint | None]]:
    if not unchanged_since(asset.path, asset.size, asset.mtime_ns):
        return []
    waiting = defaultdict(list)
    for segment, *place in asset.segments:
        waiting[tuple(place)].append(segment)
    made: list[tuple[int, Fingerprint | None]] = []
    try:
        with pool.source(asset.path, asset.digest, asset.size) as source, closing(pool.decode(source, needs)) as replies:
            for cut in replies:
                if not isinstance(cut, Cut) or isinstance(cut.content, str):
                    continue
                span = (cut.span.start, cut.span.end) if cut.span else (None, None)
                same = waiting.get((str(cut.channel), *span, cut.source))
                codes = fingerprints.codes_of(cut.modality, cut.content, needs.rate) if same else None
                if same and codes is not None:
                    made.append((same.pop(0), Fingerprint(codes, cut.times)))
    except MediaError:
        return made
    return made
