"""Entities as a GeoDataFrame, for people who work with pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.crs.reference import Crs
from twin.export.entities import Entities

if TYPE_CHECKING:
    import geopandas


def to_frame(entities: Entities, crs: Crs) -> geopandas.GeoDataFrame:
    """All columns and the polygons in one frame, indexed by geid; everything is in memory at once.

    Args:
        entities: What to take.
        crs: CRS of the geometry.
    """
    import geopandas

    block = entities.block(entities.rows, crs)
    frame = block.table.to_pandas().set_index("geid")
    return geopandas.GeoDataFrame(frame, geometry=block.footprints.to_shapely(), crs=crs.pyproj)
