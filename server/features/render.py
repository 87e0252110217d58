"""Writes features as GeoJSON: each one is rendered once, a block at a time, and kept as bytes until room is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from server.features.crs import write_order
from server.features.refusals import refusals
from twin.entity.rows import json_value
from twin.query.crs import FeatureCrs
from twin.query.fields import Field
from twin.query.spatial import footprints
from twin.query.view import Rows, View

BLOCK = 2000
_NATIVE = (pa.types.is_string, pa.types.is_boolean, pa.types.is_integer)


def render(view: View, rows: Rows, crs: FeatureCrs, names: Sequence[str] | None = None) -> list[bytes]:
    """Features as JSON, one text each.

    Args:
        view: Where they are.
        rows: Which.
        crs: In which CRS.
        names: Which properties; None for all of them.
    """
    if not len(rows):
        return []
    fields = [one for name, one in view.fields.items() if names is None or name in names]
    taken = view.table.select(["geid", *{one.column for one in fields} - {"geid"}]).take(pa.array(rows))
    return [
        b'{"type":"Feature","id":"%b","geometry":%b,"properties":%b}' % parts
        for parts in zip(
            (geid.encode() for geid in taken["geid"].to_pylist()),
            geometries(view, rows, crs),
            property_texts(taken, fields),
            strict=True,
        )
    ]


def geometries(view: View, rows: Rows, crs: FeatureCrs) -> list[bytes]:
    """GeoJSON geometries; `null` where there is none. Footprints, at the height of their base in a CRS with heights."""
    with refusals():
        shapes = footprints(view, rows, crs)
    there = np.flatnonzero(~np.asarray(shapely.is_missing(shapes)))
    texts = [b"null"] * len(rows)
    written = write_order(shapes[there], view.vertical[0][rows[there]], crs)
    for at, text in zip(there.tolist(), shapely.to_geojson(written).tolist(), strict=True):
        texts[at] = text.encode()
    return texts


def property_texts(taken: pa.Table, fields: Sequence[Field]) -> list[bytes]:
    """The properties of every row as a JSON object."""
    if not fields:
        return [b"{}"] * len(taken)
    names = [one.name for one in fields]
    columns = [_values(taken[one.column]) for one in fields]
    return [orjson.dumps(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column as JSON knows it; single precision without its noise."""
    kind = column.type
    if pa.types.is_float32(kind):
        return list(pc.round(column.cast(pa.float64()), 6).to_pylist())
    values: list[Any] = column.to_pylist()
    native = any(test(kind) for test in _NATIVE) or pa.types.is_float64(kind)
    if native or (pa.types.is_list(kind) and pa.types.is_string(kind.value_type)):
        return values  # orjson writes null for NaN
    return [json_value(one) for one in values]


class Fragments:
    """Rendered features of one view in one CRS, bounded by the bytes they hold.

    Args:
        view: Where they are.
        crs: In which CRS.
        limit: Bound in bytes.
    """

    def __init__(self, view: View, crs: FeatureCrs, limit: int) -> None:
        self._view = view
        self._crs = crs
        self._half = limit // 2
        self._young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}
        self._size = 0
        self._old_size = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size + self._old_size

    def texts(self, rows: Rows) -> list[bytes]:
        """Features as JSON, rendered now or before."""
        wanted = rows.tolist()
        young, old = self._young, self._old
        found = [young.get(row) or old.get(row) for row in wanted]
        lacking = [at for at, text in enumerate(found) if text is None]
        if lacking:
            made = render(self._view, rows[lacking], self._crs)
            for at, text in zip(lacking, made, strict=True):
                found[at] = text
            self._keep(dict(zip((wanted[at] for at in lacking), made, strict=True)))
        return found  # type: ignore[return-value]

    def _keep(self, made: dict[int, bytes]) -> None:
        """Two generations: when the young one is full it becomes the old one, and the old one goes."""
        with self._lock:
            self._young.update(made)
            self._size += sum(map(len, made.values())) + 120 * len(made)
            if self._size > self._half:
                self._old, self._young = self._young, {}
                self._old_size, self._size = self._size, 0


def blocks(rows: Rows) -> Iterator[Rows]:
    """Rows a block at a time."""
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
