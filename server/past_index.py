"""The entities of a pair of times as an index, so that the past is asked by the very code that answers for today."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from server.entity_past import Times
from server.timeline import Timeline
from twin.entity.index import EntityIndex
from twin.entity.index_schema import GEOMETRY, POLYGONS
from twin.registry.versions import Window

_HISTORY = Path("history")  # what an error message would call it
_ATTRIBUTES, _PROVENANCE = "attributes", "provenance"
_KEPT = 2
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class PastIndex(EntityIndex):
    """A snapshot of the history with every question an entity index answers.

    Args:
        snapshot: `RECORDED_FIELDS`, sorted by geid.
    """

    def __init__(self, snapshot: pa.Table) -> None:
        rest = snapshot.drop_columns([GEOMETRY, _ATTRIBUTES, _PROVENANCE])
        super().__init__(_HISTORY, rest.append_column(pa.field(GEOMETRY, POLYGONS), nested(snapshot[GEOMETRY])))
        self.snapshot = snapshot
        self._attributes = snapshot[_ATTRIBUTES]

    def record(self, row: int) -> dict[str, Any]:
        """As that of the served index; the history keeps attributes as one JSON object."""
        return {**super().record(row), "attributes": orjson.loads(self._attributes[row].as_py() or b"{}")}


class PastIndexes:
    """The indexes asked for last; a batch after the other about one pair of times need not wait again.

    Args:
        timeline: Of the district.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._kept: tuple[PastIndex, ...] = ()
        self._lock = Lock()

    def at(self, times: Times) -> PastIndex:
        """The entities that stood at a pair of times. Made by one thread at a time: each may take a gigabyte."""
        snapshot = self._timeline.snapshot(Window(times.valid, times.as_of))
        with self._lock:
            found = next((one for one in self._kept if one.snapshot is snapshot), None)
            made = PastIndex(snapshot) if found is None else found
            self._kept = (made, *(one for one in self._kept if one is not made))[:_KEPT]
            return made


def nested(wkb: pa.ChunkedArray) -> pa.Array:
    """(n,) WKB -> polygons of rings of points as the index has them; nothing of what is no polygon."""
    shapes = np.asarray(shapely.from_wkb(np.array(wkb.to_pylist(), dtype=object)), dtype=object)
    shapes[~np.isin(shapely.get_type_id(shapes), _POLYGONAL)] = None
    parts, part_of = shapely.get_parts(shapes, return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    xy, point_of = shapely.get_coordinates(rings, return_index=True)
    made: pa.Array = pa.FixedSizeListArray.from_arrays(pa.array(xy.reshape(-1)), 2)
    for owner, count in ((point_of, len(rings)), (ring_of, len(parts)), (part_of, len(shapes))):
        made = pa.ListArray.from_arrays(_offsets(owner, count), made)
    return made.cast(POLYGONS)


def _offsets(owner: NDArray[np.int64], count: int) -> pa.Array:
    """(count + 1,) where the members of each owner begin; members lie in the order of their owners."""
    return pa.array(np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))]), pa.int32())
