"""The promises of a home: it has no picture of a deleted asset, and no index of a dropped space."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sqlalchemy import Connection, text

from indexer.verify.checks import MEND, Check, Harm


def pictures(connection: Connection, harm: Harm, home: Path) -> Check:
    """Check that every thumbnail belongs to an asset."""
    known = {bytes(digest).hex() for digest in connection.execute(text("SELECT digest FROM asset")).scalars()}
    pictures = [path for path in (home / "cache").glob("*/*") if path.is_file()]
    orphans = [path for path in pictures if path.name.partition("-")[0] not in known]
    harm.pictures += orphans
    return Check("every thumbnail belongs to an asset", not orphans, f"{len(orphans)} of {len(pictures)} belong to none", MEND)


def strangers(connection: Connection, harm: Harm, home: Path) -> Check:
    """Check that every index on disk belongs to a space."""
    found = [path for path in (home / "index").glob("*-*") if re.fullmatch(r"\d+-[0-9a-f]{12}", path.name)]
    rows = connection.execute(text("SELECT id, name FROM space")).all()
    known = {f"{row.id}-{hashlib.sha256(row.name.encode()).hexdigest()[:12]}" for row in rows}
    left = [path.name for path in found if path.name not in known]
    harm.strangers = bool(left)
    return Check("every index belongs to a space", not left, f"{len(left)} of {len(found)} belong to none", MEND)
