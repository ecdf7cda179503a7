"""Cases over HTTP: shared by everybody who may see the whole archive."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Response

from search.api import links
from search.api import schemas as s
from search.api.links import moment
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.store.cases import Casefile, Cases, Exhibit
from search.store.catalogue import Asset
from search.types import Span


def router(service: Service) -> APIRouter:
    """The routes of cases."""
    routes = APIRouter(prefix="/cases", tags=["cases"])
    cases = Cases(service.database)

    def told(id_: int, seen: Seen) -> s.CaseDetail:
        case, exhibits = cases.get(id_)
        assets = cases.assets([one.digest for one in exhibits])
        known = seen.catalogue.assets(sorted(set(assets.values())))
        first = seen.catalogue.first_segments(list(known))
        return s.CaseDetail(
            **_entry(case).model_dump(),
            exhibits=[_told(one, seen, known.get(assets.get(one.digest, 0)), first) for one in exhibits],
        )

    @routes.get("", operation_id="cases", summary="Every case")
    def every(seen: Sight) -> s.CaseList:
        """Every case, the one that was changed last first."""
        seen.check_whole("Cases")
        return s.CaseList(cases=[_entry(one) for one in cases.all()])

    @routes.post("", status_code=201, operation_id="make_case", summary="Begin a case")
    def make(asked: s.CaseRequest, seen: Sight, response: Response) -> s.CaseDetail:
        """An empty case."""
        seen.check_whole("Cases")
        id_ = cases.make(asked.name, asked.note)
        response.headers["Location"] = f"{s.BASE}/cases/{id_}"
        return told(id_, seen)

    @routes.get("/{id}", operation_id="case", summary="A case")
    def get(id: s.Id, seen: Sight) -> s.CaseDetail:  # noqa: A002 - the name in the address
        """A case with its exhibits. Those whose medium has left the archive are still there, without links."""
        seen.check_whole("Cases")
        return told(id, seen)

    @routes.post("/{id}/exhibits", operation_id="collect", summary="Collect moments")
    def collect(id: s.Id, asked: s.Collected, seen: Sight) -> s.CaseDetail:  # noqa: A002
        """Put moments at the end of a case. Those that it has already are left out."""
        seen.check_whole("Cases")
        cases.add(id, _exhibits(asked.exhibits, seen, cases, []))
        return told(id, seen)

    @routes.put("/{id}", operation_id="change_case", summary="Change a case")
    def change(id: s.Id, asked: s.CaseChange, seen: Sight) -> s.CaseDetail:  # noqa: A002
        """Rename, note, order or take out: the case becomes what is sent. To undo a change, send what was there before.

        Fails with `changed-meanwhile` if somebody else has changed it since `version`.
        """
        seen.check_whole("Cases")
        exhibits = _exhibits(asked.exhibits, seen, cases, cases.get(id)[1])
        cases.change(id, asked.version, name=asked.name, note=asked.note, exhibits=exhibits)
        return told(id, seen)

    @routes.delete("/{id}", status_code=204, operation_id="delete_case", summary="Delete a case")
    def delete(id: s.Id, seen: Sight) -> Response:  # noqa: A002
        """Delete a case. The media stay."""
        seen.check_whole("Cases")
        cases.delete(id)
        return Response(status_code=204)

    return routes


def _exhibits(asked: Sequence[s.ExhibitRequest], seen: Seen, cases: Cases, before: Sequence[Exhibit]) -> list[Exhibit]:
    """What is to be collected. Who names a medium by its content may name one that has left the archive, if the case had it ``before``.

    Raises:
        Problem: there is no such asset (404).
    """
    ids = cases.assets([one.sha256 for one in asked if one.sha256])
    assets = seen.catalogue.assets(sorted({*ids.values(), *(one.asset for one in asked if one.asset)}))
    gone, added = (
        {one.digest: one.name for one in before},
        {(one.digest, one.start_ms, one.end_ms): one.added_at for one in before},
    )
    made = []
    for one in asked:
        asset = assets.get(one.asset or ids.get(one.sha256 or "", 0))
        if asset is not None:
            digest, name = asset.digest, seen.places.spot(asset.location.collection, asset.location.path).name
        elif one.sha256 in gone:
            digest, name = one.sha256, gone[one.sha256]
        else:
            raise not_found("asset", one.asset or one.sha256)
        made.append(
            Exhibit(digest, name, one.start_ms, one.end_ms, one.note, one.question, added.get((digest, one.start_ms, one.end_ms)))
        )
    return made


def _entry(case: Casefile) -> s.CaseEntry:
    return s.CaseEntry(
        id=case.id, name=case.name, note=case.note, version=case.version, count=case.count, created_at=moment(case.created_at),
        changed_at=moment(case.changed_at),
    )  # fmt: skip


def _told(one: Exhibit, seen: Seen, asset: Asset | None, first: dict[int, int]) -> s.ExhibitEntry:
    span = None if one.start_ms is None or one.end_ms is None else Span(one.start_ms, one.end_ms)
    return s.ExhibitEntry(
        sha256=one.digest, name=one.name, start_ms=one.start_ms, end_ms=one.end_ms, note=one.note, question=one.question,
        added_at=moment(one.added_at or 0), asset=links.reference(asset, seen.places) if asset else None, segment=first.get(asset.id) if asset else None,
        links=links.links(asset, span) if asset else None,
    )  # fmt: skip
