"""Den Haag's CityJSON as a second dataset: its footprints become entities, its attributes join them by key."""

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


def footprint(one: dict[str, Any], xyz: np.ndarray) -> Any:
    """Union of the ground surfaces of a LoD2 solid, seen from above."""
    found = []
    for solid in one.get("geometry", ()):
        semantics = solid.get("semantics", {})
        for shell, values in zip(solid["boundaries"], semantics.get("values", ()), strict=False):
            for face, value in zip(shell, values, strict=True):
                if value is not None and semantics["surfaces"][value]["type"] == "GroundSurface":
                    found.append(shapely.make_valid(shapely.Polygon(xyz[face[0]][:, :2])))
    return shapely.union_all(found) if found else None


def test_attributes_of_a_second_dataset_join_by_key_and_by_alias_and_come_out_again(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "citymodels" / "denhaag_lod2_cityjson"
    model = json.loads(next(folder.glob("*.city.json")).read_bytes())
    transform = model["transform"]
    xyz = np.array(model["vertices"]) * transform["scale"] + transform["translate"]
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
