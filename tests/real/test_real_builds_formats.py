"""korea_namyangju_4formats, helsinki_osm_pbf: one set in four formats, and buildings out of a raw OSM extract."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely

from tests.real.build_case import Case, assert_sound, built, outlines

pytestmark = pytest.mark.real

KOREA = "footprints/korea_namyangju_4formats"
FORMATS = ("footprint.shp", "footprint-with-height.geojson", "footprint.gpkg", "footprint.parquet")
HELSINKI = "footprints/helsinki_osm_pbf/Helsinki.osm.pbf"
#: Parts on inner ways of a multipolygon: GDAL gives the relation alone, so nobody sees them (a limit of its reader).
SWALLOWED = {"way/651728078", "way/651728079"}
PROJECT = ("--vertical", "ellipsoid", "--name", "Namyangju")


@pytest.fixture(scope="module")
def korea(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {
        name: built(tmp_path_factory.mktemp(Path(name).suffix[1:]), real_data / KOREA / name, flags=PROJECT)
        for name in FORMATS
    }


@pytest.fixture(scope="module")
def korea_truth(real_data: Path) -> list[dict[str, Any]]:
    return json.loads((real_data / KOREA / "footprint-with-height.geojson").read_bytes())["features"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_namyangju_is_accounted_for(
    korea: dict[str, Case], korea_truth: list[dict[str, Any]], name: str
) -> None:
    case = korea[name]
    assert_sound(case, 177)
    high = sorted(h for row in korea_truth if (h := row["properties"]["height"]) is not None and h > 0)
    zero = sum(row["properties"]["height"] is not None for row in korea_truth) - len(high)
    missing = 177 - len(high) - zero
    assert case.outcomes == {"built": len(high), "fallback": zero + missing, "skipped": 0, "failed": 0}
    assert case.layer["reasons"] == {"height_invalid": zero, "height_missing": missing}
    assert sorted(float(row["height_m"]) for row in case.entities if row["height_m"]) == pytest.approx(high, abs=0.0005)
    assert case.code == 3


@pytest.mark.parametrize("name", FORMATS[1:])
def test_four_formats_give_the_same_entities(korea: dict[str, Case], name: str) -> None:
    one, other = korea[FORMATS[0]], korea[name]
    columns = ("geid", "height_m", "base_m", "outcome", "reasons", "height_source", "lod", "attr.layer", "attr.height")
    assert [[row[c] for c in columns] for row in one.entities] == [[row[c] for c in columns] for row in other.entities]
    to_metres = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32652", always_xy=True)
    shapes = [
        shapely.transform(
            np.array([outlines(case)[row["geid"]] for row in one.entities], dtype=object),
            lambda xy: np.column_stack(to_metres.transform(*xy.T)),
        )
        for case in (one, other)
    ]
    assert shapely.hausdorff_distance(*shapes).max() < 0.001
    for geid, mesh in one.meshes.items():
        twin_mesh = other.meshes[geid]
        assert mesh.place.shape == twin_mesh.place.shape
        ours, theirs = (corners(each.place) for each in (mesh, twin_mesh))
        assert np.abs(ours - theirs).max() < 0.001


def corners(place: np.ndarray) -> np.ndarray:
    """Corners in metres about the district, in an order that does not hang on where a ring began."""
    metres = (place - [127.18, 37.62, 0.0]) * [88_000.0, 111_000.0, 1.0]
    return metres[np.lexsort(np.round(metres, 2).T)]


def test_namyangju_stands_where_the_geojson_says(korea: dict[str, Case], korea_truth: list[dict[str, Any]]) -> None:
    """Every footprint of the file is one of ours and the other way round."""
    theirs = np.array([shapely.force_2d(shapely.geometry.shape(row["geometry"])) for row in korea_truth], dtype=object)
    ours = np.array(list(outlines(korea["footprint.gpkg"]).values()), dtype=object)
    near = shapely.STRtree(shapely.centroid(ours)).nearest(shapely.centroid(theirs))
    assert len(np.unique(near)) == 177
    assert shapely.hausdorff_distance(theirs, ours[near]).max() * 111_320 < 0.01


@pytest.fixture(scope="module")
def helsinki(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    flags = ("--vertical", "EPSG:3900", "--undulation", "15.6")
    return built(tmp_path_factory.mktemp("helsinki"), real_data / HELSINKI, flags=flags)


@pytest.fixture(scope="module")
def osm(real_data: Path) -> dict[str, dict[str, Any]]:
    """Buildings by id, out of GDAL's own layers with GDAL's own settings: tags beside the geometry or in other_tags."""
    found: dict[str, dict[str, Any]] = {}
    for layer in ("multipolygons", "lines"):
        with pytest.warns(RuntimeWarning) if layer == "multipolygons" else _nothing():
            meta, _, wkb, columns = pyogrio.raw.read(real_data / HELSINKI, layer=layer)
        fields = dict(zip(meta["fields"], columns, strict=True))
        for row, data in enumerate(wkb):
            tags = tags_of(fields, row)
            whole, part = tags.get("building", "no") != "no", tags.get("building:part", "no") != "no"
            shape = shapely.from_wkb(data, on_invalid="ignore") if data is not None else None
            if layer == "lines" and part:  # GDAL's own settings do not know that a closed way with this tag is an area
                shape = shapely.Polygon(shape) if shape.is_ring else None
                key = f"way/{fields['osm_id'][row]}"
            elif layer == "multipolygons" and (whole or part):
                way = fields["osm_way_id"][row]
                key = f"way/{way}" if way else f"relation/{fields['osm_id'][row]}"
            else:
                continue
            assert key not in found
            found[key] = {"tags": tags, "shape": shape, "part": not whole}
    return found


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def tags_of(fields: dict[str, np.ndarray], row: int) -> dict[str, str]:
    tags = {name: column[row] for name, column in fields.items() if name != "other_tags" and column[row]}
    return tags | dict(re.findall(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"', fields["other_tags"][row] or ""))


def plain(tags: dict[str, str], name: str) -> float | None:
    found = re.fullmatch(r"(\d+(?:[.,]\d+)?) ?m?", tags.get(name, ""))
    return float(found[1].replace(",", ".")) if found else None


def test_helsinki_has_as_many_buildings_as_gdal_finds(helsinki: Case, osm: dict[str, dict[str, Any]]) -> None:
    assert sum(not row["part"] for row in osm.values()) == 494
    assert sum(row["part"] for row in osm.values()) >= 120
    assert_sound(helsinki, len(osm) - len(SWALLOWED))
    assert {row["source_key"] for row in helsinki.entities} <= osm.keys() - SWALLOWED


def test_helsinki_counts_geometries_that_are_none(helsinki: Case, osm: dict[str, dict[str, Any]]) -> None:
    keys = {row["source_key"] for row in helsinki.entities}
    nothing = {key for key, row in osm.items() if row["shape"] is not None and row["shape"].is_empty}
    nothing |= {key for key, row in osm.items() if row["shape"] is None and not row["part"]}
    assert len(nothing) == 5
    assert not nothing & keys
    reasons = helsinki.layer["reasons"]
    gone = sum(reasons.get(code, 0) for code in ("geometry_degenerate", "geometry_missing", "geometry_empty"))
    assert gone + reasons.get("geometry_unrepairable", 0) == helsinki.layer["read"] - len(keys)
    some = {key for key, row in osm.items() if row["shape"] is not None and row["shape"].is_valid} - SWALLOWED
    large = {key for key in some if osm[key]["shape"].area * 111_320**2 * 0.5 > 2.0}
    assert large <= keys, "a valid building of more than two square metres is missing"


def test_helsinki_heights_follow_the_tags(helsinki: Case, osm: dict[str, dict[str, Any]]) -> None:
    seen = {"attribute:height": 0, "storeys": 0}
    for row in helsinki.entities:
        tags = osm[row["source_key"]]["tags"]
        height, levels = plain(tags, "height"), plain(tags, "building:levels")
        if row["outcome"] == "fallback":
            assert "height_missing" in row["reasons"]
            assert height is None and levels is None
        elif row["outcome"] == "built":
            seen[row["height_source"]] += 1
            assert height is not None or levels is not None, (row["source_key"], tags)
            expected = height if height is not None else 3.0 * levels
            assert float(row["height_m"]) == pytest.approx(expected, abs=0.0005)
            assert row["height_source"] == ("storeys" if height is None else "attribute:height")
    assert seen["attribute:height"] >= 30 and seen["storeys"] >= 150


def test_helsinki_parts_hang_where_they_begin_and_stand_for_their_outline(
    helsinki: Case, osm: dict[str, dict[str, Any]]
) -> None:
    by_geid = {row["geid"]: row for row in helsinki.entities}
    hanging = parented = 0
    for row in helsinki.entities:
        tags = osm[row["source_key"]]["tags"]
        assert row["entity_class"] == ("BuildingPart" if osm[row["source_key"]]["part"] else "Building")
        low, high = plain(tags, "min_height"), plain(tags, "height")
        if row["outcome"] == "built" and low and high and low < high:
            mesh = helsinki.meshes[row["geid"]]
            assert (mesh.low, mesh.high) == (pytest.approx(15.6 + low, abs=0.05), pytest.approx(15.6 + high, abs=0.05))
            hanging += 1
        if row["parent"]:
            assert by_geid[row["parent"]]["outcome"] == "skipped"
            assert "outline_of_parts" in by_geid[row["parent"]]["reasons"]
            parented += 1
    assert hanging >= 5 and parented >= 50


def share(part: shapely.Geometry, outline: shapely.Geometry) -> float:
    return float(outline.intersection(part).area / part.area)


def test_no_part_of_helsinki_stands_inside_a_drawn_outline(helsinki: Case, osm: dict[str, dict[str, Any]]) -> None:
    shapes = outlines(helsinki)
    drawn = [row for row in helsinki.entities if row["outcome"] in ("built", "fallback")]
    wholes = [row for row in drawn if row["entity_class"] == "Building"]
    parts = [row for row in drawn if row["entity_class"] == "BuildingPart" and row["outcome"] == "built"]
    assert len(parts) > 90
    tree = shapely.STRtree([shapes[row["geid"]] for row in wholes])
    for part in parts:
        shape = shapes[part["geid"]]
        for near in tree.query(shape):
            inside = share(shape, shapes[wholes[near]["geid"]])
            # The cathedral's dome stands in the cathedral, whose parts are not the dome's.
            better = part["parent"] and share(shape, shapes[part["parent"]]) > inside
            assert inside < 0.5 or better, (part["source_key"], wholes[near]["source_key"])
