"""Relevance judgements: which files people say answer a question, and which do not.

They count in estimates, and are questions with known answers for ``spaces calibrate``. Judgements of a random sample also bound
how many right files are left (``search/query/stopping.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from search.errors import InputError
from search.store import tables as t
from search.store.database import Database, now_ms
from search.store.within import seen
from search.types import Within

MAX_QUESTION_CHARACTERS = 500
"""Characters of a question that can be judged, at most."""


@dataclass(frozen=True, slots=True)
class JudgedAsset:
    """A judged asset.

    ``population``: it was drawn at random from this number of files that had not been judged and pass the filter ``scope``. None:
    it was not drawn.
    """

    asset: int
    right: bool
    population: int | None = None
    scope: str | None = None


class Judgements:
    """Each method is one transaction. With ``within``, assets of other collections are as if they did not exist."""

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self._within = database, within

    def put(
        self,
        question: str,
        right: Iterable[int],
        wrong: Iterable[int],
        *,
        population: int | None = None,
        scope: str | None = None,
    ) -> None:
        """Record which assets answer a question, and which do not. ``population`` and ``scope`` are as in ``JudgedAsset``.

        The latest judgement of an asset counts. An asset that was drawn stays marked as drawn.

        Raises:
            InputError: the question is empty or too long, an asset is both right and wrong, or there is none of that number.
        """
        asked, said = plain(question), dict.fromkeys(right, True)
        for asset in wrong:
            if said.setdefault(asset, False):
                raise InputError(f"File {asset} cannot be right and wrong.", remedy="Name each file once.")
        c, now = t.judgement.c, now_ms()
        with self._database.writing(quiet=True) as connection:
            here = select(t.asset.c.id).where(t.asset.c.id.in_(list(said)), *seen(self._within, t.asset.c.id))
            known = set(connection.execute(here).scalars())
            if strange := sorted(said.keys() - known):
                raise InputError(f"There is no file {strange[0]}.", remedy="Take the numbers of files from a search.")
            before = select(c.asset_id).where(c.question == asked, c.asset_id.in_(list(said)))
            told = set(connection.execute(before).scalars())
            for one in (True, False):
                changed = [asset for asset in told if said[asset] is one]
                connection.execute(
                    update(t.judgement).where(c.question == asked, c.asset_id.in_(changed)).values(is_right=one, judged_at=now)
                )
            rows = [
                {
                    "question": asked,
                    "asset_id": asset,
                    "is_right": one,
                    "population": population,
                    "scope": scope,
                    "judged_at": now,
                }
                for asset, one in said.items()
                if asset not in told
            ]
            if rows:
                connection.execute(insert(t.judgement), rows)

    def forget(self, question: str, assets: Iterable[int] | None = None) -> int:
        """Remove the judgements of assets, or all of a question. Returns how many."""
        c = t.judgement.c
        which = delete(t.judgement).where(c.question == plain(question), *seen(self._within, c.asset_id))
        with self._database.writing(quiet=True) as connection:
            return connection.execute(which if assets is None else which.where(c.asset_id.in_(list(assets)))).rowcount

    def of(self, question: str) -> list[JudgedAsset]:
        """The judgements of a question, in the order in which they were made."""
        c = t.judgement.c
        with self._database.reading() as connection:
            query = select(t.judgement).where(c.question == " ".join(question.split()), *seen(self._within, c.asset_id))
            query = query.order_by(c.id)
            return [_judged(row) for row in connection.execute(query)]

    def questions(self) -> dict[str, list[JudgedAsset]]:
        """The judgements of every question."""
        found: dict[str, list[JudgedAsset]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(select(t.judgement).order_by(t.judgement.c.id)):
                found.setdefault(row.question, []).append(_judged(row))
        return found

    def count(self) -> int:
        """The number of judged assets over all questions."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(t.judgement)).scalar_one()


def plain(question: str) -> str:
    """A question in the form in which judgements store it: with one blank between words.

    Raises:
        InputError: it is empty or too long.
    """
    found = " ".join(question.split())
    if not 0 < len(found) <= MAX_QUESTION_CHARACTERS:
        raise InputError(
            f"A question of {len(found):,} characters cannot be judged.",
            remedy=f"Ask in 1 to {MAX_QUESTION_CHARACTERS} characters.",
        )
    return found


def _judged(row: Any) -> JudgedAsset:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    return JudgedAsset(row.asset_id, row.is_right, row.population, row.scope)
