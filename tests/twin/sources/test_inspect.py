"""A first look: the right fields with their reasons, and the traps named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from twin.sources import inspect as looking
from twin.sources.guess import NAMES
from twin.sources.inspect import Inspection, inspect

COUNT = 40


def look(folder: Path, geometry: object = None, **columns: Any) -> Inspection:
    x = np.arange(COUNT) * 20.0 + 350_000
    shapes = shapely.box(x, 3_450_000, x + 10, 3_450_010) if geometry is None else geometry
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4549")
    frame.to_file(folder / "a.gpkg")
    (found,) = inspect(folder / "a.gpkg")
    return found


HEIGHTS = np.linspace(3, 120, COUNT)
IDS = [f"310105{i:06d}" for i in range(COUNT)]


@pytest.mark.parametrize(
    ("role", "field", "values"),
    [
        ("id", "BSM", IDS), ("id", "编号", IDS), ("id", "OBJECTID", range(1, COUNT + 1)),
        ("height", "建筑高度", HEIGHTS), ("height", "JZGD", HEIGHTS), ("height", "measuredHeight", HEIGHTS),
        ("height", "H", HEIGHTS),
        ("height", "hgt", [str(round(h, 1)) for h in HEIGHTS]), ("storeys", "层数", np.arange(COUNT) % 30 + 1),
        ("storeys", "FWCS", np.arange(COUNT) % 30 + 1), ("storeys", "storeysAboveGround", np.arange(COUNT) % 9 + 1),
        ("name", "名称", [f"楼{i}" for i in range(COUNT)]), ("address", "地址", [f"路{i}号" for i in range(COUNT)]),
        ("class", "用途", ["住宅", "办公"] * 20), ("class", "JZYT", np.arange(COUNT) % 5),
        ("min_height", "min_height", HEIGHTS / 10),
        ("ground", "地面高程", 4 + HEIGHTS / 100), ("roof", "roof_elev", 4 + HEIGHTS),
        ("kind", "kind", ["building", "building_part"] * 20),
    ],
)  # fmt: skip
def test_a_field_is_known_by_name_and_values(tmp_path: Path, role: str, field: str, values: Any) -> None:
    found = look(tmp_path, **{field: list(values), "layer": ["FWM"] * COUNT})
    guess = found.best(role)
    assert guess is not None and guess.field == field
    assert guess.why
    assert {g.field for guesses in found.guesses.values() for g in guesses} == {field}


def test_the_summary_tells_what_the_values_are(tmp_path: Path) -> None:
    heights = [*HEIGHTS[:-3], 9999.0, -1.0, None]
    found = look(tmp_path, height=heights, use=["住宅", "", "办公", None] * 10)
    height, use = [field for field in found.fields if field.name in ("height", "use")]
    assert height.placeholders == {9999.0: 1, -1.0: 1}
    assert (height.minimum, height.maximum, height.null_share) == (-1.0, 9999.0, pytest.approx(1 / COUNT))
    assert (use.null_share, use.distinct, set(use.examples)) == (0.5, 2, {"住宅", "办公"})
    best = found.best("height")
    assert best is not None and "9999 (1)" in best.why


def test_a_constant_or_absurd_height_is_not_taken_without_asking(tmp_path: Path) -> None:
    assert look(tmp_path, height=[3.0] * COUNT).best("height") is None
    assert look(tmp_path, height=[9999.0] * COUNT).best("height") is None
    assert look(tmp_path, h=HEIGHTS * -1).best("height") is None


def test_heights_in_centimetres_and_feet_are_named(tmp_path: Path) -> None:
    centimetres = look(tmp_path, height=HEIGHTS * 100).best("height")
    feet = look(tmp_path, height_ft=HEIGHTS * 3).guesses
    assert centimetres is not None and centimetres.unit == "cm"
    assert "height" not in feet or feet["height"][0].unit == "ft"


def test_a_column_that_repeats_is_no_id(tmp_path: Path) -> None:
    assert look(tmp_path, Id=[0] * COUNT).best("id") is None
    assert look(tmp_path, height=np.arange(COUNT) + 3.0).best("id") is None


def test_copies_advise_first_and_pieces_advise_union(tmp_path: Path) -> None:
    boxes = shapely.box(np.arange(COUNT) * 10.0, 0, np.arange(COUNT) * 10.0 + 10, 10)
    ids = list(range(COUNT))
    copies = boxes.copy()
    copies[-4:] = boxes[:4]
    same = look(tmp_path, copies, code=[*ids[:-4], *ids[:4]]).duplicates
    assert same is not None and (same.count, same.ids, same.advice) == (4, 4, "first")
    pieces = look(tmp_path, boxes, code=[i - i % 2 if i < 8 else i for i in ids]).duplicates
    assert pieces is not None and (pieces.count, pieces.ids, pieces.advice) == (4, 4, "union")
    apart = look(tmp_path, boxes, code=[*ids[:-4], *ids[:4]])
    assert apart.duplicates is not None and apart.duplicates.advice is None
    assert apart.best("id") is None


def test_a_table_of_height_classes_is_told_from_buildings(tmp_path: Path) -> None:
    boxes = shapely.box(np.arange(COUNT) * 50.0, 0, np.arange(COUNT) * 50.0 + 10, 10)
    classes = [shapely.multipolygons(boxes[i::4]) for i in range(4)]
    found = look(tmp_path, classes, height=[3.0, 6.0, 9.0, 12.0])
    assert found.multipart_height_classes
    assert "explode" in found.multipart_why
    assert not look(tmp_path, [shapely.multipolygons([box]) for box in boxes]).multipart_height_classes


def test_geometry_kinds_are_counted_once_each(tmp_path: Path) -> None:
    shapes = [shapely.box(i, 0, i + 0.5, 1) for i in range(COUNT)]
    shapes[0], shapes[1], shapes[2], shapes[3] = (
        None,
        shapely.Polygon(),
        shapely.Point(1, 1),
        shapely.multipolygons(shapes[4:6]),
    )
    found = look(tmp_path, shapes, code=IDS)
    assert found.geometry_types == {"null": 1, "empty": 1, "other": 1, "multipolygon": 1, "polygon": COUNT - 4}
    assert sum(found.geometry_types.values()) == found.count == found.sampled
    assert found.bounds is not None and found.bounds[0] >= 1


def test_large_files_are_sampled_but_ids_are_checked_throughout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "SAMPLE_ROWS", 20)
    monkeypatch.setattr(looking, "_SAMPLE_BLOCKS", 2)
    ids = [*range(COUNT)]
    ids[20] = ids[18]
    found = look(tmp_path, code=ids)
    assert (found.count, found.sampled) == (COUNT, 20)
    assert found.duplicate_ids == 1


def test_every_table_of_a_file_is_looked_at(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"code": IDS}, geometry=[shapely.box(0, 0, 1, 1)] * COUNT, crs="EPSG:4549")
    frame.to_file(tmp_path / "a.gpkg", layer="one")
    frame.to_file(tmp_path / "a.gpkg", layer="two")
    assert [found.table for found in inspect(tmp_path / "a.gpkg")] == ["one", "two"]
    assert inspect(tmp_path / "a.gpkg")[0].crs_name == "CGCS2000 / 3-degree Gauss-Kruger CM 120E"


def test_the_vocabulary_is_folded_and_weighed_within_bounds() -> None:
    from twin.sources.guess import fold

    for names in NAMES.values():
        assert all(fold(name) == name and 0 < weight <= 1 for name, weight in names.items())
