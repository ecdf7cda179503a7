"""Own fields over HTTP: values that people give to files, for those who may see the whole archive."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from search.api import schemas as s
from search.api.problems import not_found
from search.api.seen import Sight
from search.api.service import Service
from search.store.fields import LONGEST_FIELD, Fields, checked_field

FieldName = Annotated[str, Path(min_length=1, max_length=LONGEST_FIELD)]


def router(service: Service) -> APIRouter:
    """The route of own fields."""
    routes = APIRouter(prefix="/fields", tags=["assets"])
    fields = Fields(service.database)

    @routes.put("/{name}", operation_id="set_field", summary="Set an own field")
    def put(name: FieldName, asked: s.FieldValues, seen: Sight) -> s.FieldValues:
        """Give files a value of an own field, or with an empty one take it away. Answers the values from before, which undo it."""
        seen.check_whole("Own fields")
        name = checked_field(name)
        wanted = {one.asset: one.value for one in asked.values}
        known = seen.catalogue.assets(list(wanted))
        for asset in wanted:
            if asset not in known:
                raise not_found("asset", asset)
        before = fields.held(name, list(wanted))
        fields.put({asset: {name: value} for asset, value in wanted.items()})
        return s.FieldValues(values=[s.FieldValue(asset=asset, value=before.get(asset, "")) for asset in wanted])

    return routes
