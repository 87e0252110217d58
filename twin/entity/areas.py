"""Which administrative area a thing lies in, at the moment that a table of entities is about."""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

I64 = NDArray[np.int64]
Shapes = NDArray[np.object_]

LEVELS = ("district", "subdistrict", "community", "block")
"""Levels of administration, from coarse to fine."""

AREA_CLASS = "AdministrativeArea"
"""Entity class of every area; its level stands in the attribute `level`."""

AREAS = frozenset(
    {AREA_CLASS, "Province", "City", "District", "Subdistrict", "Community", "CommunityGrid", "Grid", "Block"}
)
"""Classes that are areas, in the words of other programs as well: they hold things, and are none themselves."""


def smallest_around(shapes: Shapes, level: I64, points: Shapes, below: I64 | None = None) -> I64:
    """(k,) row of the area that each point lies in: the finest level first, then the smallest, then the first row.

    Args:
        shapes: (n,) areas.
        level: (n,) index into `LEVELS`.
        points: (k,) in the same CRS; a point on a border lies in the areas on both sides of it.
        below: (k,) only coarser levels than this count; None: all.

    Returns:
        Rows of `shapes`; -1 where no area is around a point.
    """
    # a tree of the points: what is put to it is prepared, and the borders are what has many corners
    area, point = shapely.STRtree(points).query(shapes, predicate="intersects")
    if below is not None:
        coarser = level[area] < below[point]
        point, area = point[coarser], area[coarser]
    order = np.lexsort((area, shapely.area(shapes)[area], -level[area], point))
    first, at = np.unique(point[order], return_index=True)
    found = np.full(len(points), -1, dtype=np.int64)
    found[first] = area[order][at]
    return found


def is_area(table: pa.Table) -> pa.ChunkedArray:
    """(n,) True where a row is an area."""
    return pc.fill_null(pc.equal(table.column("entity_class"), AREA_CLASS), False)


def with_area_parents(entities: pa.Table, areas: pa.Table | None = None) -> pa.Table:
    """Entities with the area around them as `parent` where they state none; areas get the one of a coarser level.

    The history keeps what a survey states. That a building lies in an area follows from both, and is worked out for
    the moment that is asked about: a border that moves is a version of the area, not of every building.

    Args:
        entities: Columns `geid`, `parent`, `entity_class`, `attributes` (JSON) and `geometry` (WKB), of one moment.
        areas: Areas of the same moment; None: those among the entities.

    Returns:
        The same rows and columns.
    """
    around = entities.filter(is_area(entities)) if areas is None else areas
    level = _levels(around.column("attributes"))
    around = around.filter(pa.array(level >= 0))
    alone = pc.and_(entities.column("parent").is_null(), entities.column("geometry").is_valid())
    rows = np.flatnonzero(alone.to_numpy())
    if not len(rows) or not len(around):
        return entities
    asked = entities.select(["entity_class", "attributes", "geometry"]).take(pa.array(rows))
    points, below = _points(asked)
    shapes = np.asarray(shapely.from_wkb(around.column("geometry").to_numpy()), dtype=object)
    found = smallest_around(shapes, level[level >= 0], points, below)
    which = np.full(len(entities), -1, dtype=np.int64)
    which[rows] = found
    worked_out = around.column("geid").combine_chunks().take(pa.array(which, mask=which < 0))
    parent = pc.coalesce(entities.column("parent"), worked_out)
    return entities.set_column(entities.schema.get_field_index("parent"), "parent", parent)


def _points(asked: pa.Table) -> tuple[Shapes, I64]:
    """A point of each row, and the level that those above it must be coarser than: below all of them, if no area."""
    shapes = np.asarray(shapely.from_wkb(asked.column("geometry").to_numpy()), dtype=object)
    points = shapely.centroid(shapes)
    below = np.full(len(points), len(LEVELS), dtype=np.int64)
    mine = np.flatnonzero(is_area(asked).to_numpy())
    points[mine] = shapely.point_on_surface(shapes[mine])
    below[mine] = _levels(asked.column("attributes").take(pa.array(mine)))
    return points, below


def _levels(attributes: pa.ChunkedArray) -> I64:
    """(n,) index into `LEVELS`; -1 where the attributes name none."""
    stated = [orjson.loads(text).get("level") if text else None for text in attributes.to_pylist()]
    return np.array([LEVELS.index(one) if one in LEVELS else -1 for one in stated], dtype=np.int64)
