"""What stands here, what has this code, which entity is meant by this address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.entity_past import LIMIT
from server.routers.entities import Limit, listed, projection

Longitude = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="Longitude in degrees")]
Latitude = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Latitude in degrees")]
Height = Annotated[
    float | None,
    Query(ge=-12_000, le=100_000, allow_inf_nan=False, description="Ellipsoidal height in metres; checked if given"),
]
Tolerance = Annotated[
    float, Query(ge=0, allow_inf_nan=False, description="How far away an entity may stand, in metres; at most 100")
]


def router(context: Context) -> APIRouter:
    """The endpoint `/resolve`."""
    routes = APIRouter(tags=["entities"])

    @routes.get("/resolve", summary="What stands here")
    def resolve(
        request: Request, lon: Longitude, lat: Latitude, h: Height = None, tolerance: Tolerance = 0.0, limit: Limit = 20
    ) -> Response:
        """Entities whose footprint holds the point, courtyards left out, and whose height range holds `h` if given."""
        limit = min(limit, LIMIT)
        with context.releases.reading() as release:
            projection(release)
            rows = release.index.at(lon, lat, h, min(tolerance, 100.0))
            return json_answer(request, listed(context, release, rows, limit))

    return routes
