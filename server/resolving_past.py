"""Places and codes at a pair of times: what stood there, or was meant by it, is read from the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from server.context import Context
from server.entity_past import Times, named, require_history
from server.entity_subject import recorded
from server.problem import ProblemError
from server.releases import OpenRelease
from server.resolving import MOST_ITEMS, Question, Record, counted, reaches, scored, told_of_place, working_xy
from twin.registry.versions import Window

_DEGREES_A_METRE = 1 / 110_000.0  # of latitude; at most so many
_LEAST_M = 1.0  # of the window in degrees, whose corners are rounded
_HIGHEST_LATITUDE = 89.9


def answer_then(
    context: Context, release: OpenRelease, asked: Question, crs: str | None, times: Times
) -> dict[str, Any]:
    """The answer to a question about a place or a code at a pair of times.

    Raises:
        ProblemError: 404 where no history is kept, 400 for an address, and as `working_xy`.
    """
    require_history(context)
    if asked.kind == "lon":
        return _place(context, release, asked, crs, times)
    if asked.kind == "code":
        return _code(context, release, asked, times)
    told = "Addresses are looked up in the present; give a place or a code with datetime and as-of."
    raise ProblemError(400, "invalid_parameter", told)


def _place(context: Context, release: OpenRelease, asked: Question, crs: str | None, times: Times) -> dict[str, Any]:
    xy = working_xy(release, np.array([[asked.lon, asked.lat]]), crs)
    found: list[tuple[Record, float]] = []
    if np.isfinite(xy).all():
        window = Window(times.valid, times.as_of, _around(release, xy, asked.tolerance))
        found = list(_standing(context.timeline.around(window), xy[0], asked))

    def find(geid: str) -> Record | None:
        table = context.timeline.entity(geid, times.valid, times.as_of)
        there = len(table) and table["present"][0].as_py()
        return recorded(table).record if there else None

    return told_of_place(context, asked, found, find, times.query)


def _around(release: OpenRelease, xy: np.ndarray, tolerance: float) -> tuple[float, float, float, float]:
    """A box in degrees that holds everything within the tolerance."""
    assert release.projection is not None  # `working_xy` has refused
    lon, lat = (float(side[0]) for side in release.projection.to_lonlat(xy[:, 0], xy[:, 1]))
    north = (tolerance + _LEAST_M) * _DEGREES_A_METRE
    east = north / np.cos(np.radians(min(abs(lat) + north, _HIGHEST_LATITUDE)))
    return (max(lon - east, -180.0), max(lat - north, -90.0), min(lon + east, 180.0), min(lat + north, 90.0))


def _standing(versions: pa.Table, xy: np.ndarray, asked: Question) -> Iterator[tuple[Record, float]]:
    """Records within the tolerance with their distances, the nearest first, of equals the smallest."""
    shapes = shapely.from_wkb(versions["geometry"].to_numpy())
    away = shapely.distance(shapes, shapely.Point(*xy))  # NaN where there is no shape
    order = np.lexsort((shapely.area(shapes), away))
    for row in order[away[order] <= asked.tolerance][: 4 * MOST_ITEMS].tolist():
        record = recorded(versions, row).record
        if reaches(record["height"], record["height_m"], asked.h, asked.tolerance):
            yield record, float(away[row])


def _code(context: Context, release: OpenRelease, asked: Question, times: Times) -> dict[str, Any]:
    """Entities a code stood for then; those that had ended by then are told as such."""
    try:
        names = named(context, release, asked.text)
    except ProblemError:  # 404: nothing is known of it, and a question about a code may have no answer
        names = []
    found = [context.timeline.entity(name, times.valid, times.as_of) for name in names[: MOST_ITEMS * 5]]
    versions = [table for table in found if len(table)]
    there = [recorded(table) for table in versions if table["present"][0].as_py()]
    if there:
        items = [scored(context, one.record, 1.0, ["its code"], times.query) for one in there[: asked.limit]]
        return counted(items, len(there) > asked.limit)
    gone = [str(table["geid"][0].as_py()) for table in versions][: asked.limit]
    told = [{"geid": name, "successors": list(context.timeline.successors(name))} for name in gone]
    return {**counted([], False), **({"retired": told} if told else {})}
