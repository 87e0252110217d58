"""What stands here, what has this code, which entity is meant by this address; one question or ten thousand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from server.context import Context, json_answer
from server.entity_past import LIMIT, LONGEST, AsOf, Times, ValidTime, require_history
from server.past_index import PastIndexes
from server.problem import ProblemError
from server.resolving import Question, answers, present_scene, question, working_xy
from server.resolving_past import answer_then, past_scene
from server.routers.entities import Limit

NDJSON = "application/x-ndjson"
MOST_ROWS = 10_000
_MOST_BYTES = 8 << 20
_AT_ONCE = 200
_HIGHEST_M = 100.0

East = Annotated[
    float | None, Query(allow_inf_nan=False, description="Longitude in degrees, or x to the east in `crs`; with lat")
]
North = Annotated[
    float | None, Query(allow_inf_nan=False, description="Latitude in degrees, or y to the north in `crs`; with lon")
]
Height = Annotated[
    float | None,
    Query(ge=-12_000, le=100_000, allow_inf_nan=False, description="Ellipsoidal height in metres; checked if given"),
]
Tolerance = Annotated[
    float, Query(ge=0, allow_inf_nan=False, description="How far away an entity may stand, in metres; at most 100")
]
Crs = Annotated[str | None, Query(max_length=100, description="`EPSG:<code>`, `CRS84`, `GCJ-02`, `BD-09`: of lon, lat")]
Text = Annotated[str | None, Query(min_length=1, max_length=LONGEST)]


def router(context: Context) -> APIRouter:
    """The endpoint `/resolve`."""
    routes = APIRouter(tags=["entities"])
    past = PastIndexes(context.timeline)

    @routes.get("/resolve", summary="What stands here, or is meant by a code or an address")
    def resolve(
        request: Request,
        lon: East = None,
        lat: North = None,
        h: Height = None,
        tolerance: Tolerance = 0.0,
        crs: Crs = None,
        code: Text = None,
        address: Text = None,
        limit: Limit = 20,
        valid: ValidTime = None,
        as_of: AsOf = None,
    ) -> Response:
        """Entities at a place (footprint, courtyards left out, and height range), of a code in any scheme, or like an
        address, best first with score and why; for a place also the chain from the storey to the widest area. Also at
        a pair of times."""
        one = _single(lon, lat, h, min(tolerance, _HIGHEST_M), code, address, min(limit, LIMIT), crs)
        times = Times.of(valid, as_of)
        with context.releases.reading() as release:
            if times.given:
                return json_answer(request, answer_then(context, release, past, one, crs, times))
            (told,) = answers(context, present_scene(context, release), [one], crs)
            told.pop("id")
            return json_answer(request, {**told, "release": release.id})

    @routes.post("/resolve", summary="Up to 10,000 questions at once", responses={200: {"content": {NDJSON: {}}}})
    async def batch(request: Request, crs: Crs = None, valid: ValidTime = None, as_of: AsOf = None) -> Response:
        """Rows as a JSON array or as NDJSON, kinds mixed; answers as NDJSON, one line a row in the order asked. The
        pair of times holds for all of them."""
        questions, times = read_rows(await _body(request)), Times.of(valid, as_of)
        await run_in_threadpool(_refuse, context, crs, times)
        stream = _lines(context, past, questions, crs, times)
        return StreamingResponse(stream, headers={"Cache-Control": "no-store"}, media_type=NDJSON)

    return routes


def _single(
    lon: float | None,
    lat: float | None,
    h: float | None,
    tolerance: float,
    code: str | None,
    address: str | None,
    limit: int,
    crs: str | None,
) -> Question:
    """The one question of a query string.

    Raises:
        ProblemError: 400 where there is none, or several.
    """
    place = lon is not None and lat is not None
    if (lon is None) != (lat is None) or [place, code is not None, address is not None].count(True) != 1:
        raise ProblemError(400, "invalid_parameter", "Give lon and lat, or code, or address, and one of them only.")
    if not place:
        text = code if code is not None else address
        return Question(0, "code" if code is not None else "address", text=text or "", limit=limit)
    assert lon is not None and lat is not None
    if (crs is None and (abs(lon) > 180 or abs(lat) > 90)) or max(abs(lon), abs(lat)) > 1e9:
        raise ProblemError(400, "invalid_parameter", "lon must lie in -180 to 180 and lat in -90 to 90.")
    return Question(0, "lon", lon, lat, math.nan if h is None else h, tolerance, "", limit)


async def _body(request: Request) -> bytes:
    """The body, unless it is too large to be 10,000 rows."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BYTES:
            raise ProblemError(413, "too_large", f"Send at most {_MOST_BYTES >> 20} MiB and {MOST_ROWS} rows.")
        parts.append(part)
    return b"".join(parts)


def read_rows(body: bytes) -> list[Question]:
    """Questions of a JSON array or of NDJSON.

    Raises:
        ProblemError: 400, 413.
    """
    try:
        if body.lstrip()[:1] == b"[":
            rows: list[Any] = orjson.loads(body)
        else:
            rows = [orjson.loads(line) for line in islice(_filled(body), MOST_ROWS + 1)]
    except orjson.JSONDecodeError:
        raise ProblemError(
            400, "invalid_parameter", "The body must be a JSON array, or a JSON object a line."
        ) from None
    if len(rows) > MOST_ROWS:
        raise ProblemError(413, "too_large", f"Send at most {MOST_ROWS} rows at once.")
    return [question(row, number) for number, row in enumerate(rows)]


def _filled(body: bytes) -> Iterator[bytes]:
    return (line for line in body.split(b"\n") if line.strip())


def _refuse(context: Context, crs: str | None, times: Times) -> None:
    """Refuses before the first byte leaves: afterwards no status can be told.

    Raises:
        ProblemError: 400, 404, 501.
    """
    with context.releases.reading() as release:
        working_xy(release, np.zeros((0, 2)), crs)
    if times.given:
        require_history(context)


def _lines(
    context: Context, past: PastIndexes, questions: Sequence[Question], crs: str | None, times: Times
) -> Iterator[bytes]:
    """Answers as lines, in blocks; the release stays open until the last one."""
    with context.releases.reading() as release:
        scene = past_scene(context, release, past, times) if times.given else present_scene(context, release)
        stream = answers(context, scene, questions, crs)
        while block := list(islice(stream, _AT_ONCE)):
            yield b"".join(orjson.dumps(one, option=orjson.OPT_NON_STR_KEYS) + b"\n" for one in block)
