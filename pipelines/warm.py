"""Brings into a worker what it needs before it is asked for: compiled loops are loaded here, not in the first task.

The fork server runs `for_blocks` (see `pipelines.lean`); every worker is a fork of it. `for_tiles` runs in the workers
while the main process decides on duplicates and identities and would leave them idle.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

from pipelines.ingest import ingest
from twin.geometry.clean import clean_rings
from twin.geometry.footprints import Footprints
from twin.geometry.wkb_rings import read_rings
from twin.modelling.buildings import untriangulable

__all__ = ["for_blocks", "for_tiles", "ingest"]


def for_blocks() -> Footprints:
    """Takes two houses as far as a block goes. Starts no thread: a fork would not take it along."""
    shapes = np.array([shapely.box(0, 0, 20, 10), shapely.box(30, 0, 50, 10)], dtype=object)
    rings = read_rings(pa.array(shapely.to_wkb(shapes), pa.binary()))
    if rings is None:
        raise AssertionError("two boxes are plain rings")
    footprints = clean_rings(rings, np.zeros(2, dtype=bool)).footprints
    footprints.area_centroid()
    footprints.bounds()
    if len(untriangulable(footprints)):
        raise AssertionError("a box can be triangulated")
    return footprints


def for_tiles(_: int) -> int:
    """Takes two houses through the rest of a build; gives the size of their tile."""
    import pipelines.encode  # noqa: F401 - with all that it brings in
    from twin.gltf.content import EncodeOptions, MeshContent, encode
    from twin.metadata.schema import Schema, class_from_arrow
    from twin.modelling.buildings import Prisms, solids
    from twin.store.base import precompress

    prisms = Prisms(for_blocks(), np.zeros(2), np.full(2, 9.0), np.array([True, False]))
    mesh = solids(prisms, lambda x, y, h: np.column_stack([x, y, h]))
    rows = pa.table({"geid": pa.array(["a", "b"])})
    cls, enums = class_from_arrow("entity", rows.schema, {})
    content = encode(MeshContent(mesh, Schema("warm", (cls,), enums), "entity", rows), EncodeOptions())
    return len(content) + len(precompress(content, ["gzip", "zstd"]))
