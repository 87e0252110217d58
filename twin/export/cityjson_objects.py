"""City objects as JSON: a surface on the ground, a closed solid where there is a height, typed attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from twin.export.cityjson_families import Families
from twin.export.cityjson_geometry import Shapes
from twin.export.columns import json_columns

I64 = NDArray[np.int64]
Ring = list[int]

_SURFACES = [{"type": "GroundSurface"}, {"type": "RoofSurface"}, {"type": "WallSurface"}]
_GROUND, _ROOF, _WALL = 0, 1, 2


def city_objects(
    table: pa.Table, shapes: Shapes, families: Families, start: int, shift: I64
) -> Iterator[tuple[str, bytes]]:
    """(geid, JSON) of the entities of one block.

    Args:
        table: (n,) their columns.
        shapes: Their geometry.
        families: Of all entities.
        start: Place of the first of them in `families`.
        shift: (n,) what is added to the vertex numbers of each.
    """
    columns = json_columns(table)
    geids = columns.pop("geid")
    names = list(columns)
    corners = _Corners(shapes, shift)
    children = _children(families, start, len(geids))
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        document: dict[str, Any] = {"type": families.kind[start + row]}
        document["attributes"] = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        document["geometry"] = corners.geometry(row)
        if families.parent[start + row] >= 0:
            document["parents"] = [geids[families.parent[start + row] - start]]
        if row in children:
            document["children"] = [geids[child] for child in children[row]]
        yield geids[row], orjson.dumps(document)


def _children(families: Families, start: int, count: int) -> dict[int, list[int]]:
    """Rows of the parts of every building of a block; families lie together."""
    found: dict[int, list[int]] = {}
    parents = families.parent[start : start + count]
    for row in np.flatnonzero(parents >= 0).tolist():
        found.setdefault(int(parents[row]) - start, []).append(row)
    return found


class _Corners:
    """Vertex numbers of a block as plain lists, cut into rings when an entity is written."""

    def __init__(self, shapes: Shapes, shift: I64) -> None:
        counts = np.diff(shapes.ring[shapes.polygon[shapes.feature]])
        moved = np.repeat(shift, counts)
        self._low = np.where(shapes.low >= 0, shapes.low + moved, -1).tolist()
        self._high = np.where(shapes.high >= 0, shapes.high + moved, -1).tolist()
        self._ring, self._polygon = shapes.ring.tolist(), shapes.polygon.tolist()
        self._feature, self._solid = shapes.feature.tolist(), shapes.solid.tolist()

    def geometry(self, row: int) -> list[dict[str, Any]]:
        """LoD 0, and LoD 1.2 where there is a solid; one `Solid` a polygon."""
        polygons = range(self._feature[row], self._feature[row + 1])
        if not polygons or self._low[self._ring[self._polygon[polygons[0]]]] < 0:
            return []
        outlines = [self._rings(polygon, self._low) for polygon in polygons]
        found: list[dict[str, Any]] = [{"type": "MultiSurface", "lod": "0", "boundaries": outlines}]
        if self._solid[row]:
            tops = (self._rings(polygon, self._high) for polygon in polygons)
            found += [_solid(low, high) for low, high in zip(outlines, tops, strict=True)]
        return found

    def _rings(self, polygon: int, level: Ring) -> list[Ring]:
        rings = range(self._polygon[polygon], self._polygon[polygon + 1])
        return [level[self._ring[ring] : self._ring[ring + 1]] for ring in rings]


def _solid(low: list[Ring], high: list[Ring]) -> dict[str, Any]:
    """A closed prism: every edge is used by two faces, once in each direction."""
    shell = [[ring[::-1] for ring in low], high]
    shell += [
        [[foot[i - 1], foot[i], eaves[i], eaves[i - 1]]]
        for foot, eaves in zip(low, high, strict=True)
        for i in range(len(foot))
    ]
    values = [_GROUND, _ROOF] + [_WALL] * (len(shell) - 2)
    semantics = {"surfaces": _SURFACES, "values": [values]}
    return {"type": "Solid", "lod": "1.2", "boundaries": [shell], "semantics": semantics}
