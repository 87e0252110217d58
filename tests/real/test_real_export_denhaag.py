"""Den Haag's CityJSON as a second dataset: its attributes join the entities by key, by alias and by geometry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipelines.export import export
from pipelines.project import load_project
from pipelines.run import build
from twin.entity.index import EntityIndex
from twin.geometry.clean import clean
from twin.registry.change import Surveyed, compare
from twin.store.release import open_current

pytestmark = pytest.mark.real
PROJECT = """[project]
name = "Den Haag"
admin_code = "051800"
working_crs = "EPSG:28992"
vertical_datum = "NAP"
geoid_undulation_m = 43.4
[[source]]
name = "footprints"
path = "footprints.gpkg"
[source.fields]
id = "id"
aliases = ["cityjson"]
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "attribute"
field = "ground"
"""


def footprint(one: dict[str, Any], xyz: np.ndarray, surface: str = "GroundSurface") -> Any:
    """Union of the surfaces of one kind of a LoD2 solid, seen from above."""
    found = []
    for solid in one.get("geometry", ()):
        semantics = solid.get("semantics", {})
        for shell, values in zip(solid["boundaries"], semantics.get("values", ()), strict=False):
            for face, value in zip(shell, values, strict=True):
                if value is not None and semantics["surfaces"][value]["type"] == surface:
                    found.append(shapely.make_valid(shapely.Polygon(xyz[face[0]][:, :2])))
    return shapely.union_all(found) if found else None


def den_haag(real_data: Path) -> tuple[dict[str, Any], np.ndarray]:
    """The model, and its vertices in metres of RD New and NAP."""
    model = json.loads((real_data / "citymodels" / "denhaag_lod2_cityjson" / "DenHaag_01.city.json").read_bytes())
    transform = model["transform"]
    return model, np.array(model["vertices"]) * transform["scale"] + transform["translate"]


def outlines(objects: dict[str, Any], xyz: np.ndarray, surface: str) -> dict[str, Any]:
    """Outline of each body of a building, larger than a shed."""
    bodies = {key: one for key, one in objects.items() if one["type"].startswith("Building")}
    found = {key: footprint(one, xyz, surface) for key, one in bodies.items()}
    return {key: shape for key, shape in found.items() if shape is not None and polygonal(shape) and shape.area > 5}


def polygonal(shape: Any) -> bool:
    return shape.geom_type in ("Polygon", "MultiPolygon")


def surveyed(shapes: dict[str, Any], keys: list[str | None]) -> Surveyed:
    """Outlines and nothing else: no height, no attribute."""
    unknown = np.full(len(shapes), np.nan)
    cleaned = clean(np.array(list(shapes.values()), dtype=object))
    assert not any(cleaned.refused)
    nothing = pa.nulls(len(shapes), pa.string())
    return Surveyed(pa.array(keys, pa.string()), cleaned.footprints, unknown, unknown, unknown, nothing)


def test_attributes_of_a_second_dataset_join_by_key_and_by_alias_and_come_out_again(
    real_data: Path, tmp_path: Path
) -> None:
    model, xyz = den_haag(real_data)
    rows = []
    for key, one in model["CityObjects"].items():
        shape = footprint(one, xyz) if one["type"].startswith("Building") else None
        if shape is not None and shape.area > 5 and shape.geom_type in ("Polygon", "MultiPolygon"):
            used = np.unique([i for g in one["geometry"] for s in g["boundaries"] for f in s for r in f for i in r])
            low, high = float(xyz[used, 2].min()), float(xyz[used, 2].max())
            rows.append({"id": key, "cityjson": key, "ground": low, "height": high - low, "shape": shape.wkb})
    assert len(rows) > 800
    names = ("id", "cityjson", "ground", "height")
    table = pa.table({**{n: [row[n] for row in rows] for n in names}, "geometry": [row["shape"] for row in rows]})
    pyogrio.write_arrow(
        table, tmp_path / "footprints.gpkg", driver="GPKG", crs="EPSG:28992", geometry_type="Unknown",
        geometry_name="geometry",
    )  # fmt: skip
    (tmp_path / "twin.toml").write_text(PROJECT, encoding="utf-8")
    project = load_project(tmp_path)
    build(project)
    index = EntityIndex.open(open_current(tmp_path / "out").index)
    joined = 0
    for row in rows:
        by_key = index.by_key("footprints", row["id"])
        if by_key is not None:
            assert by_key in index.by_alias(f"cityjson:{row['id']}")
            joined += bool(model["CityObjects"][row["id"]].get("attributes"))
    assert joined > 0.9 * len(index)
    out = json.loads(export(project, tmp_path / "out.city.json").path.read_bytes())
    assert out["metadata"]["referenceSystem"].endswith("/EPSG/0/7415")
    for geid, one in out["CityObjects"].items():
        attributes = one["attributes"]
        source = model["CityObjects"][attributes["source_key"]]
        assert index.table["source_key"][index.find(geid)].as_py() == attributes["source_key"]
        assert source["type"].startswith("Building")


def test_roofs_without_a_key_join_the_ground_they_stand_over_by_geometry(real_data: Path) -> None:
    """The outline of the roofs was measured by itself; whose it is stands in the file, and is not shown."""
    model, xyz = den_haag(real_data)
    ground = outlines(model["CityObjects"], xyz, "GroundSurface")
    roofs = outlines(model["CityObjects"], xyz, "RoofSurface")
    names, shuffled = list(ground), np.random.default_rng(1).permutation(np.array(sorted(set(roofs) & set(ground))))
    assert len(shuffled) > 1_000
    joined = compare(
        surveyed(ground, [*names]), surveyed({name: roofs[name] for name in shuffled}, [None] * len(shuffled))
    ).after
    partner = np.array([names[row] if row >= 0 else "" for row in joined.partner])
    right = joined.kept() & (partner == shuffled)
    silent = joined.kept() & (partner != shuffled) & ~joined.doubtful
    assert right.mean() > 0.99
    assert not silent.any()


def test_five_buildings_of_another_publisher_join_by_geometry_those_of_the_same_name(real_data: Path) -> None:
    """3DBAG's samples of Den Haag: read without their names, matched by place alone, then compared by name."""
    model, xyz = den_haag(real_data)
    ground = outlines(model["CityObjects"], xyz, "GroundSurface")
    lines = (
        (real_data / "citymodels" / "3dbag_multilod" / "denhaag_random_5.city.jsonl").read_text("utf-8").splitlines()
    )
    head, *features = (json.loads(line) for line in lines)
    others: dict[str, Any] = {}
    for feature in features:
        transform = head["transform"]
        points = np.array(feature["vertices"]) * transform["scale"] + transform["translate"]
        others |= outlines(feature["CityObjects"], points, "GroundSurface")
    assert len(others) >= 5
    joined = compare(surveyed(ground, list(ground)), surveyed(others, [None] * len(others))).after
    assert joined.kept().all() and not joined.doubtful.any()
    assert [list(ground)[row] for row in joined.partner] == list(others)
