"""What a verification finds: checks, and damage that can be repaired."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MEND = "Run `sensorium verify --repair`."
BACKUP = "Restore a backup, or index into a new home."


@dataclass(frozen=True, slots=True)
class Check:
    """One check: whether it passed, what was seen, and what to do if it failed."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


@dataclass(slots=True)
class Harm:
    """Damage that can be repaired.

    It holds the ids of assets to embed again, of assets whose names are not written, of units without a ledger line, and of
    readings that lost passages; rows with dangling references (table, row); id counters that lag behind (table, least);
    pictures without an asset; spaces with a damaged index, and those of which a server keeps something else; whether the word index is damaged; and whether there are indexes of
    spaces that are gone.
    """

    assets: set[int] = field(default_factory=set)
    unnamed: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)
    unread: set[int] = field(default_factory=set)
    dangling: set[tuple[str, int]] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    spaces: set[str] = field(default_factory=set)
    mirrors: set[str] = field(default_factory=set)
    words: bool = False
    strangers: bool = False
