"""The read subset of SensorThings 1.1 over observations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.features.query import refused
from server.live import lists, things
from server.live.access import live_of, readable
from server.live.select import Selection, matcher
from server.live.things import PATHS, SETS, Target, Writer
from server.problem import not_found
from twin.live.model import EventStore, Filter, Stored
from twin.live.sensorthings import KIND

_TOP, _MOST = 100, 1000
_ROOT = ("sta", "v1.1")


@dataclass(frozen=True, slots=True)
class Options:
    """Query options.

    Attributes:
        top, skip: The page of a set.
        count: Whether to say how many there are.
        filter: Times of Observations, as text.
        before: Offset the page of Observations begins before.
    """

    top: int
    skip: int
    count: bool
    filter: str | None
    before: int | None


def router(context: Context) -> APIRouter:
    """The endpoints at and below `/sta/v1.1`."""
    routes = APIRouter(tags=["sensorthings"])

    @routes.get("/sta/v1.1", summary="SensorThings: what there is")
    def root(request: Request) -> Response:
        """The sets, and which conformance classes are met: none in full, it is a subset."""
        live_of(context)
        sets = [{"name": name, "url": context.url(*_ROOT, name)} for name in SETS]
        settings = {"conformance": [], "readOnly": True, "maxTop": _MOST}
        return json_answer(request, {"value": sets, "serverSettings": settings})

    @routes.get("/sta/v1.1/{path:path}", summary="SensorThings: a set, an entity, or what it leads to")
    async def resource(
        request: Request,
        path: Annotated[str, Path(description="Such as `Datastreams` or `Things('…')/Datastreams`")],
        top: Annotated[int, Query(alias="$top", ge=0, description=f"How many; at most {_MOST}")] = _TOP,
        skip: Annotated[int, Query(alias="$skip", ge=0, le=10**9, description="How many to leave out")] = 0,
        count: Annotated[Literal["true", "false"], Query(alias="$count", description="Say how many")] = "false",
        filter: Annotated[
            str | None, Query(alias="$filter", max_length=500, description="Times of Observations")
        ] = None,
        before: Annotated[
            int | None, Query(alias="$skiptoken", ge=1, le=2**62, description="Out of a nextLink")
        ] = None,
    ) -> Response:
        """Observations of the log as SensorThings; a page has `@iot.nextLink` where there is more."""
        live = live_of(context)
        target = things.read_path(path)
        selection = await readable(context, request.scope, Selection(Filter(kinds=frozenset({KIND}))))
        options = Options(min(top, _MOST), skip, count == "true", filter, before)
        source = _Source(live.store, selection, Writer(context.url(*_ROOT)))
        body = await asyncio.to_thread(source.answer, target, options)
        if "value" in body and (more := body.pop("next", None)) is not None:
            given = {**dict(request.query_params), **more}
            address = context.url(*_ROOT, path).replace("'", "%27")
            body["@iot.nextLink"] = f"{address}?{urlencode(given)}"
        return json_answer(request, body, headers={"Vary": "Authorization"})

    return routes


@dataclass(frozen=True, slots=True)
class _Source:
    """Where entities come from."""

    store: EventStore
    selection: Selection
    writer: Writer

    def answer(self, target: Target, options: Options) -> dict[str, Any]:
        """A set, or one entity."""
        if target.id is None:
            return self._set(target.name, None, options)
        found = self._one(target.name, target.id)
        if target.onward is None:
            return self.writer.write(target.name, found)
        name, many = PATHS[target.name][target.onward]
        if not many:
            return self.writer.write(name, self._one(name, things.identifier_in(name, found)))
        return self._set(name, (target.name, found), options)

    def _one(self, name: str, identifier: str) -> Stored:
        """Raises `ProblemError` (404) where there is no such entity, or none that may be seen."""
        if name == "Observations":
            stored = self.store.get(int(identifier))
            matching = stored is not None and matcher(self.selection)(stored)
            found = [stored] if stored is not None and matching else []
        elif name == "Datastreams":
            found = list(self._states(things.case_of(identifier)))
        else:
            states = things.distinct(name, self._states())
            found = [one for one in states if things.identifier_in(name, one) == identifier]
        if not found:
            raise not_found("No such entity.")
        return found[0]

    def _states(self, case: tuple[str, str] | None = None) -> Sequence[Stored]:
        """The last report of every Datastream, or of one."""
        wanted = replace(self.selection.filter, case=case)
        rows, _ = self.store.state(wanted, lists.STATE_MOST)
        match = lists.regional(self.selection)
        return [stored for stored in rows if match(stored)]

    def _set(self, name: str, above: tuple[str, Stored] | None, options: Options) -> dict[str, Any]:
        if name == "Observations":
            return self._observations(None if above is None else above[1], options)
        if options.filter is not None or options.before is not None:
            raise refused("$filter and $skiptoken are for Observations.")
        states = self._states()
        if above is not None:
            own = things.thing_id(above[1])
            states = [stored for stored in states if things.thing_id(stored) == own]
        every = things.distinct(name, states)
        page = every[options.skip : options.skip + options.top]
        body: dict[str, Any] = {"@iot.count": len(every)} if options.count else {}
        body["value"] = [self.writer.write(name, stored) for stored in page]
        if options.top and options.skip + options.top < len(every):
            body["next"] = {"$skip": str(options.skip + options.top)}
        return body

    def _observations(self, stream: Stored | None, options: Options) -> dict[str, Any]:
        """Observations, the one recorded last first; pages go on by offset, whatever comes in meanwhile."""
        if options.skip or options.count:
            raise refused("$skip and $count are not for Observations; follow @iot.nextLink.")
        since, until = things.read_times(options.filter)
        case = None if stream is None else (stream.report.source, stream.report.case)
        wanted = replace(self.selection.filter, case=case, since_ms=since, until_ms=until)
        found = lists.find(self.store, Selection(wanted, self.selection.regions), max(options.top, 1), options.before)
        body: dict[str, Any] = {"value": [self.writer.observation(one) for one in found.reports[: options.top]]}
        if options.top and found.cursor is not None:
            body["next"] = {"$skiptoken": str(found.cursor)}
        return body
