"""GeoParquet without GDAL: every encoding, every way to state a CRS, blocks across row groups."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from twin.errors import MisuseError, SourceError
from twin.sources.vector import ReadOptions, open_source

COUNT = 25


def frame() -> geopandas.GeoDataFrame:
    holes = [shapely.box(i, 0, i + 0.8, 1) - shapely.box(i + 0.2, 0.2, i + 0.4, 0.4) for i in range(COUNT)]
    shapes = np.array(holes, dtype=object)
    shapes[7] = None
    return geopandas.GeoDataFrame({"code": np.arange(COUNT), "name": ["楼"] * COUNT}, geometry=shapes, crs="EPSG:4549")


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("groups", [4, COUNT])
@pytest.mark.parametrize("multi", [False, True])
def test_any_encoding_and_row_group_size_gives_the_same(
    tmp_path: Path, encoding: str, groups: int, multi: bool
) -> None:
    data = frame()
    if multi:
        data["geometry"] = [
            None if g is None else shapely.multipolygons([g, shapely.box(0, 5, 1, 6)]) for g in data.geometry
        ]
    data.to_parquet(tmp_path / "a.parquet", geometry_encoding=encoding, row_group_size=groups, schema_version="1.1.0")
    source = open_source(tmp_path / "a.parquet")
    assert (source.crs, source.count, source.fields.names) == ("EPSG:4549", COUNT, ["code", "name"])
    expected = data.geometry.to_numpy()
    for size in (3, 10, COUNT):
        pieces = [source.read_block(start, size) for start in range(0, COUNT, size)]
        streamed = list(source.blocks(size))
        for blocks in (pieces, streamed):
            assert np.concatenate([b.attributes.column("code").to_numpy() for b in blocks]).tolist() == list(
                range(COUNT)
            )
            shapes = np.concatenate([block.geometry for block in blocks])
            assert shapes[7] is None
            assert shapely.equals(np.delete(shapes, 7), np.delete(expected, 7)).all()
    assert len(source.read_block(COUNT, 3)) == 0


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, "OGC:CRS84"),
        ({"crs": None}, None),
        ({"crs": {"type": "GeographicCRS", "id": {"authority": "EPSG", "code": 4490}}}, "EPSG:4490"),
    ],
)
def test_a_missing_crs_is_crs84_and_a_null_one_is_unknown(tmp_path: Path, state: dict, expected: str | None) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    del geo["columns"]["geometry"]["crs"]
    geo["columns"]["geometry"] |= state
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "b.parquet")
    assert open_source(tmp_path / "b.parquet").crs == expected
    assert open_source(tmp_path / "b.parquet", ReadOptions(crs="EPSG:4549")).crs == "EPSG:4549"


def test_a_private_crs_is_passed_on_as_projjson(tmp_path: Path) -> None:
    from twin.crs.reference import parse_crs

    own = "+proj=tmerc +lat_0=31.2 +lon_0=121.4 +k=1 +x_0=0 +y_0=0 +ellps=GRS80 +units=m"
    frame().set_crs(own, allow_override=True).to_parquet(tmp_path / "a.parquet")
    crs = open_source(tmp_path / "a.parquet").crs
    assert crs is not None and json.loads(crs)["type"] == "ProjectedCRS"
    assert parse_crs(crs).pyproj.is_projected


def test_bounding_boxes_of_the_format_are_no_attributes(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet", write_covering_bbox=True)
    assert open_source(tmp_path / "a.parquet").fields.names == ["code", "name"]


def test_a_table_without_geometry_keeps_its_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"code": [1, 2], "tags": [["a"], None]}), tmp_path / "a.parquet")
    source = open_source(tmp_path / "a.parquet")
    block = next(source.blocks())
    assert block.geometry.tolist() == [None, None]
    assert block.attributes.column("tags").to_pylist() == ['["a"]', None]
    assert any("JSON" in note and "tags" in note for note in source.notes)


def test_tables_and_unknown_encodings_are_refused(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(MisuseError, match="no tables"):
        open_source(tmp_path / "a.parquet", ReadOptions(table="other"))
    table = pq.read_table(tmp_path / "a.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    geo["columns"]["geometry"]["encoding"] = "runes"
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="runes"):
        open_source(tmp_path / "b.parquet")
