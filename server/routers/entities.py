"""Entities by text, by identifier and by place."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.entity_document import document, feature, item
from server.problem import MEDIA_TYPE as PROBLEM
from server.problem import ProblemError, not_found
from server.releases import OpenRelease, Projection
from server.retired import gone
from twin.entity import geid
from twin.entity.index import EntityIndex

LIMIT = 100
_LONGEST = 200
_LONGEST_GEID = 64
_GEOJSON = "application/geo+json"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    300: {"description": "Several entities share the alias", "content": {"application/json": {}}},
    410: {"description": "The entity is no longer part of the district", "content": {PROBLEM: {}}},
}

Longitude = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="Longitude in degrees")]
Latitude = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Latitude in degrees")]
Height = Annotated[
    float | None,
    Query(ge=-12_000, le=100_000, allow_inf_nan=False, description="Ellipsoidal height in metres; checked if given"),
]
Tolerance = Annotated[
    float, Query(ge=0, allow_inf_nan=False, description="How far away an entity may stand, in metres; at most 100")
]
Limit = Annotated[int, Query(ge=1, description=f"How many items at most; more than {LIMIT} counts as {LIMIT}")]


def find_rows(index: EntityIndex, text: str) -> list[int]:
    """Rows a text names: by identifier, in whatever spelling, else by `source:key`, else by alias."""
    row = index.find(geid.normalise(text)) if len(text) <= _LONGEST_GEID and geid.check(text) else None
    for at in (i for i, letter in enumerate(text) if letter == ":"):
        row = index.by_key(text[:at], text[at + 1 :]) if row is None else row
    return [row] if row is not None else index.by_alias(text, LIMIT + 1)


def find_or_refuse(context: Context, release: OpenRelease, text: str) -> list[int]:
    """Rows a text names now or, where that is none, the entities it was once noted for.

    Raises:
        ProblemError: 410 where they are all retired, 404 where nothing is known of it.
    """
    rows = find_rows(release.index, text) if len(text) <= _LONGEST else []
    if rows or len(text) > _LONGEST:
        return rows or _refuse(absent(text))
    known = context.registered.find(text, release.id, release.record.get("project", {}))
    there = [row for one in known if (row := release.index.find(one.geid)) is not None]
    return there or _refuse(gone(known) if known else absent(text))


def _refuse(problem: ProblemError) -> NoReturn:
    raise problem


def absent(text: str) -> ProblemError:
    """404, with the identifiers that were perhaps meant."""
    if len(text) > _LONGEST_GEID or ":" in text:
        return not_found("No such entity.")
    meant = geid.explain(text).suggestions[:3]
    return not_found(f"No such entity. Did you mean {' or '.join(meant)}?" if meant else "No such entity.")


def _listed(context: Context, release: OpenRelease, rows: list[int], limit: int) -> dict[str, Any]:
    items = [item(context, release.index.record(row)) for row in rows[:limit]]
    return {"items": items, "numberReturned": len(items), "truncated": len(rows) > limit, "release": release.id}


def choices(context: Context, release: OpenRelease, rows: list[int]) -> Response:
    """300: an alias that several entities share, with the entities to choose from (RFC 9110 §15.4.1)."""
    content = _listed(context, release, rows, LIMIT)
    return Response(orjson.dumps(content), 300, {"Cache-Control": "no-cache"}, "application/json")


def router(context: Context) -> APIRouter:
    """The endpoints `/entities`, `/entities/{id}` and `/resolve`."""
    routes = APIRouter(tags=["entities"])

    @routes.get("/entities", summary="Entities by text")
    def search(
        request: Request,
        q: Annotated[
            str,
            Query(min_length=1, max_length=_LONGEST, description="Beginning of a name, address, key, alias or geid"),
        ],
        limit: Limit = 20,
    ) -> Response:
        """Entities whose name, address, source key, alias or identifier begins with the text."""
        limit = min(limit, LIMIT)
        with context.releases.reading() as release:
            return json_answer(request, _listed(context, release, release.index.prefix(q, limit + 1), limit))

    @routes.get("/entities/{id:path}", summary="One entity", responses=_ANSWERS)
    def entity(
        request: Request,
        id: Annotated[str, Path(description="Identifier in any spelling, `source:key`, or an alias: `scheme:value`")],
        f: Annotated[Literal["json", "geojson"], Query(description="Format")] = "json",
    ) -> Response:
        """Attributes, provenance, place and tile of one entity; 300 where several share an alias, 410 once retired."""
        with context.releases.reading() as release:
            rows = find_or_refuse(context, release, id)
            if len(rows) > 1:
                return choices(context, release, rows)
            record = release.index.record(rows[0])
            full = document(context, record, release.id)
            headers = {"Link": _link_header(context, full)}
            if f == "json":
                return json_answer(request, full, headers=headers)
            shape = feature(full, release.index.geojson(rows[0], projection(release).to_lonlat)["geometry"])
        return json_answer(request, shape, _GEOJSON, headers)

    @routes.get("/resolve", summary="What stands here")
    def resolve(
        request: Request, lon: Longitude, lat: Latitude, h: Height = None, tolerance: Tolerance = 0.0, limit: Limit = 20
    ) -> Response:
        """Entities whose footprint holds the point, courtyards left out, and whose height range holds `h` if given."""
        limit = min(limit, LIMIT)
        with context.releases.reading() as release:
            projection(release)
            rows = release.index.at(lon, lat, h, min(tolerance, 100.0))
            return json_answer(request, _listed(context, release, rows, limit))

    return routes


def projection(release: OpenRelease) -> Projection:
    """Working CRS to longitude and latitude.

    Raises:
        ProblemError: 501 where the release keeps its CRS private and the project file is not at hand.
    """
    if release.projection is None:
        raise ProblemError(501, "crs_private", "The working CRS of this release is private; serve the project folder.")
    return release.projection


def _link_header(context: Context, full: dict[str, object]) -> str:
    address = context.url("entities", str(full["geid"]))
    links = [f'<{address}>; rel="canonical"', f'<{address}?f=geojson>; rel="alternate"; type="{_GEOJSON}"']
    tile = full["tile"]
    if isinstance(tile, dict):
        links.append(f'<{tile["url"]}>; rel="enclosure"; type="model/gltf-binary"')
    return ", ".join(links)
