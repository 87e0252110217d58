"""One open door for every format: the same features come out whatever went in."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from twin.errors import MisuseError, SourceError
from twin.sources.keys import key_text
from twin.sources.vector import ReadOptions, VectorSource, open_source

COUNT = 23


def district() -> geopandas.GeoDataFrame:
    """Squares of 10 m with ids, Chinese names and heights."""
    x = np.arange(COUNT) * 20.0 + 350_000
    shapes = shapely.box(x, 3_450_000, x + 10, 3_450_010)
    return geopandas.GeoDataFrame(
        {
            "code": np.arange(COUNT) + 100,
            "name": [f"长宁路{i}号" for i in range(COUNT)],
            "height": np.arange(COUNT) * 1.5 + 3,
        },
        geometry=shapes,
        crs="EPSG:4549",
    )


def write(frame: geopandas.GeoDataFrame, path: Path, **options: object) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, **options)
    elif path.suffix == ".fgb":
        frame.to_file(path, SPATIAL_INDEX="NO", **options)  # the index would sort the features
    elif path.suffix == ".geojsonl":
        frame.to_file(path, COORDINATE_PRECISION=10, **options)
    else:
        frame.to_file(path, **options)
    return path


def collect(source: VectorSource, size: int = 7) -> tuple[pa.Table, np.ndarray]:
    blocks = list(source.blocks(size))
    assert [block.first_row for block in blocks] == np.cumsum([0, *map(len, blocks)]).tolist()[:-1]
    assert sum(map(len, blocks)) == source.count
    assert all(len(block) == block.attributes.num_rows == len(block.z_min) == len(block.z_max) for block in blocks)
    assert all(block.attributes.schema.names == source.fields.names for block in blocks)
    return pa.concat_tables([block.attributes for block in blocks]), np.concatenate([b.geometry for b in blocks])


FORMATS = ["a.gpkg", "a.shp", "a.fgb", "a.geojson", "a.geojsonl", "a.parquet", "a.gml", "a.sqlite"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_features(tmp_path: Path, name: str) -> None:
    frame = district()
    if Path(name).suffix in (".geojson", ".geojsonl"):
        frame = frame.to_crs("OGC:CRS84")
    source = open_source(write(frame, tmp_path / name))
    table, geometry = collect(source)
    assert source.count == COUNT
    assert key_text(table.column("code")).to_pylist() == [str(i + 100) for i in range(COUNT)]
    assert table.column("name").to_pylist() == frame["name"].tolist()
    np.testing.assert_allclose(table.column("height").to_numpy(), frame["height"], rtol=0, atol=1e-9)
    distance = shapely.hausdorff_distance(geometry, frame.geometry.to_numpy())
    assert (distance < (1e-8 if frame.crs.is_geographic else 1e-3)).all()
    assert not shapely.has_z(geometry).any()


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.fgb", "a.parquet"])
def test_blocks_read_anywhere_make_up_the_whole(tmp_path: Path, name: str) -> None:
    source = pickle.loads(pickle.dumps(open_source(write(district(), tmp_path / name))))
    assert source.splittable
    whole, shapes = collect(source)
    pieces = [source.read_block(start, 5) for start in range(0, COUNT, 5)]
    assert pa.concat_tables([piece.attributes for piece in pieces]).equals(whole)
    assert shapely.equals_exact(np.concatenate([piece.geometry for piece in pieces]), shapes, tolerance=0).all()
    assert len(source.read_block(COUNT, 5)) == 0
    assert source.column("height").to_pylist() == whole.column("height").to_pylist()


def test_row_ids_with_gaps_do_not_shift_the_blocks(tmp_path: Path) -> None:
    import sqlite3

    path = write(district(), tmp_path / "a.gpkg")
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("DELETE FROM a WHERE fid IN (2, 3, 11)")
        database.execute("UPDATE gpkg_ogr_contents SET feature_count = (SELECT count(*) FROM a)")
    database.close()
    source = open_source(path)
    whole, _ = collect(source)
    codes = [code for i, code in enumerate(range(100, 100 + COUNT), 1) if i not in (2, 3, 11)]
    assert whole.column("code").to_pylist() == codes
    pieces = [source.read_block(start, 6).attributes for start in range(0, source.count, 6)]
    assert pa.concat_tables(pieces).column("code").to_pylist() == codes


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    source = open_source(write(district(), tmp_path / "a.gpkg"), ReadOptions(columns=("height",)))
    assert source.fields.names == ["height"]
    assert collect(source)[0].column_names == ["height"]
    with pytest.raises(MisuseError, match="no attribute hight") as caught:
        open_source(tmp_path / "a.gpkg", ReadOptions(columns=("hight",)))
    assert "height" in caught.value.next_step


def test_null_and_empty_geometry_keep_their_rows(tmp_path: Path) -> None:
    frame = district()
    frame.loc[3, "geometry"] = None
    frame.loc[5, "geometry"] = shapely.Polygon()
    for name in ("a.gpkg", "a.parquet", "a.geojson"):
        source = open_source(write(frame, tmp_path / name))
        table, geometry = collect(source)
        assert table.column("code").to_pylist() == list(range(100, 100 + COUNT))
        assert geometry[3] is None
        assert geometry[5] is None or geometry[5].is_empty
        assert sum(shape is None or shape.is_empty for shape in geometry) == 2


def test_heights_of_the_geometry_are_kept_as_a_range(tmp_path: Path) -> None:
    frame = district()
    flat = frame.geometry.to_numpy()
    frame["geometry"] = [shapely.force_3d(shape, 4.5 + i) if i % 2 else shape for i, shape in enumerate(flat)]
    blocks = list(open_source(write(frame, tmp_path / "a.gpkg", geometry_type="Unknown")).blocks())
    assert np.isnan(blocks[0].z_min[::2]).all()
    assert blocks[0].z_min[1::2].tolist() == blocks[0].z_max[1::2].tolist() == [4.5 + i for i in range(1, COUNT, 2)]
    assert not shapely.has_z(blocks[0].geometry).any()


def feature(number: int) -> str:
    ring = [[120 + number, 30], [120.5 + number, 30], [120.5 + number, 30.5], [120 + number, 30]]
    return json.dumps(
        {"type": "Feature", "properties": {"n": number}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    )


@pytest.mark.parametrize("name", ["a.json", "a.geojson", "a.geojsonl", "a.geojson.gz", "a.geojsonl.gz", "a.json.gz"])
@pytest.mark.parametrize("mark", ["", "\x1e"])
def test_sequences_are_known_by_their_content_not_their_name(tmp_path: Path, name: str, mark: str) -> None:
    content = "".join(f"{mark}{feature(i)}\n" for i in range(9)).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    source = open_source(path)
    assert source.count == 9
    assert not source.splittable
    assert collect(source)[0].column("n").to_pylist() == list(range(9))
    assert source.crs == "EPSG:4326"


def collection(**members: object) -> str:
    features = ",".join(feature(i) for i in range(2))
    extra = "".join(f',"{key}":{json.dumps(value)}' for key, value in members.items())
    return f'{{"type":"FeatureCollection"{extra},"features":[{features}]}}'


def test_the_crs_of_geojson_is_wgs84_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(collection())
    source = open_source(path)
    assert source.crs == "EPSG:4326"
    assert any("RFC 7946" in note for note in source.notes)
    path.write_text(collection(crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4549"}}))
    assert open_source(path).crs == "EPSG:4549"
    path.write_text(collection(crs=None))
    assert open_source(path).crs is None
    assert open_source(path, ReadOptions(crs="EPSG:4490")).crs == "EPSG:4490"


def test_integer_ids_of_geojson_features_are_an_attribute(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    features = [json.loads(feature(i)) | {"id": 70 - i} for i in range(3)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    source = open_source(path)
    assert source.fid_column is not None
    assert collect(source)[0].column(source.fid_column).to_pylist() == [70, 69, 68]


def test_nested_values_become_json_text(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    features = [json.loads(feature(i)) for i in range(2)]
    features[0]["properties"] |= {"list": [1, 2], "object": {"a": "楼"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False))
    table, _ = collect(open_source(path))
    assert [json.loads(text) if text else None for text in table.column("list").to_pylist()] == [[1, 2], None]
    assert json.loads(table.column("object").to_pylist()[0]) == {"a": "楼"}


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["site grid",UNIT["metre",1]]'])
def test_a_crs_that_says_nothing_counts_as_none(tmp_path: Path, crs: str | None) -> None:
    path = write(district(), tmp_path / "a.shp")
    path.with_suffix(".prj").unlink()
    if crs is not None:
        path.with_suffix(".prj").write_text(crs)
    assert open_source(path).crs is None


def test_a_shapefile_without_prj_or_dbf_still_has_its_geometry(tmp_path: Path) -> None:
    path = write(district(), tmp_path / "a.shp")
    for suffix in (".prj", ".dbf", ".cpg"):
        path.with_suffix(suffix).unlink()
    source = open_source(path)
    assert (source.crs, source.count, source.fields.names) == (None, COUNT, [])
    assert shapely.area(collect(source)[1]).sum() == pytest.approx(100 * COUNT)


def test_a_missing_shx_is_rebuilt_without_writing_beside_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = write(district(), folder / "a.shp", encoding="utf-8")
    path.with_suffix(".shx").unlink()
    before = sorted(folder.iterdir())
    source = open_source(path)
    table, _ = collect(source)
    assert table.column("name").to_pylist() == district()["name"].tolist()
    assert sorted(folder.iterdir()) == before
    assert any(".shx" in note for note in source.notes)


def test_a_zipped_shapefile_in_gbk_is_read_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = write(district(), folder / "房屋.shp", encoding="gbk")
    path.with_suffix(".cpg").unlink()
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for item in sorted(folder.iterdir()):
            target.write(item, f"inner/{item.name}")
    source = open_source(archive)
    assert collect(source)[0].column("name").to_pylist() == district()["name"].tolist()
    assert source.encoding == "GB18030"


def test_several_tables_are_listed_unless_one_is_named_or_alone_has_surfaces(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write(district(), path, layer="FWM")
    points = district()
    points["geometry"] = points.geometry.centroid
    write(points, path, layer="POI")
    assert open_source(path).table == "FWM"
    assert open_source(path, ReadOptions(table="POI")).table == "POI"
    write(district(), path, layer="FWM2")
    with pytest.raises(MisuseError, match="3 tables") as caught:
        open_source(path)
    assert all(name in caught.value.next_step for name in ("FWM", "FWM2", "POI"))
    with pytest.raises(MisuseError, match='no table "fwm"'):
        open_source(path, ReadOptions(table="fwm"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.geojson", b'{"type": "FeatureCollection", "features": [ {'),
        ("a.shp", b"no shapefile"),
        ("a.gpkg", b"SQLite format 3\0 and no more"),
        ("a.geojson.gz", b"\x1f\x8b\x08damaged"),
        ("a.zip", b"PK damaged"),
        ("a.parquet", b"PAR1 damaged"),
        ("a.osm.pbf", b"\x00\x00\x00\x0d\x0a damaged"),
        ("a.txt", b"nothing to see"),
    ],
)
def test_damaged_files_are_refused_by_name_with_a_next_step(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((SourceError, MisuseError)) as caught:
        list(open_source(tmp_path / name).blocks())
    assert name in str(caught.value)
    assert caught.value.next_step


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        open_source(tmp_path / "a.gpkg")


def test_a_csv_with_wkt_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,名称,WKT\n7,路口,"POLYGON ((0 0,4 0,4 3,0 0))"\n')
    table, geometry = collect(open_source(path))
    assert table.column("名称").to_pylist() == ["路口"]
    assert shapely.area(geometry).tolist() == [6.0]


def test_a_text_format_in_gbk_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(collection().replace('"n"', '"名称"').encode("gbk"))
    with pytest.raises(SourceError, match="not in UTF-8") as caught:
        open_source(path)
    assert "iconv" in caught.value.next_step


def test_curves_become_straight_segments(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'id,WKT\n1,"POLYGON ((0 0,1 0,1 1,0 0))"\n'
        '2,"CURVEPOLYGON (CIRCULARSTRING (0 0,1 1,2 0,1 -1,0 0))"\n'
        '3,"MULTISURFACE (((0 0,1 0,1 1,0 0)),CURVEPOLYGON (CIRCULARSTRING (10 0,11 1,12 0,11 -1,10 0)))"\n'
    )
    blocks = list(open_source(path).blocks())
    assert shapely.area(blocks[0].geometry).tolist() == pytest.approx([0.5, np.pi, np.pi + 0.5], rel=2e-3)
    assert any("2 curved" in note for note in blocks[0].notes)


def test_pyogrio_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(collection().replace("[120.5, 30.5], [120, 30]", "[120.5, 30.5], [120, 31]"))
    blocks = list(open_source(path).blocks())
    assert any("Non closed ring" in note for block in blocks for note in block.notes)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert pyogrio.__version__
