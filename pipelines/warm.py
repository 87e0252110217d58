"""Imported once by the fork server: brings in what workers need and has numba load its compiled loops.

Every worker is a fork of it and starts with everything in place. Only numpy and numba run here: nothing that starts
threads may, because a fork would not take them along.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

import pipelines.encode as _encode
import pipelines.ingest as _ingest
from twin.geometry.clean import clean_rings
from twin.geometry.wkb_rings import read_rings
from twin.gltf.content import MeshContent, encode
from twin.metadata.schema import Schema, class_from_arrow
from twin.modelling.buildings import Prisms, solids

__all__ = ["warm"]

_NEEDED = (_encode.encode_tile, _ingest.ingest)


def warm() -> int:
    """Takes one house through the geometry of a build; gives the size of its tile."""
    shapes = np.array([shapely.box(0, 0, 20, 10), shapely.box(30, 0, 50, 10)], dtype=object)
    rings = read_rings(pa.array(shapely.to_wkb(shapes), pa.binary()))
    if rings is None:
        raise AssertionError("two boxes are plain rings")
    footprints = clean_rings(rings, np.zeros(2, dtype=bool)).footprints
    prisms = Prisms(footprints, np.zeros(2), np.full(2, 9.0), np.array([True, False]))
    mesh = solids(prisms, lambda x, y, h: np.column_stack([x, y, h]))
    rows = pa.table({"geid": pa.array(["a", "b"])})
    cls, enums = class_from_arrow("entity", rows.schema, {})
    return len(encode(MeshContent(mesh, Schema("warm", (cls,), enums), "entity", rows)))


warm()
