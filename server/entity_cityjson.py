"""One entity as a CityJSON 2.0 document: a closed LoD1.2 solid, or the flat outline where no height is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from server.entity_subject import Polygons, Subject

MEDIA_TYPE = "application/city+json"
_SCALE_M = 0.001
_TYPES = {
    "Building": "Building",
    "BuildingPart": "Building",  # a part cannot stand without its parent in the document
    "Bridge": "Bridge",
    "Tunnel": "Tunnel",
    "Road": "Road",
    "RoadSection": "Road",
    "Railway": "Railway",
    "WaterBody": "WaterBody",
    "LandUse": "LandUse",
    "PlantCover": "PlantCover",
    "Tree": "SolitaryVegetationObject",
    "CityFurniture": "CityFurniture",
    "AdministrativeArea": "LandUse",
}
_SOLIDS = frozenset({"Building", "Bridge", "Tunnel", "CityFurniture", "OtherConstruction"})
_SURFACES = ({"type": "GroundSurface"}, {"type": "RoofSurface"}, {"type": "WallSurface"})
_GROUND, _ROOF, _WALL = range(3)
_EPSG = re.compile(r"EPSG:(\d+)")
Shell = list[list[list[int]]]


class Vertices:
    """Quantised vertices, each one once."""

    def __init__(self, origin: np.ndarray) -> None:
        self.origin = origin
        self.rows: dict[tuple[int, int, int], int] = {}

    def ring(self, xy: np.ndarray, z: float) -> list[int]:
        """Numbers of the vertices of a closed ring (k, 2) at a height; without the last, nor one that repeats another.

        Vertices closer than the quantum fall together: a ring of which less than three are left is no ring.
        """
        xyz = np.column_stack([xy[:-1], np.full(len(xy) - 1, z)]) - self.origin
        keys = [tuple(row) for row in np.rint(xyz / _SCALE_M).astype(np.int64).tolist()]
        kept = [key for key, before in zip(keys, [keys[-1], *keys[:-1]], strict=True) if key != before]
        return [self.rows.setdefault(key, len(self.rows)) for key in kept] if len(kept) > 2 else []


def document(subject: Subject, working_crs: str | None, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The CityJSON 2.0 document.

    Args:
        subject: The entity.
        working_crs: CRS of its footprint, as in `release.json`; None where it is private: then there is no reference.
        attributes: What to carry along; nulls and nested values are left out.

    Returns:
        With `transform`: integers times a millimetre from the corner of the entity.
    """
    kind = _TYPES.get(str(subject.record.get("entity_class")), "OtherConstruction")
    polygons = oriented(subject.polygons)
    base, roof = subject.record.get("base_m"), subject.record.get("roof_m")
    corner = np.concatenate([ring for polygon in polygons for ring in polygon]).min(axis=0) if polygons else np.zeros(2)
    vertices = Vertices(np.array([*np.round(corner, 3), round(base or 0.0, 3)]))
    geometry: list[dict[str, Any]] = []
    if kind in _SOLIDS and base is not None and roof is not None and roof - base > _SCALE_M:
        geometry = [_solid(vertices, polygons, base, roof)]
    elif base is not None:
        geometry = [_flat(vertices, polygons, base)]
    city_object: dict[str, Any] = {"type": kind, "geometry": [one for one in geometry if one["boundaries"]]}
    city_object["attributes"] = {key: value for key, value in attributes.items() if value not in (None, [], {})}
    return {
        "type": "CityJSON",
        "version": "2.0",
        "metadata": _metadata(subject, working_crs, vertices),
        "transform": {"scale": [_SCALE_M] * 3, "translate": [float(value) for value in vertices.origin]},
        "CityObjects": {subject.geid: city_object},
        "vertices": [list(row) for row in vertices.rows],
    }


def oriented(polygons: Polygons) -> Polygons:
    """Exteriors counter-clockwise, holes clockwise, seen from above: walls then look outwards."""
    turned = [shapely.orient_polygons(shapely.Polygon(polygon[0], polygon[1:])) for polygon in polygons]
    return [[shapely.get_coordinates(ring) for ring in (one.exterior, *one.interiors)] for one in turned]


def _metadata(subject: Subject, working_crs: str | None, vertices: Vertices) -> dict[str, Any]:
    found = _EPSG.fullmatch(working_crs or "")
    reference = f"https://www.opengis.net/def/crs/EPSG/0/{found[1]}" if found else None
    told: dict[str, Any] = {"identifier": subject.geid, "title": subject.record.get("name") or subject.geid}
    if vertices.rows:
        xyz = np.array(list(vertices.rows)) * _SCALE_M + vertices.origin
        told["geographicalExtent"] = np.round([*xyz.min(axis=0), *xyz.max(axis=0)], 3).tolist()
    return {**told, **({"referenceSystem": reference} if reference else {})}


def _flat(vertices: Vertices, polygons: Polygons, base: float) -> dict[str, Any]:
    faces = [[ring for line in polygon if (ring := vertices.ring(line, base))] for polygon in polygons]
    return {"type": "MultiSurface", "lod": "0", "boundaries": [face for face in faces if face]}


def _solid(vertices: Vertices, polygons: Polygons, base: float, roof: float) -> dict[str, Any]:
    shells = [shell for polygon in polygons if (shell := _prism(vertices, polygon, base, roof))[0]]
    values = [[[_GROUND, _ROOF] + [_WALL] * (len(shell) - 2)] for shell in shells]
    single = len(shells) == 1
    return {
        "type": "Solid" if single else "MultiSolid",
        "lod": "1.2",
        "boundaries": [shells[0]] if single else [[shell] for shell in shells],
        "semantics": {"surfaces": list(_SURFACES), "values": values[0] if single else values},
    }


def _prism(vertices: Vertices, polygon: list[np.ndarray], base: float, roof: float) -> Shell:
    """Faces of a prism: ground, roof, then a wall for each edge; each seen counter-clockwise from outside."""
    low = [ring for line in polygon if (ring := vertices.ring(line, base))]
    high = [ring for line in polygon if (ring := vertices.ring(line, roof))]
    walls = [
        [[a, b, d, c]]
        for bottom, top in zip(low, high, strict=True)
        for a, b, c, d in zip(bottom, bottom[1:] + bottom[:1], top, top[1:] + top[:1], strict=True)
    ]
    return [[ring[::-1] for ring in low], high, *walls]
