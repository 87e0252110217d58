"""Events out: lists, one report, the state, CZML, and the streams beside the framework."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import time
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from starlette.types import ASGIApp

from server.context import Context, json_answer
from server.entity_past import find_or_refuse, find_rows
from server.live import lists
from server.live.access import live_of, readable
from server.live.asked import Asked, area_region, from_ms, inside, with_parts
from server.live.asyncapi import MEDIA_TYPE as ASYNCAPI
from server.live.asyncapi import document as asyncapi_document
from server.live.czml import MEDIA_TYPE as CZML
from server.live.czml import document as czml_document
from server.live.geojson import MEDIA_TYPE as GEOJSON
from server.live.geojson import feature
from server.live.hub import write_position
from server.live.live import Live
from server.live.select import Selection
from server.live.sse import EventStream
from server.live.websocket import EventSocket
from server.negotiation import matches
from server.problem import ProblemError, not_found
from server.releases import OpenRelease
from server.routers.entities import Name
from twin.entity import geid as geids
from twin.live.model import Filter
from twin.store.base import digest, quoted

CLOUDEVENT = "application/cloudevents+json"
_LONGEST = 2000
_CZML_MOST = 20_000

Text = Annotated[str | None, Query(max_length=_LONGEST)]
Words = Annotated[str | None, Query(max_length=_LONGEST, description="One or several, with commas between")]
Flag = Annotated[Literal["true", "false"] | None, Query()]
Format = Annotated[Literal["json", "geojson"] | None, Query(description="Format; overrules Accept")]
Time = Annotated[
    str | None,
    Query(max_length=100, description="When it occurred: a moment or an interval, RFC 3339, `..` for an open end"),
]
AsOf = Annotated[str | None, Query(alias="as-of", max_length=50, description="What had been recorded by then")]
Limit = Annotated[int, Query(ge=1, description=f"How many at most; more than {lists.MOST} counts as {lists.MOST}")]
StateLimit = Annotated[
    int, Query(ge=1, description=f"How many cases at most; more than {lists.STATE_MOST} counts as {lists.STATE_MOST}")
]
Cursor = Annotated[int | None, Query(ge=1, le=2**62, description="Where the page begins; out of a `next` link")]


def raw_paths(context: Context) -> Mapping[str, ASGIApp]:
    """What answers below the server's prefix without the framework, by whole path, such as `/events/stream`.

    HTTP and WebSocket requests alike; never called where the server has no live intake.
    """
    live = live_of(context)
    return {
        "/events/stream": EventStream(context, live.hub, live.config.rotate_s),
        "/events/ws": EventSocket(context, live.hub, live.config.rotate_s),
    }


def router(context: Context) -> APIRouter:
    """The endpoints below `/events`, and `/entities/{id}/events`."""
    routes = APIRouter(tags=["events"])
    _lists(routes, context)
    _state(routes, context)
    _czml(routes, context)
    _one(routes, context)
    _documents(routes, context)
    return routes


@dataclass(frozen=True, slots=True)
class _Page:
    """A request for a list."""

    live: Live
    selection: Selection
    limit: int
    before: int | None


def _lists(routes: APIRouter, context: Context) -> None:
    @routes.get("/events", summary="Reports")
    async def events(
        request: Request,
        limit: Limit = lists.LIMIT,
        bbox: Annotated[str | None, Query(max_length=500, description="West, south, east, north, degrees")] = None,
        datetime: Time = None,
        kind: Words = None,
        status: Words = None,
        severity: Words = None,
        source: Words = None,
        entity: Words = None,
        area: Annotated[str | None, Query(max_length=64, description="geid of an area")] = None,
        case: Annotated[str | None, Query(max_length=200, description="One case of the `source`")] = None,
        open: Flag = None,
        linked: Flag = None,
        q: Annotated[str | None, Query(description="Words of title, address or case")] = None,
        as_of: AsOf = None,
        cursor: Cursor = None,
        f: Format = None,
    ) -> Response:
        """Reports, the youngest offset first, as CloudEvents or GeoJSON."""
        asked = Asked(bbox, datetime, kind, status, severity, source, entity, area, case, open, linked, q, as_of)
        live = live_of(context)
        selection = await _allowed(context, request, asked)
        page = _Page(live, selection, min(limit, lists.MOST), cursor)
        return await asyncio.to_thread(_answer_page, context, request, page, f, ("events",))

    @routes.get("/entities/{id:path}/events", summary="Reports on one entity")
    async def of_entity(
        request: Request,
        id: Name,
        limit: Limit = lists.LIMIT,
        datetime: Time = None,
        kind: Words = None,
        status: Words = None,
        severity: Words = None,
        open: Flag = None,
        as_of: AsOf = None,
        cursor: Cursor = None,
        f: Format = None,
    ) -> Response:
        """Reports on an entity and on what is part of it, or in an area; also once it is retired."""
        asked = Asked(datetime=datetime, kind=kind, status=status, severity=severity, open=open, as_of=as_of)
        live = live_of(context)
        geid, wanted = await asyncio.to_thread(_on_entity, context, live, id, asked.selection(context))
        selection = await readable(context, request.scope, wanted)
        page = _Page(live, selection, min(limit, lists.MOST), cursor)
        return await asyncio.to_thread(_answer_page, context, request, page, f, ("entities", geid, "events"))


async def _allowed(context: Context, request: Request, asked: Asked) -> Selection:
    """What of a request may be read."""
    return await readable(context, request.scope, await asyncio.to_thread(asked.selection, context))


def _on_entity(context: Context, live: Live, name: str, selection: Selection) -> tuple[str, Selection]:
    """The geid of a name, and a selection of what is reported on it."""
    with context.releases.reading() as release:
        geid = _geid(context, release, live, name)
        parts, is_area = with_parts(release, geid)
        if is_area:
            return geid, inside(selection, area_region(release, [geid]))
    return geid, Selection(replace(selection.filter, geids=parts), selection.regions)


def _geid(context: Context, release: OpenRelease, live: Live, name: str) -> str:
    """Raises `ProblemError` (404, 410) where a name is of no entity and nothing was ever reported on it."""
    rows = find_rows(release.index, name)
    if len(rows) > 1:
        raise ProblemError(404, "not_found", "Several entities share this alias; ask for one by its identifier.")
    if rows:
        return str(release.index.table["geid"][rows[0]].as_py())
    if geids.check(name):
        geid = geids.normalise(name)
        if live.store.select(Filter(geids=frozenset({geid})), 1):
            return geid
    find_or_refuse(context, release, name)
    raise not_found("No such entity.")


def _answer_page(context: Context, request: Request, page: _Page, f: str | None, place: tuple[str, ...]) -> Response:
    found = lists.find(page.live.store, page.selection, page.limit, page.before)
    address = context.url(*place)
    links = _links(address, request, wants_geojson(request, f))
    if found.cursor is not None:
        given = {**dict(request.query_params), "cursor": str(found.cursor)}
        links.append({**links[0], "href": f"{address}?{urlencode(given)}", "rel": "next", "title": "Next page"})
    head = {"links": links, "timeStamp": from_ms(int(time() * 1000)), "numberReturned": len(found.reports)}
    return _written(request, page.live, head, found.reports, f, {})


def wants_geojson(request: Request, f: str | None) -> bool:
    """True where GeoJSON is asked for."""
    return f == "geojson" or (f is None and GEOJSON in request.headers.get("accept", ""))


def _links(address: str, request: Request, geojson: bool) -> list[dict[str, str]]:
    """`self` and the other form."""
    plain = {key: value for key, value in request.query_params.items() if key != "f"}
    here, there = (("geojson", GEOJSON), ("json", "application/json"))[:: 1 if geojson else -1]
    query = urlencode(dict(request.query_params))
    return [
        {"href": f"{address}?{query}" if query else address, "rel": "self", "type": here[1], "title": "This page"},
        {"href": f"{address}?{urlencode({**plain, 'f': there[0]})}", "rel": "alternate", "type": there[1]},
    ]


def _written(
    request: Request, live: Live, head: dict[str, Any], reports: Any, f: str | None, headers: Mapping[str, str]
) -> Response:
    geojson = wants_geojson(request, f)
    body = lists.as_geojson(head, reports) if geojson else lists.as_json(head, reports, live.hub.encode)
    shared = {"Cache-Control": "no-cache", "Vary": "Accept, Authorization", **headers}
    return Response(body, media_type=GEOJSON if geojson else "application/json", headers=shared)


def _state(routes: APIRouter, context: Context) -> None:
    @routes.get("/events/state", summary="The last report of every case, and the position it holds for")
    async def state(
        request: Request,
        limit: StateLimit = lists.STATE_LIMIT,
        bbox: Annotated[str | None, Query(max_length=500, description="West, south, east, north, degrees")] = None,
        datetime: Time = None,
        kind: Words = None,
        status: Words = None,
        severity: Words = None,
        source: Words = None,
        entity: Words = None,
        area: Annotated[str | None, Query(max_length=64, description="geid of an area")] = None,
        open: Flag = None,
        linked: Flag = None,
        as_of: AsOf = None,
        f: Format = None,
    ) -> Response:
        """What is the case; `/events/stream?last_event_id=<position>` goes on. Closed cases only if asked for."""
        asked = Asked(bbox, datetime, kind, status, severity, source, entity, area, None, open, linked, None, as_of)
        live = live_of(context)
        selection = await _allowed(context, request, asked)
        return await asyncio.to_thread(
            _answer_state, context, request, live, selection, min(limit, lists.STATE_MOST), f
        )


def _answer_state(
    context: Context, request: Request, live: Live, selection: Selection, limit: int, f: str | None
) -> Response:
    condition = ",".join(request.headers.getlist("if-none-match")).encode("latin-1")
    now = _state_tag(context, request, live, selection, live.store.last(), f)
    if condition and matches(condition, now.encode()):
        return Response(status_code=304, headers={"ETag": now, "Cache-Control": "no-cache"})
    found = lists.state(live.store, selection, limit)
    position = write_position(live.store.epoch, found.position)
    stream = context.url("events", "stream")
    links = _links(context.url("events", "state"), request, wants_geojson(request, f))
    links.append({"href": f"{stream}?last_event_id={position}", "rel": "hub", "type": "text/event-stream"})
    head = {
        "position": position,
        "links": links,
        "timeStamp": from_ms(int(time() * 1000)),
        "numberReturned": len(found.reports),
        "truncated": found.truncated,
    }
    tag = _state_tag(context, request, live, selection, found.position, f)
    return _written(request, live, head, found.reports, f, {"ETag": tag})


def _state_tag(
    context: Context, request: Request, live: Live, selection: Selection, position: int, f: str | None
) -> str:
    """A weak tag: `timeStamp` differs. The state is a function of store, position, question and release (outlines)."""
    release = context.releases.pair.current.id if selection.regions else ""
    form = "geojson" if wants_geojson(request, f) else "json"
    seen = [
        *sorted(selection.filter.kinds or ()),
        *(one for region in selection.regions for one in sorted(region.geids)),
    ]
    parts = (live.store.epoch, str(position), release, form, *seen, str(request.url.query))
    return "W/" + quoted(digest("\n".join(parts).encode()))


def _czml(routes: APIRouter, context: Context) -> None:
    @routes.get("/events/czml", summary="Events for any Cesium")
    async def czml(
        request: Request,
        bbox: Annotated[str | None, Query(max_length=500, description="West, south, east, north, degrees")] = None,
        datetime: Time = None,
        kind: Words = None,
        status: Words = None,
        severity: Words = None,
        source: Words = None,
        entity: Words = None,
        area: Annotated[str | None, Query(max_length=64, description="geid of an area")] = None,
        as_of: AsOf = None,
    ) -> Response:
        """CZML: with `datetime` what happened in that interval, to be replayed; without, what is the case now."""
        asked = Asked(bbox, datetime, kind, status, severity, source, entity, area, as_of=as_of)
        live = live_of(context)
        selection = await _allowed(context, request, asked)
        return await asyncio.to_thread(_answer_czml, request, live, selection, datetime is not None)


def _answer_czml(request: Request, live: Live, selection: Selection, historical: bool) -> Response:
    if historical:
        found = lists.find(live.store, selection, _CZML_MOST, None)
        if found.cursor is not None:
            told = f"More than {_CZML_MOST} reports lie in this interval; ask for a shorter one, a box or a kind."
            raise ProblemError(400, "too_much", told)
        reports, span = found.reports[::-1], selection.filter
    else:
        reports, span = lists.state(live.store, selection, _CZML_MOST).reports, None
    document = czml_document(reports, live.kinds, span, int(time() * 1000))
    return tagged_private(request, orjson.dumps(document), CZML)


def tagged_private(request: Request, body: bytes, media_type: str) -> Response:
    """A body with an ETag of its bytes, or 304."""
    tag = quoted(digest(body))
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    condition = ",".join(request.headers.getlist("if-none-match"))
    if condition and matches(condition.encode("latin-1"), tag.encode()):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _one(routes: APIRouter, context: Context) -> None:
    @routes.get("/events/{offset}", summary="One report")
    async def event(
        request: Request,
        offset: Annotated[int, Path(ge=1, le=2**62, description="Offset of the report")],
        f: Format = None,
    ) -> Response:
        """One report as a CloudEvent or as a GeoJSON feature."""
        live = live_of(context)
        selection = await readable(context, request.scope, Selection())
        stored = await asyncio.to_thread(live.store.get, offset)
        if stored is None or not live.hub.match(selection)(stored):
            raise not_found("No such report; it may lie beyond the time it is kept for.")
        if wants_geojson(request, f):
            return tagged_private(request, orjson.dumps(feature(stored)), GEOJSON)
        return tagged_private(request, live.hub.encode(stored), CLOUDEVENT)


def _documents(routes: APIRouter, context: Context) -> None:
    @routes.get("/asyncapi.json", summary="AsyncAPI document")
    def asyncapi(request: Request) -> Response:
        """What flows in and out, machine-readable: AsyncAPI 3.0."""
        return json_answer(request, asyncapi_document(context, live_of(context).kinds), ASYNCAPI)
