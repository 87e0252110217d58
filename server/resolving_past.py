"""Questions about a pair of times: what stood there, or was meant by a code or an address, is read from the history.

Many of them, and those that look through all texts, are put to a snapshot of the whole district; one place or one
identifier is read from the database as it is, without waiting for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from server.context import Context
from server.entity_past import Times, named, require_history
from server.entity_subject import recorded
from server.past_index import PastIndexes
from server.problem import ProblemError
from server.releases import OpenRelease
from server.resolving import (
    MOST_ITEMS,
    Question,
    Record,
    Scene,
    answers,
    counted,
    nothing_but,
    reaches,
    scored,
    told_of_place,
    working_xy,
)
from twin.entity import geid
from twin.entity.naming import LONGEST_GEID
from twin.registry.versions import Window

_DEGREES_A_METRE = 1 / 110_000.0  # of latitude; at most so many
_LEAST_M = 1.0  # of the window in degrees, whose corners are rounded
_HIGHEST_LATITUDE = 89.9


def past_scene(context: Context, release: OpenRelease, past: PastIndexes, times: Times) -> Scene:
    """The entities of a pair of times. What a text meant is what it meant then, as it was known then.

    Raises:
        ProblemError: 404 where no history is kept.
    """
    require_history(context)

    def ended(text: str) -> Sequence[str]:
        try:
            names = named(context, release, text)
        except ProblemError:  # 404: nothing is known of it, and a question about a code may have no answer
            return []
        found = [context.timeline.entity(name, times.valid, times.as_of) for name in names[: MOST_ITEMS * 5]]
        return [str(one["geid"][0].as_py()) for one in found if len(one) and not one["present"][0].as_py()]

    return Scene(release, past.at(times), ended, times.query)


def answer_then(
    context: Context, release: OpenRelease, past: PastIndexes, asked: Question, crs: str | None, times: Times
) -> dict[str, Any]:
    """The answer to one question about a pair of times.

    Raises:
        ProblemError: 404 where no history is kept, and as `working_xy`.
    """
    require_history(context)
    if asked.kind == "lon":
        return _place(context, release, asked, crs, times)
    if asked.kind == "code" and len(asked.text) <= LONGEST_GEID and geid.check(asked.text):
        return _identifier(context, geid.normalise(asked.text), times)
    (told,) = answers(context, past_scene(context, release, past, times), [asked], crs)
    told.pop("id")
    return told


def _place(context: Context, release: OpenRelease, asked: Question, crs: str | None, times: Times) -> dict[str, Any]:
    xy = working_xy(release, np.array([[asked.lon, asked.lat]]), crs)
    found: list[tuple[Record, float]] = []
    if np.isfinite(xy).all():
        window = Window(times.valid, times.as_of, _around(release, xy, asked.tolerance))
        found = list(_standing(context.timeline.around(window), xy[0], asked))

    def find(name: str) -> Record | None:
        table = context.timeline.entity(name, times.valid, times.as_of)
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


def _identifier(context: Context, name: str, times: Times) -> dict[str, Any]:
    """An entity as it stood then; one that had ended by then is told as such."""
    table = context.timeline.entity(name, times.valid, times.as_of)
    if not len(table):
        return counted([], False)
    if not table["present"][0].as_py():
        return nothing_but(context, [name])
    return counted([scored(context, recorded(table).record, 1.0, ["its code"], times.query)], False)
