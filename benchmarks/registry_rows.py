"""A registry of any size as columns made by numpy and Arrow, in the shape in which registries are copied."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.entity import geid
from twin.registry.transfer_tables import FOREVER, TABLES, StoredTable

AUTHORITY = "310105"
SOURCE, SCHEME = "bench", "cadastre"
STEP_M = 20.0
DEGREE_M = 111_320.0
WEST, SOUTH = 100.0, 0.0
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_MICROS = int(BEGIN.timestamp()) * 1_000_000
_BATCH = 65_536
_CORNERS = 13
_ANGLES = np.linspace(0, 2 * np.pi, _CORNERS + 1)
_RING = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)]) * 7.0
_HEADER = np.frombuffer(
    b"\x01\x06\x00\x00\x00\x01\x00\x00\x00\x01\x03\x00\x00\x00\x01\x00\x00\x00\x0e\x00\x00\x00", np.uint8
)
Rows = NDArray[np.int64]


class Synthetic:
    """Entities on a square grid, 20 m apart, so that a box holds as many of them whatever their number.

    Identifiers have nothing to do with places, as in life: neighbours lie far from each other in every table.

    Args:
        count: Of entities.
    """

    authority = AUTHORITY

    def __init__(self, count: int) -> None:
        self.count = count
        self.side = int(np.ceil(np.sqrt(count)))

    @cached_property
    def geids(self) -> pa.Array:
        """(n,) by number."""
        parts = range(0, self.count, 500_000)
        texts = (self.keys(np.arange(at, min(at + 500_000, self.count))).to_pylist() for at in parts)
        return pa.concat_arrays([pa.array(geid.mint(AUTHORITY, [f"{SOURCE}/{key}" for key in keys])) for keys in texts])

    @cached_property
    def order(self) -> Rows:
        """Numbers in the order of their identifiers."""
        return np.asarray(pc.sort_indices(self.geids), dtype=np.int64)

    @staticmethod
    def keys(numbers: Rows, letter: str = "K") -> pa.Array:
        """Keys of entities; they sort as the numbers do."""
        digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
        return pc.binary_join_element_wise(letter, digits, "")

    def corner(self, numbers: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of places."""
        step = STEP_M / DEGREE_M
        column, row = (at.astype(np.float64) for at in (numbers % self.side, numbers // self.side))
        return WEST + column * step, SOUTH + row * step

    def tables(self) -> tuple[StoredTable, ...]:
        """All."""
        return TABLES

    def read(self, table: StoredTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table in its order."""
        make = self._makers().get(table.name)
        if make is None:
            return
        count = 1 if table.name in ("release", "seen", "history_edition") else self.count
        for at in range(0, count, _BATCH):
            columns = make(np.arange(at, min(at + _BATCH, count)))
            n = min(_BATCH, count - at)
            arrays = [_filled(columns.get(field.name), field.type, n) for field in table.columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=table.columns)

    def _makers(self) -> dict[str, Callable[[Rows], dict[str, object]]]:
        return {
            "release": lambda _: {"number": 1, "id": "r1", "time": "2026-01-01T00:00:00Z"},
            "entity": self._entities,
            "source_key": lambda rows: {"source": SOURCE, "key": self.keys(rows), "geid": self._names(rows)},
            "alias": lambda rows: {"scheme": SCHEME, "value": self.keys(rows, "C"), "geid": self._names(rows)},
            "seen": lambda _: {"layer": "buildings", "source": SOURCE, "release": 1, "digest": ""},
            "history_edition": self._edition,
            "history_version": self._versions,
            "history_bridge": self._bridge,
        }  # fmt: skip

    def _names(self, numbers: Rows) -> pa.Array:
        return self.geids.take(pa.array(numbers))

    def _entities(self, rows: Rows) -> dict[str, object]:
        numbers = self.order[rows]
        return {
            "geid": self._names(numbers),
            "layer": "buildings",
            "entity_class": "Building",
            "source": SOURCE,
            "key": self.keys(numbers),
            "first_release": 1,
        }

    def _edition(self, _: Rows) -> dict[str, object]:
        return {
            "number": 1,
            "kind": "adopt",
            "name": "bench",
            "recorded_at": _MICROS,
            "valid_from": _MICROS,
            "note": "",
            "first_version": 1,
            "versions": self.count,
            "steps": 0,
            "records": self.count,
        }

    def _bridge(self, rows: Rows) -> dict[str, object]:
        numbers = self.order[rows]
        names = {"source": SOURCE, "source_key": self.keys(numbers), "geid": self._names(numbers)}
        return {"edition": 1, "row": rows, "change": "new", **names}

    def _versions(self, rows: Rows) -> dict[str, object]:
        """Geometry is WKB of 13 corners, 259 bytes."""
        numbers = self.order[rows]
        lon, lat = self.corner(numbers)
        half = 7.0 / DEGREE_M
        keys = self.keys(numbers)
        return {
            **self._entities(rows),
            "id": rows + 1,
            "edition": 1,
            "source_key": keys,
            "address": pc.binary_join_element_wise("Bench Road ", keys, ""),
            "aliases": pc.binary_join_element_wise('["cadastre:', self.keys(numbers, "C"), '"]', ""),
            "lon": lon, "lat": lat, "height": 12.5,
            "west": lon - half, "south": lat - half, "east": lon + half, "north": lat + half,
            "base_m": 4.0, "roof_m": 22.0, "height_m": 18.0, "storeys": 6.0,
            "height_source": "attribute", "height_confidence": 0.9, "ground_source": "constant",
            "attributes": pc.binary_join_element_wise('{"nr":"', keys, '","use":"housing"}', ""),
            "geometry": self._geometry(numbers),
            "valid_from": _MICROS, "valid_to": FOREVER, "present": True,
        }  # fmt: skip

    def _geometry(self, numbers: Rows) -> pa.Array:
        centre = np.column_stack([numbers % self.side, numbers // self.side]) * STEP_M + 500_000.0
        points = (centre[:, None, :] + _RING).astype("<f8")
        header = np.broadcast_to(_HEADER, (len(numbers), len(_HEADER)))
        flat = np.concatenate([header, points.reshape(len(numbers), -1).view(np.uint8)], axis=1)
        width = flat.shape[1]
        offsets = np.arange(0, (len(numbers) + 1) * width, width, dtype=np.int32)
        return pa.Array.from_buffers(
            pa.binary(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(flat))]
        )


def _filled(value: object, kind: pa.DataType, count: int) -> pa.Array:
    """A column of a value, of values, or of nulls."""
    if isinstance(value, pa.Array | np.ndarray):
        return pa.array(value).cast(kind)
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)
