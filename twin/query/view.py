"""The entities of one moment as columns to choose from, whether they come from the served release or the history."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyarrow import json as arrow_json

from twin.crs.reference import Crs
from twin.entity.index_schema import ATTRIBUTE, GEOMETRY
from twin.entity.level_grid import LevelGrid
from twin.entity.rows import multipolygons, plain
from twin.query.fields import Field, fields_of

Rows = NDArray[np.int64]
UNNAMED = "Entity"  # collection of entities whose class nobody has stated
NOTHING: Rows = np.empty(0, np.int64)
_METRES_PER_DEGREE = 111_320.0
_WIDEST_GRID_M = 20_000.0  # a box wider than this is quicker compared with all
_SIDES = ("west", "south", "east", "north")


class View:
    """A table of entities, sorted by geid, and what is made of it when first asked for.

    Args:
        table: Columns of the entity index, or of a snapshot of the history (geometry as WKB).
        crs: The working CRS; None where it is private and unknown here.
        mark: Changes whenever the content does; part of entity tags.
    """

    def __init__(self, table: pa.Table, crs: Crs | None, mark: str) -> None:
        self.table = table
        self.crs = crs
        self.mark = mark

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Properties by name."""
        return fields_of(self.table.schema)

    @cached_property
    def classes(self) -> dict[str, Rows]:
        """Rows of every collection, by its id, in the order of geids."""
        names = pc.fill_null(self.table["entity_class"], UNNAMED).combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy(zero_copy_only=False)
        known = [name or UNNAMED for name in names.dictionary.to_pylist()]
        return {name: np.flatnonzero(codes == code) for code, name in sorted(enumerate(known), key=lambda one: one[1])}

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(n, 4) west, south, east, north in degrees; NaN where there is no place."""
        return np.column_stack([_numbers(self.table[side]) for side in _SIDES])

    @cached_property
    def vertical(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ellipsoidal height of base and top, metres; NaN where unknown."""
        base, height = _numbers(self.table["height"]), _numbers(self.table["height_m"])
        return base, np.where(np.isfinite(height), base + height, base)

    @cached_property
    def _grid(self) -> LevelGrid:
        return LevelGrid.build(self.bounds * _METRES_PER_DEGREE)

    def overlapping(self, box: tuple[float, float, float, float]) -> Rows:
        """Rows whose bounds touch a box in degrees, ascending."""
        west, south, east, north = box
        reach = max(east - west, north - south) / 2 * _METRES_PER_DEGREE
        if reach < _WIDEST_GRID_M:
            rows = self._grid.near(
                (west + east) / 2 * _METRES_PER_DEGREE, (south + north) / 2 * _METRES_PER_DEGREE, reach
            )
            w, s, e, n = self.bounds[rows].T
            return np.asarray(rows[(w <= east) & (e >= west) & (s <= north) & (n >= south)])
        w, s, e, n = self._sides
        return np.flatnonzero((w <= east) & (e >= west) & (s <= north) & (n >= south))

    @cached_property
    def _sides(self) -> tuple[NDArray[np.float64], ...]:
        """The four columns of `bounds`, each in one piece: all rows are looked through in a tenth of the time."""
        return tuple(np.ascontiguousarray(side) for side in self.bounds.T)

    def extent(self, rows: Rows) -> list[float] | None:
        """West, south, low, east, north, high of rows; without heights where none is known, None without places."""
        box = self.bounds[rows]
        box = box[np.isfinite(box).all(axis=1)]
        if not len(box):
            return None
        west, south = box[:, :2].min(axis=0).tolist()
        east, north = box[:, 2:].max(axis=0).tolist()
        low, high = (one[rows][np.isfinite(one[rows])] for one in self.vertical)
        if not len(low):
            return [west, south, east, north]
        return [west, south, round(float(low.min()), 3), east, north, round(float(high.max()), 3)]

    @cached_property
    def extents(self) -> dict[str, list[float] | None]:
        """Extent of every collection."""
        return {name: self.extent(rows) for name, rows in self.classes.items()}

    def position(self, geid: str, right: bool = False) -> int:
        """Where an identifier stands, or would stand, in the table."""
        column = self.table["geid"]
        at = bisect_left(range(len(column)), geid, key=lambda row: column[row].as_py())
        return at + 1 if right and at < len(column) and column[at].as_py() == geid else at

    def shapes(self, rows: Rows) -> NDArray[np.object_]:
        """Footprints in the working CRS; None where there is none."""
        column = self.table[GEOMETRY].take(pa.array(rows)) if len(rows) < self.table.num_rows else self.table[GEOMETRY]
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            shapes = np.asarray(shapely.from_wkb(np.array(column.to_pylist(), dtype=object)))
        else:
            shapes = multipolygons(column)
        return plain(shapes)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    filled = pc.fill_null(column.cast(pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def with_attributes(table: pa.Table, like: pa.Schema) -> pa.Table:
    """A snapshot whose JSON `attributes` have become columns, typed as in the served release where it has them.

    Args:
        table: `RECORDED_FIELDS`.
        like: Schema of the served index.
    """
    wanted = {field.name: field.type for field in like if field.name.startswith(ATTRIBUTE)}
    read = _read_objects(pc.fill_null(table["attributes"], "{}").to_pylist())
    out = table
    for name, column in read.items():
        out = out.append_column(ATTRIBUTE + name, _typed(column, wanted.get(ATTRIBUTE + name)))
    for name in sorted(set(wanted) - set(out.column_names)):
        out = out.append_column(name, pa.nulls(len(table), wanted[name]))
    return out


def _read_objects(texts: list[str]) -> dict[str, Any]:
    """JSON objects as columns by their keys; a key whose values are of several types becomes text."""
    if all(text == "{}" for text in texts):
        return {}
    options = arrow_json.ReadOptions(block_size=max(1 << 20, 2 * max(map(len, texts))))
    try:
        read = arrow_json.read_json(pa.BufferReader("\n".join(texts).encode()), read_options=options)
    except pa.ArrowInvalid:
        return _read_mixed([orjson.loads(text) for text in texts])
    return {name: read[name] for name in read.column_names}


def _read_mixed(objects: list[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for one in objects for name in one)
    return {name: _mixed([one.get(name) for one in objects]) for name in names}


def _mixed(values: list[Any]) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([one if one is None or isinstance(one, str) else orjson.dumps(one).decode() for one in values])


def _typed(column: Any, kind: pa.DataType | None) -> Any:
    """A column in the type it has in the served release, or as JSON gives it where it does not fit."""
    if kind is None or column.type == kind:
        return column
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column
