"""GeoParquet 1.1: one row an entity, types as they are, polygons as WKB, a box column for readers that skip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from twin.crs.reference import Crs
from twin.export.about import About
from twin.export.entities import Block, Entities

_BOX = ("xmin", "ymin", "xmax", "ymax")
_BBOX = pa.struct([(name, pa.float64()) for name in _BOX])


def write_geoparquet(entities: Entities, crs: Crs, about: About, path: Path) -> None:
    """Writes GeoParquet 1.1.0, a row group a block.

    The geometry column is `geometry` (WKB MultiPolygons, shells counter-clockwise, x = east or longitude), its CRS
    stands in the metadata as PROJJSON, and `bbox` covers it.

    Args:
        entities: What to write.
        crs: CRS of the file; public.
        about: Facts, kept under the metadata key `twin`.
        path: The file.
    """
    schema = _schema(entities, about)
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=True) as writer:
        for block in entities.blocks(crs):
            boxes = block.footprints.bounds()
            filled = boxes[~np.isnan(boxes[:, 0])]
            if len(filled):
                bounds[:2] = np.minimum(bounds[:2], filled[:, :2].min(axis=0))
                bounds[2:] = np.maximum(bounds[2:], filled[:, 2:].max(axis=0))
            writer.write_table(_table(block, boxes, schema))
        writer.add_key_value_metadata({"geo": json.dumps(_geo(crs, bounds))})


def _schema(entities: Entities, about: About) -> pa.Schema:
    own = entities.columns.schema.remove_metadata()
    fields = [*own, pa.field("bbox", _BBOX), pa.field("geometry", pa.binary())]
    return pa.schema(fields, metadata={"twin": json.dumps(about.facts(), ensure_ascii=False)})


def _table(block: Block, boxes: NDArray[np.float64], schema: pa.Schema) -> pa.Table:
    none = np.isnan(boxes[:, 0])
    sides = [pa.array(boxes[:, number], mask=none) for number in range(4)]
    bbox = pa.StructArray.from_arrays(sides, fields=list(_BBOX), mask=pa.array(none))
    columns = [block.table[name] for name in block.table.column_names]
    return pa.Table.from_arrays([*columns, bbox, wkb(block)], schema=schema)


def wkb(block: Block) -> pa.Array:
    """(n,) little-endian WKB MultiPolygons, null for an entity without polygons."""
    shapes = block.footprints.to_shapely()
    written = shapely.to_wkb(shapes, byte_order=1)
    return pa.array(written, pa.binary(), mask=np.diff(block.footprints.feature) == 0)


def _geo(crs: Crs, bounds: NDArray[np.float64]) -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "crs": crs.pyproj.to_json_dict(),
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in _BOX}},
    }
    if np.isfinite(bounds).all():
        column["bbox"] = bounds.tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
