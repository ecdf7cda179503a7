"""What the tests of media share: a pool, and its answers sorted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from search.errors import MediaError
from search.media import DecodePool
from search.settings import Settings
from search.types import Channel, Cut, Gap, Info, Needs

NEEDS = Needs(size=64, fit="crop", rate=16000, window_ms=2000, characters=300, levelled=False)


@dataclass
class Decoded:
    info: Info
    cuts: list[Cut]
    gaps: list[Gap]
    lasted_ms: int | None = None
    """How long it lasts, as decoding told."""

    def of(self, channel: Channel) -> list[Cut]:
        return [cut for cut in self.cuts if cut.channel is channel]

    @property
    def content(self):
        (cut,) = self.cuts
        return cut.content


def settings(**changes: int | str) -> Settings:
    return Settings(home=Path("/nonexistent"), **changes)


def decode(pool: DecodePool, path: Path, needs: Needs = NEEDS) -> Decoded:
    info, *rest = pool.decode(path, needs)
    assert isinstance(info, Info)
    lasted = [one.duration_ms for one in (info, *rest) if isinstance(one, Info)][-1]
    return Decoded(info, [one for one in rest if isinstance(one, Cut)], [one for one in rest if isinstance(one, Gap)], lasted)


def refusal(pool: DecodePool, path: Path, needs: Needs = NEEDS) -> MediaError:
    try:
        found: Iterable[object] = list(pool.decode(path, needs))
    except MediaError as error:
        return error
    raise AssertionError(f"{path} gave {found}")
