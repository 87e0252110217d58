"""GeoJSON text sequence: one feature a line, WGS 84 degrees, for tools that stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import shapely

from twin.crs.reference import WGS84
from twin.entity.index_schema import ATTRIBUTE
from twin.export.columns import json_columns
from twin.export.entities import Block, Entities
from twin.geometry.footprints import Footprints

_DIGITS = 9  # a tenth of a millimetre


def write_geojsonseq(entities: Entities, path: Path) -> None:
    """Writes newline-delimited GeoJSON features (RFC 7946), attributes of the source under `attributes`.

    Args:
        entities: What to write.
        path: The file.
    """
    with path.open("wb") as sink:
        for block in entities.blocks(WGS84):
            sink.writelines(_lines(block))


def _lines(block: Block) -> list[bytes]:
    parts = block.footprints
    rounded = Footprints(np.round(parts.xy, _DIGITS), parts.ring, parts.polygon, parts.feature)
    shapes = np.where(np.diff(parts.feature) > 0, shapely.to_geojson(rounded.to_shapely()), "null")
    columns = json_columns(block.table)
    own = [name for name in columns if not name.startswith(ATTRIBUTE)]
    attributes = [name for name in columns if name.startswith(ATTRIBUTE)]
    lines = []
    for row, shape in enumerate(shapes):
        properties = {name: columns[name][row] for name in own}
        properties["attributes"] = {name.removeprefix(ATTRIBUTE): columns[name][row] for name in attributes}
        head = b'{"type":"Feature","id":' + orjson.dumps(columns["geid"][row])
        lines.append(head + b',"geometry":' + shape.encode() + b',"properties":' + orjson.dumps(properties) + b"}\n")
    return lines
