"""Entities by text and by identifier, in the forms people and programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from server.context import Context, json_answer, tagged
from server.entity_answer import entity_document, feature_of, link_header, present_answer
from server.entity_cityjson import MEDIA_TYPE as CITYJSON
from server.entity_cityjson import document as cityjson_document
from server.entity_document import item
from server.entity_drawing import Block, draw
from server.entity_page import page
from server.entity_past import LIMIT, LONGEST, AsOf, Times, ValidTime, find_or_refuse, past
from server.entity_subject import Subject, present, recorded
from server.problem import MEDIA_TYPE as PROBLEM
from server.problem import ProblemError
from server.releases import OpenRelease, Projection
from server.routers.landing import PAGE_HEADERS, prefers_html

_GEOJSON = "application/geo+json"
_NEAR_M = 70.0
_MOST_NEIGHBOURS = 80
_HIGHEST_CHAIN = 8
_NOW = Times.of(None, None)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, _GEOJSON: {}, CITYJSON: {}, "text/html": {}}},
    300: {"description": "Several entities share the alias", "content": {"application/json": {}}},
    410: {"description": "The entity is no longer part of the district", "content": {PROBLEM: {}}},
}
Format = Literal["json", "geojson", "cityjson", "html"]
Limit = Annotated[int, Query(ge=1, description=f"How many items at most; more than {LIMIT} counts as {LIMIT}")]
Name = Annotated[str, Path(description="Identifier in any spelling, `source:key`, or an alias: `scheme:value`")]


def listed(context: Context, release: OpenRelease, rows: list[int], limit: int) -> dict[str, Any]:
    """Short items of some rows, and whether there are more."""
    return _items(context, release, [release.index.record(row) for row in rows[:limit]], len(rows) > limit)


def _items(context: Context, release: OpenRelease, records: list[Any], truncated: bool) -> dict[str, Any]:
    items = [item(context, record) for record in records]
    return {"items": items, "numberReturned": len(items), "truncated": truncated, "release": release.id}


def choices(content: dict[str, Any]) -> Response:
    """300: an alias that several entities share, with the entities to choose from (RFC 9110 §15.4.1)."""
    return Response(orjson.dumps(content), 300, {"Cache-Control": "no-cache"}, "application/json")


def projection(release: OpenRelease) -> Projection:
    """Working CRS to longitude and latitude.

    Raises:
        ProblemError: 501 where the release keeps its CRS private and the project file is not at hand.
    """
    if release.projection is None:
        raise ProblemError(501, "crs_private", "The working CRS of this release is private; serve the project folder.")
    return release.projection


def router(context: Context) -> APIRouter:
    """The endpoints `/entities` and `/entities/{id}`."""
    routes = APIRouter(tags=["entities"])

    @routes.get("/entities", summary="Entities by text")
    def search(
        request: Request,
        q: Annotated[
            str,
            Query(min_length=1, max_length=LONGEST, description="Beginning of a name, address, key, alias or geid"),
        ],
        limit: Limit = 20,
    ) -> Response:
        """Entities whose name, address, source key, alias or identifier begins with the text."""
        limit = min(limit, LIMIT)
        with context.releases.reading() as release:
            return json_answer(request, listed(context, release, release.index.prefix(q, limit + 1), limit))

    @routes.get("/entities/{id:path}", summary="One entity", responses=_ANSWERS)
    def entity(
        request: Request,
        id: Name,
        f: Annotated[Format | None, Query(description="Format; json, or html for a browser, if left out")] = None,
        valid: ValidTime = None,
        as_of: AsOf = None,
    ) -> Response:
        """Attributes, provenance, place and tile of one entity, now or at a pair of times; 300 where several share an
        alias, 410 once retired."""
        times = Times.of(valid, as_of)
        form = f or ("html" if prefers_html(request.headers.get("accept", "")) else "json")
        with context.releases.reading() as release:
            if times.given:
                subjects = past(context, release, id, times)
                if len(subjects) > 1:
                    records = [subject.record for subject in subjects[:LIMIT]]
                    return choices(_items(context, release, records, len(subjects) > LIMIT))
                return answer(request, context, release, subjects[0], form, times)
            rows = find_or_refuse(context, release, id)
            if len(rows) > 1:
                return choices(listed(context, release, rows, LIMIT))
            if form == "json":
                body, link = present_answer(context, release, rows[0])
                return tagged(request, body, "application/json", {"Link": link, "Vary": "Accept"})
            return answer(request, context, release, present(release, rows[0]), form)

    return routes


def answer(
    request: Request, context: Context, release: OpenRelease, subject: Subject, form: str, times: Times = _NOW
) -> Response:
    """One entity in one form, as it is or as it was at a pair of times."""
    full = entity_document(context, release, subject)
    headers = {"Link": link_header(context, full), "Vary": "Accept"}
    if form == "json":
        return json_answer(request, full, headers=headers)
    if form == "geojson":
        return json_answer(request, feature_of(full, subject, projection(release)), _GEOJSON, headers)
    if form == "cityjson":
        facts = {key: full[key] for key in ("geid", "name", "address", "height_m", "storeys", "parent")}
        told = {"entity_class": full["entity_class"], "vertical_datum": release.record.get("vertical_datum")}
        attributes = {**full["attributes"], **facts, **told}
        document = cityjson_document(subject, release.record.get("working_crs"), attributes)
        return json_answer(request, document, CITYJSON, headers)
    drawn = draw(_blocks(context, release, subject), str(full["name"] or full["geid"]))
    body = page(full, drawn, _links(context, subject), _parents(context, release, subject, times))
    return tagged(request, body, "text/html; charset=utf-8", {**headers, **PAGE_HEADERS})


def _parents(context: Context, release: OpenRelease, subject: Subject, times: Times) -> list[dict[str, Any]]:
    """What the entity is part of, the widest first."""
    chain: list[dict[str, Any]] = []
    query = f"{times.query}&f=html" if times.given else "?f=html"
    above = subject.record.get("parent")
    while above and len(chain) < _HIGHEST_CHAIN and (record := _found(context, release, str(above), times)) is not None:
        href = context.url("entities", record["geid"]) + query
        chain.insert(0, {"name": record["name"], "geid": record["geid"], "href": href})
        above = record["parent"]
    return chain


def _found(context: Context, release: OpenRelease, geid: str, times: Times) -> Mapping[str, Any] | None:
    """The record of an entity at a pair of times; None where it is not there."""
    if times.given:
        table = context.timeline.entity(geid, times.valid, times.as_of)
        return recorded(table).record if len(table) and table["present"][0].as_py() else None
    row = release.index.find(geid)
    return None if row is None else release.index.record(row)


def _links(context: Context, subject: Subject) -> list[tuple[str, str]]:
    """Where the page leads; other forms keep the pair of times the page is about."""
    address = context.url("entities", subject.geid)
    shown = (
        [(context.url("viewer", "") + f"#id={subject.geid}", "三维地图 Open in the 3D map")] if context.viewer else []
    )
    if subject.span is None:
        shown += [(f"{address}?f={form}", text) for form, text in _FORMS]
    if context.timeline.recorded:
        shown.append((f"{address}/history", "历史 History"))
    return shown


_FORMS = (("json", "JSON"), ("geojson", "GeoJSON"), ("cityjson", "CityJSON"))


def _blocks(context: Context, release: OpenRelease, subject: Subject) -> list[Block]:
    """The entity and, in the present, what stands around it."""
    if not subject.polygons:
        return []
    chosen = _block(subject, True)
    if subject.span is not None:
        return [chosen]
    corners = np.concatenate([polygon[0] for polygon in subject.polygons])
    x, y = (corners.min(axis=0) + corners.max(axis=0)) / 2
    reach = float(min(np.ptp(corners, axis=0).max() / 2 + _NEAR_M, 400.0))
    rows = release.index.at_xy(float(x), float(y), None, reach)[:_MOST_NEIGHBOURS]
    around = [one for row in rows if (one := present(release, row)).geid != subject.geid and _stands(one)]
    return [chosen, *(_block(one, False, f"{context.url('entities', one.geid)}?f=html") for one in around)]


def _stands(subject: Subject) -> bool:
    """True for what can be drawn as a body."""
    return bool(subject.polygons) and subject.record["base_m"] is not None and subject.record["roof_m"] is not None


def _block(subject: Subject, chosen: bool, href: str = "") -> Block:
    base = subject.record.get("base_m") or 0.0
    roof = subject.record.get("roof_m")
    title = str(subject.record.get("name") or subject.record.get("address") or subject.geid)
    return Block(subject.polygons, base, base if roof is None else roof, chosen, title, href)
