"""Street furniture of Cambridge keeps the ids its own department gives it, over editions, and gets ours beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from tests.real.build_case import twin
from twin.crs.reference import horizontal, parse_crs
from twin.entity.index import EntityIndex
from twin.registry.matching import Anchors
from twin.registry.open import open_history, open_registry
from twin.store.release import open_current

pytestmark = pytest.mark.real

AUTHORITY = "310105"
SETTINGS = """
[project]
name = "Cambridge"
admin_code = "310105"
working_crs = "EPSG:26986"
vertical_datum = "ellipsoid"
[[source]]
name = "shelters"
path = "shelters.gpkg"
[source.fields]
id = "GlobalID"
keep = ["STOP_NAME"]
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "constant"
elevation_m = 4.0
"""
MOVED, GONE, RENAMED, FRESH = 7, 6, 5, 4


def furniture(real_data: Path, name: str) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Properties and shapes in metres of the Massachusetts mainland, as the city keeps them."""
    file = real_data / "street_assets" / "cambridge_furniture_dev" / name
    features = json.loads(file.read_text("utf-8"))["features"]
    shapes = np.array([shapely.geometry.shape(one["geometry"]) for one in features], dtype=object)
    moved = shapely.transform(shapes, horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:26986")))
    return [one["properties"] for one in features], moved


def write(root: Path, ids: list[str], names: list[str | None], shapes: np.ndarray) -> None:
    path = root / "shelters.gpkg"
    path.unlink(missing_ok=True)
    columns = {
        "GlobalID": ids,
        "STOP_NAME": pa.array(names, pa.string()),
        "height": [2.5] * len(ids),
        "geometry": shapely.to_wkb(shapely.force_2d(shapes)),
    }
    pyogrio.write_arrow(
        pa.table(columns), path, layer="shelters", driver="GPKG", crs="EPSG:26986", geometry_type="Unknown",
        geometry_name="geometry",
    )  # fmt: skip


def by_id(root: Path) -> dict[str, str]:
    """Geid of every id of the department in the served release."""
    table = EntityIndex.open(open_current(root / "out").index).table
    return dict(zip(table["source_key"].to_pylist(), table["geid"].to_pylist(), strict=True))


def test_bus_shelters_are_known_by_their_own_id_through_a_second_survey(real_data: Path, tmp_path: Path) -> None:
    rows, shapes = furniture(real_data, "TRANS_BusShelters.geojson")
    ids, names = [row["GlobalID"] for row in rows], [row.get("STOP_NAME") for row in rows]
    assert len(set(ids)) == len(ids) == 68
    (tmp_path / "twin.toml").write_text(SETTINGS, encoding="utf-8")
    write(tmp_path, ids, names, shapes)
    assert twin("build", "-C", tmp_path, "--json", "--workers", 1).code in (0, 3)
    first = by_id(tmp_path)
    assert set(first) == set(ids)

    order = np.random.default_rng(3).permutation(len(ids))
    moved, gone, renamed, kept = np.split(order, np.cumsum([MOVED, GONE, RENAMED]))
    later = shapes.copy()
    later[moved] = shapely.transform(later[moved], lambda xy: xy + np.array([0.7, -0.5]))
    titles = [f"{name} (new)" if row in set(renamed.tolist()) else name for row, name in enumerate(names)]
    stay = [row for row in order.tolist() if row not in set(gone.tolist())]  # in another order, too
    fresh = [f"{{NEW-{number}}}" for number in range(FRESH)]
    there = shapely.transform(shapes[kept[:FRESH]], lambda xy: xy + np.array([300.0, 2_000.0]))
    write(
        tmp_path,
        [*(ids[row] for row in stay), *fresh],
        [*(titles[row] for row in stay), *([None] * FRESH)],
        np.concatenate([later[stay], there]),
    )
    done = twin("update", "-C", tmp_path, "--json", "--workers", 1, "--accept-doubtful")
    assert done.code in (0, 3) and done.err == "", done
    counts = {name: count for name, count in done.json["counts"].items() if count}
    assert counts == {
        "moved": MOVED, "gone": GONE, "attributes_changed": RENAMED, "new": FRESH, "unchanged": len(kept),
    }  # fmt: skip

    second = by_id(tmp_path)
    assert set(second) == {ids[row] for row in stay} | set(fresh)
    assert all(second[ids[row]] == first[ids[row]] for row in stay)
    assert not {second[one] for one in fresh} & set(first.values())
    _check_registry(tmp_path / "registry.sqlite", first, {ids[row] for row in gone.tolist()})
    again = twin("update", "-C", tmp_path, "--plan", "--json", "--workers", 1)
    assert again.json["asserted"] == 0


def _check_registry(file: Path, first: dict[str, str], gone: set[str]) -> None:
    """Every id of the first survey still leads to its entity; those that are gone say so."""
    with open_registry(file, AUTHORITY, read_only=True) as registry:
        for name, geid in first.items():
            assert registry.lookup(f"shelters:{name}") == geid
            known = registry.entity(geid)
            assert known is not None and (known.key, known.retired) == (name, name in gone)
    with open_history(file, AUTHORITY, read_only=True) as history:
        bridge = {row["source_key"]: row for row in history.bridge(2).to_pylist() if row["source_key"] in first}
        assert {name for name, row in bridge.items() if row["change"] == "gone"} in (gone, set())
        assert all(row["geid"] == first[name] for name, row in bridge.items())


def standing(shapes: np.ndarray) -> Anchors:
    """Points as anchors without extent."""
    x, y = shapely.get_x(shapes), shapely.get_y(shapes)
    return Anchors(x, y, np.zeros(len(x)), x, y, x, y)


@pytest.mark.parametrize("database", ["sqlite", "postgis"])
@pytest.mark.parametrize(
    ("file", "column", "count"),
    [("INFRA_StreetLights.geojson", "PoleID", 6117), ("DPW_LitterBarrels.geojson", "GlobalID", 990)],
)
def test_points_keep_their_own_ids_in_the_registry(
    real_data: Path, tmp_path: Path, request: pytest.FixtureRequest, database: str, file: str, column: str, count: int
) -> None:
    """Points have no solid, but the same registry: what another department hangs on them survives a second survey."""
    where: Path | str = tmp_path / "registry.sqlite"
    if database == "postgis":
        where = str(request.getfixturevalue("postgis_url"))
    rows, shapes = furniture(real_data, file)
    ids = [row[column] for row in rows]
    assert len(set(ids)) == len(ids) == count
    with open_registry(where, AUTHORITY) as registry:
        resolved = registry.resolve("furniture", file, pa.array(ids), standing(shapes))
        registry.record(resolved, pa.repeat("CityFurniture", count))
        registry.commit("2025")
    first = dict(zip(ids, resolved.geids.to_pylist(), strict=True))
    assert len(set(first.values())) == count

    order = np.random.default_rng(5).permutation(count)
    gone, stay = order[: count // 50], order[count // 50 :]
    later = shapely.transform(shapes, lambda xy: xy + np.random.default_rng(6).normal(0, 3.0, xy.shape))
    fresh = [f"new-{number}" for number in range(40)]
    keys = [*(ids[row] for row in stay.tolist()), *fresh]
    places = np.concatenate([later[stay], shapes[np.resize(gone, 40)]])
    with open_registry(where, AUTHORITY) as registry:
        resolved = registry.resolve("furniture", file, pa.array(keys), standing(places))
        registry.record(resolved, pa.repeat("CityFurniture", len(keys)))
        registry.commit("2026")
    second = dict(zip(keys, resolved.geids.to_pylist(), strict=True))
    assert all(second[ids[row]] == first[ids[row]] for row in stay.tolist())
    assert not {second[one] for one in fresh} & set(first.values()), "a new pole where one stood is another pole"
    with open_registry(where, AUTHORITY, read_only=True) as registry:
        for row in [*gone.tolist(), *stay[:200].tolist()]:
            known = registry.entity(first[ids[row]])
            assert known is not None and known.retired == (row in set(gone.tolist()))
            assert registry.lookup(f"{file}:{ids[row]}") == first[ids[row]]
