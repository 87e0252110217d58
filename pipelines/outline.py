"""The outline of the district for the viewer: polygons of any vector file as plain GeoJSON in degrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from pipelines.project import Project, resolve_outline
from twin.crs.reference import horizontal, parse_crs, to_wgs84_lonlat
from twin.errors import CrsError
from twin.sources.vector import open_source

#: Outlines are drawn a pixel wide from kilometres away; corners closer to the line than this are left out, metres.
_TOLERANCE_M = 2.0


def outline_of(project: Project) -> dict[str, Any] | None:
    """The outline as a GeoJSON MultiPolygon (RFC 7946), None where the project names none.

    Raises:
        SourceError: The file cannot be read.
        CrsError: It states no CRS.
    """
    path = resolve_outline(project)
    if path is None:
        return None
    source = open_source(path)
    if source.crs is None:
        raise CrsError(
            "the outline does not state its CRS", file=path, next_step="write it with a CRS, for example as GeoPackage"
        )
    working = parse_crs(project.project.working_crs)
    into = horizontal(parse_crs(source.crs), working)
    polygons = [
        shape
        for block in source.blocks()
        for shape in shapely.get_parts(block.geometry[~shapely.is_missing(block.geometry)])
        if shapely.get_type_id(shape) == shapely.GeometryType.POLYGON and not shapely.is_empty(shape)
    ]
    plane = shapely.transform(np.array([*polygons, None], dtype=object)[:-1], into)
    # As one coverage, so that borders two neighbours share stay shared.
    slim = shapely.coverage_simplify(plane, _TOLERANCE_M) if len(plane) else plane
    degrees = shapely.transform(slim, to_wgs84_lonlat(working))
    rounded = [[np.round(np.asarray(ring.coords), 6).tolist() for ring in _rings(shape)] for shape in degrees]
    return {"type": "MultiPolygon", "coordinates": rounded}


def _rings(shape: Any) -> list[Any]:
    return [shape.exterior, *shape.interiors]
