"""Every vector file of the real data ends as a source that counts right, or in a refusal that says what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from twin.crs.reference import horizontal, parse_crs
from twin.errors import MisuseError, SourceError
from twin.sources.encoding import detect_encoding
from twin.sources.inspect import inspect
from twin.sources.keys import key_text
from twin.sources.vector import ReadOptions, VectorSource, open_source

pytestmark = pytest.mark.real

SUFFIXES = frozenset(
    {".shp", ".dbf", ".gpkg", ".geojson", ".json", ".fgb", ".parquet", ".gml", ".pbf", ".osm", ".sqlite", ".kml",
     ".kmz", ".csv", ".gz", ".zip"}
)  # fmt: skip
FOLDERS = [
    "footprints", "terrain/goteborg_dsm_dem", "lidar/delft_3dfier_west/bgt", "shanghai", "street_assets",
    "messy/mapshaper_shapefiles/dbf", "messy/mapshaper_shapefiles/features", "messy/mapshaper_shapefiles/geojson",
    "messy/mapshaper_shapefiles/geopackage", "messy/mapshaper_shapefiles/geoparquet",
    "messy/mapshaper_shapefiles/issues", "messy/mapshaper_shapefiles", "messy/pyogrio_fixtures",
]  # fmt: skip
KOREA = "footprints/korea_namyangju_4formats"


def whole(source: VectorSource) -> tuple[pa.Table, np.ndarray]:
    blocks = list(source.blocks())
    assert sum(map(len, blocks)) == source.count
    if not blocks:
        return source.fields.empty_table(), np.empty(0, dtype=object)
    return pa.concat_tables([block.attributes for block in blocks]), np.concatenate([b.geometry for b in blocks])


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_crashes_and_every_feature_is_counted(
    real_data: Path, folder: str, capfd: pytest.CaptureFixture
) -> None:
    files = [path for path in sorted((real_data / folder).rglob("*")) if path.suffix.lower() in SUFFIXES]
    assert files
    read = 0
    for path in files:
        try:
            source = open_source(path)
            table, geometry = whole(source)
        except (SourceError, MisuseError) as error:
            assert path.name in str(error)
            assert error.next_step
            continue
        read += 1
        assert len(geometry) == source.count
        assert table.num_columns == 0 or table.num_rows == source.count  # Arrow joins no rows without a column
        table.validate(full=True)
        assert not shapely.has_z(geometry).any()
        assert source.splittable is False or len(source.read_block(0, 3)) == min(3, source.count)
    assert read >= len(files) * 0.5
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_readable_file_can_be_inspected(real_data: Path, folder: str) -> None:
    for path in sorted((real_data / folder).rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            found = inspect(path)
        except (SourceError, MisuseError):
            continue
        for table in found:
            assert sum(table.geometry_types.values()) == table.sampled == table.count
            assert {field.name for field in table.fields} <= set(
                open_source(path, ReadOptions(table=table.table)).fields.names
            )


def test_four_formats_hold_the_same_buildings(real_data: Path) -> None:
    names = ["footprint.gpkg", "footprint.shp", "footprint.parquet", "footprint-with-height.geojson"]
    tables, shapes = zip(*(whole(open_source(real_data / KOREA / name)) for name in names), strict=True)
    metres = horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:5186"))
    flat = [shapely.transform(shapely.normalize(geometry), metres) for geometry in shapes]

    def key(table: pa.Table, geometry: np.ndarray) -> list[int]:
        centre = shapely.centroid(geometry)
        return np.lexsort((np.round(shapely.get_y(centre), 2), np.round(shapely.get_x(centre), 2))).tolist()

    orders = [key(table, geometry) for table, geometry in zip(tables, flat, strict=True)]
    first = [
        key_text(table.column("height").take(order)).to_pylist() for table, order in zip(tables, orders, strict=True)
    ]
    ids = [key_text(table.column("layer").take(order)).to_pylist() for table, order in zip(tables, orders, strict=True)]
    assert len(ids[0]) == 177
    for other in range(1, len(names)):
        assert first[other] == first[0]
        assert ids[other] == ids[0]
        apart = shapely.hausdorff_distance(flat[other][orders[other]], flat[0][orders[0]])
        assert apart.max() < 1e-3, names[other]


def test_the_brooklyn_sequence_is_read_whole(real_data: Path) -> None:
    (found,) = inspect(real_data / "footprints/nyc_brooklyn_osm_heights/nyc_brooklyn_osm_heights.geojsonl.gz")
    assert found.count == 37_355
    assert [found.best(role).field for role in ("id", "height", "kind")] == ["id", "height", "kind"]
    assert found.duplicate_ids == 37_355 - 35_134
    assert found.duplicates.advice == "union"


def test_helsinki_has_494_buildings_and_130_parts(real_data: Path) -> None:
    table, _ = whole(open_source(real_data / "footprints/helsinki_osm_pbf/Helsinki.osm.pbf"))
    kinds = {row["values"]: row["counts"] for row in table.column("kind").value_counts().to_pylist()}
    assert kinds == {"building": 494, "building_part": 130}
    assert table.column("id").null_count == 0
    assert len(table.column("id").unique()) == 624


@pytest.mark.parametrize(
    ("path", "height", "storeys"),
    [
        ("footprints/suzhou_floor/suzhou_buildings.geojson", "height", "Floor"),
        ("footprints/tokyo_ota_height/tokyo_buildings.geojson", "height", None),
        (f"{KOREA}/footprint.shp", "height", None),
    ],
)
def test_the_height_fields_are_found(real_data: Path, path: str, height: str, storeys: str | None) -> None:
    (found,) = inspect(real_data / path)
    assert found.best("height").field == height
    assert (found.best("storeys").field if storeys else found.best("storeys")) == storeys


def test_suzhous_constant_id_is_not_taken(real_data: Path) -> None:
    (found,) = inspect(real_data / "footprints/suzhou_floor/suzhou_buildings.geojson")
    assert found.best("id") is None


def test_goteborgs_field_names_are_latin1(real_data: Path) -> None:
    source = open_source(real_data / "terrain/goteborg_dsm_dem/buildings.shp")
    assert "OPERATÖR" in source.fields.names
    assert source.count == 137
    assert not source.encoding_guess.certain


def test_a_shapefile_of_shanghai_without_attributes_and_crs_says_so(real_data: Path) -> None:
    source = open_source(real_data / "shanghai/streets_raw/shanghai_street.shp")
    assert (source.crs, source.fields.names, source.count) == (None, [], 251)


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("gb2312", "gb18030", "简体国语"), ("gbk", "gb18030", "简体国语"), ("big5", "cp950", "繁體國語"),
        ("shiftjis", "cp932", "ひたちなか市"), ("eucjp", "euc_jp", "ひたちなか市"), ("latin1", "cp1252", None),
        ("utf8", "utf-8", None), ("cpg/win1251", "cp1251", "РУССКИЙ"), ("cpg/euckr", "cp949", "한국말"),
        ("cpg/latin2", "iso8859-2", "čeština"), ("ldid/chinese", "gb18030", "简体"),
    ],
)  # fmt: skip
def test_the_encodings_of_the_zoo_are_told_apart(real_data: Path, name: str, encoding: str, text: str | None) -> None:
    path = real_data / f"messy/mapshaper_shapefiles/dbf/{name}.dbf"
    assert detect_encoding(path).name == encoding
    table, _ = whole(open_source(path))
    values = [value for column in table.columns for value in column.to_pylist()]
    assert text is None or text in values


def test_curved_surfaces_become_valid_polygons(real_data: Path) -> None:
    for name in ("curvepolygon.gpkg", "multisurface.gpkg"):
        block = next(open_source(real_data / "messy/pyogrio_fixtures" / name).blocks())
        assert shapely.is_valid(block.geometry).all()
        assert shapely.area(block.geometry).min() > 0
        assert any("curved" in note for note in block.notes)
