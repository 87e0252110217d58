"""Events in over HTTP: one, a batch or a stream of lines; what was refused, to be mended; and corrections of links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from server.context import Context
from server.live import intake
from server.live.corrections import Correction, corrected
from server.live.credentials import Grant, require, require_live
from server.live.limits import bounded, lines
from server.live.live import Live, LiveBusyError, Outcome
from server.problem import ProblemError
from twin.errors import StoreError
from twin.live.model import Refusal
from twin.live.refusals import Refused
from twin.live.schema import event_schema
from twin.live.times import write_time

_FRESH = {"Cache-Control": "no-store"}
_INLINE = 1 << 16
_MOST_TOLD = 1000
_LATER = {"Retry-After": "1"}

Limit = Annotated[int, Query(ge=1, description="How many at most; more than 1,000 are never given at once")]
Before = Annotated[int | None, Query(ge=1, le=2**53, description="Only those with a smaller number: the next page")]
Pending = Annotated[bool, Query(description="Only those that have not been mended")]


def router(context: Context) -> APIRouter:
    """The endpoints below `/events` that write."""
    routes = APIRouter(tags=["events"])

    @routes.post("/events", summary="Send events")
    async def send(request: Request) -> Response:
        """CloudEvents 1.0 in JSON: one, an array, or one a line. Answered once they are on disk. An event that was
        sent before (`source` and `id`) is known and not taken twice."""
        live = require_live(context.live)
        grant = await require(live, request.scope, "write")
        return await _received(request, live, grant)

    @routes.get("/events/schema", summary="JSON Schema of an event")
    def schema() -> Response:
        """What `POST /events` reads, and what the streams give."""
        live = require_live(context.live)
        headers = {"Cache-Control": "no-cache"}
        return Response(orjson.dumps(event_schema(live.kinds)), media_type="application/schema+json", headers=headers)

    @routes.get("/events/refusals", summary="Events that were refused")
    async def refusals(
        request: Request, limit: Limit = 100, before: Before = None, pending: Pending = True
    ) -> Response:
        """What was not taken in, the youngest first, each with the reason and what was sent. Needs a key that may
        `admin`."""
        live = require_live(context.live)
        await require(live, request.scope, "admin")
        most = min(limit, _MOST_TOLD)
        found = await run_in_threadpool(live.store.refusals, most, before, pending)
        links = [context.link("self", "events", "refusals")]
        if len(found) == most:
            query = f"?limit={most}&before={found[-1].number}&pending={str(pending).lower()}"
            links.append({"href": context.url("events", "refusals") + query, "rel": "next", "type": "application/json"})
        told = {"refusals": [_refusal(one) for one in found], "links": links}
        return Response(orjson.dumps(told), media_type="application/json", headers=_FRESH)

    @routes.post("/events/refusals/{number}", summary="Send a refused event again")
    async def mend(request: Request, number: int) -> Response:
        """The body is the event, mended; without a body it is sent again as it was, which helps where the tables of
        the server were wrong. Once it is taken in, the refusal is done with. Needs a key that may `admin`."""
        live = require_live(context.live)
        grant = await require(live, request.scope, "admin")
        body = await bounded(request.stream(), live.config.max_event_kib << 10)
        found = await run_in_threadpool(_one_refusal, live, number)
        if found.mended_by is not None:
            told = f"The refusal {number} has been mended by the event {found.mended_by}."
            raise ProblemError(409, "mended_already", told)
        sent = intake.json_value(body if body.strip() else found.body.encode())
        (outcome,) = await _take(live, [sent], grant)
        if outcome.offset is not None:
            await run_in_threadpool(live.store.mended, number, outcome.offset)
        return _single(live, outcome)

    @routes.post("/events/cases/{source:path}/{case}/link", summary="Say what a case is about")
    async def link(request: Request, source: str, case: str) -> Response:
        """A person's correction: `{"geid": ...}` ties the case to an entity, `{"geid": null}` unties it. It is a new
        report of the case, with the method `person`; later reports of the case follow it, and the code or address of
        the case is learnt unless `"learn": false`. Needs a key that may `admin`."""
        live = require_live(context.live)
        grant = await require(live, request.scope, "admin")
        wanted = Correction.read(await bounded(request.stream(), _INLINE))
        exact = _exact(request, source, case)
        with _answering():
            return _single(live, await corrected(live, *exact, wanted, grant.who))

    return routes


async def _received(request: Request, live: Live, grant: Grant) -> Response:
    """Takes in what a request holds, in whichever form it came.

    Raises:
        ProblemError: 400, 403, 413, 415, 429, 503.
    """
    kind = intake.media_type(request.scope["headers"])
    if kind in intake.STREAMS:
        return await _stream(request, live, grant)
    body = await bounded(request.stream(), live.config.max_body_kib << 10)
    if kind == "":
        bodies = [intake.from_headers(request.scope["headers"], body)]
    else:
        bodies = await _events(body, kind, live.config.max_batch)
    outcomes = await _take(live, bodies, grant)
    unread = len(bodies) == 1 and isinstance(bodies[0], Refused)
    alone = kind in ("", intake.ONE) or unread or (kind == intake.JSON and body.lstrip()[:1] != b"[")
    return _single(live, outcomes[0]) if alone else _batch(live, outcomes)


async def _events(body: bytes, kind: str, most: int) -> list[Any]:
    """The events of a body; a large one is read in a thread, so that nobody waits for it."""
    if len(body) <= _INLINE:
        return intake.events(body, kind, most)
    return await run_in_threadpool(intake.events, body, kind, most)


@contextmanager
def _answering() -> Iterator[None]:
    """Failures of the store as what a sender understands: nothing was taken, send it again.

    Raises:
        ProblemError: 503.
    """
    try:
        yield
    except LiveBusyError:
        raise ProblemError(503, "busy", "Too many events wait to be written; send them again.", _LATER) from None
    except StoreError:
        told = "Events cannot be written now; nothing was taken, send them again."
        raise ProblemError(503, "store_unavailable", told, {"Retry-After": "10"}) from None


async def _take(live: Live, bodies: Sequence[Any], grant: Grant) -> list[Outcome]:
    """Takes events in as far as the sender may.

    Raises:
        ProblemError: 413, 429, 503; nothing was taken.
    """
    live.gate.rates.spend(grant.key.id if grant.key else "", len(bodies))
    with _answering():
        return await live.take(bodies, grant)


async def _stream(request: Request, live: Live, grant: Grant) -> Response:
    """Lines, taken in as they come; what came before a failure stays taken in, and may be sent again."""
    counts = {"taken": 0, "known": 0, "refused": 0}
    told: list[dict[str, Any]] = []
    last, row = 0, 0
    try:
        async for part in lines(request.stream(), live.config.max_event_kib << 10):
            for begin in range(0, len(part), live.config.max_batch):
                bodies = [intake.json_value(line) for line in part[begin : begin + live.config.max_batch]]
                outcomes = await _take(live, bodies, grant)
                for one in outcomes:
                    counts[one.word] += 1
                    last = max(last, one.offset or 0)
                    if one.refusal is not None and len(told) < _MOST_TOLD:
                        told.append(_row(row, one))
                    row += 1
    except ProblemError as problem:
        problem.members.update(counts)
        raise
    return _answer({**counts, "position": f"{live.store.epoch}-{last}", "rows": told})


def _batch(live: Live, outcomes: Sequence[Outcome]) -> Response:
    counts = {"taken": 0, "known": 0, "refused": 0}
    for one in outcomes:
        counts[one.word] += 1
    last = max((one.offset or 0 for one in outcomes), default=0)
    rows = [_row(row, one) for row, one in enumerate(outcomes)]
    return _answer({**counts, "position": f"{live.store.epoch}-{last}", "rows": rows})


def _single(live: Live, outcome: Outcome) -> Response:
    """The answer to one event.

    Raises:
        ProblemError: 400 or 403 with the code and the number of the refusal.
    """
    refusal = outcome.refusal
    if refusal is not None:
        status = 403 if refusal.code == "not_permitted" else 400
        raise ProblemError(status, refusal.code, refusal.reason, members={"refusal": refusal.number})
    return _answer({"position": f"{live.store.epoch}-{outcome.offset}", **_told(outcome)})


def _row(row: int, outcome: Outcome) -> dict[str, Any]:
    refusal = outcome.refusal
    if refusal is not None:
        return {"row": row, "refusal": refusal.number, "code": refusal.code, "reason": refusal.reason}
    return {"row": row, **_told(outcome)}


def _told(outcome: Outcome) -> dict[str, Any]:
    link = outcome.link
    told: dict[str, Any] = {"offset": outcome.offset, "fresh": outcome.fresh}
    if link is not None:
        told |= {"geid": link.geid, "method": link.method, "confidence": round(link.confidence, 3)}
    return told


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers=_FRESH)


def _refusal(one: Refusal) -> dict[str, Any]:
    return {
        "number": one.number,
        "recorded": write_time(one.recorded_ms),
        "source": one.source,
        "code": one.code,
        "reason": one.reason,
        "body": one.body,
        "mended_by": one.mended_by,
    }


def _one_refusal(live: Live, number: int) -> Refusal:
    """Raises `ProblemError` (404) where there is none of this number."""
    found = live.store.refusals(1, number + 1, False) if 0 < number < 2**53 else ()
    if not found or found[0].number != number:
        raise ProblemError(404, "not_found", f"There is no refusal {str(number)[:20]}.")
    return found[0]


def _exact(request: Request, source: str, case: str) -> tuple[str, str]:
    """Source and case as they were written: both may hold slashes, sent as %2F."""
    raw = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    parts = raw.rpartition("/events/cases/")[2].split("/")
    return (unquote(parts[0]), unquote(parts[1])) if len(parts) == 3 else (source, case)
