"""Promise 5: every entity is found without loading a tile."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.entity import geid
from twin.entity.index import EntityIndex, index_schema
from twin.entity.index_schema import INDEX_FIELDS, POLYGONS
from twin.entity.level_grid import LevelGrid
from twin.errors import MisuseError, StoreError

SEEDS = st.integers(0, 2**32 - 1)
OUTSIDE = [[0.0, 0.0], [30.0, 0.0], [30.0, 30.0], [0.0, 30.0], [0.0, 0.0]]
INSIDE = [[10.0, 10.0], [10.0, 20.0], [20.0, 20.0], [20.0, 10.0], [10.0, 10.0]]
COURTYARD = [[OUTSIDE, INSIDE]]


def square(x: float, y: float, side: float) -> list[list[list[list[float]]]]:
    return [[[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]]


def table(**columns: object) -> pa.Table:
    """An index table of as many rows as the columns have; geids are minted from the source keys."""
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    keys = columns.get("source_key", [str(i) for i in range(count)])
    schema = index_schema()
    given_columns = {
        "geid": geid.mint("t", [f"s/{key}" for key in keys]),  # type: ignore[attr-defined]
        "layer": ["buildings"] * count,
        "source": ["s"] * count,
        "source_key": keys,
        **columns,
    }
    return pa.table(
        {
            name: pa.array(values, schema.field(name).type) if name in schema.names else values
            for name, values in given_columns.items()
        }
    )


def opened(folder: Path, rows: pa.Table) -> EntityIndex:
    EntityIndex.write(folder / "e.arrow", rows)
    return EntityIndex.open(folder / "e.arrow", to_xy=lambda lon, lat: (lon * 10, lat * 10))


def keys(index: EntityIndex, rows: list[int]) -> list[str]:
    return [index.record(row)["source_key"] for row in rows]


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.integers(0, 200))
def test_every_identifier_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    rows = table(source_key=[f"k{seed}-{i}" for i in range(count)])
    index = opened(tmp_path_factory.mktemp("i"), rows)
    assert len(index) == count
    for name, key in zip(rows["geid"].to_pylist(), rows["source_key"].to_pylist(), strict=True):
        found = index.find(name.upper())
        assert found is not None
        assert index.record(found)["source_key"] == key
        assert index.by_key("s", key) == found
    for stranger in (
        *geid.mint("stranger", ["a", "b"]),
        "",
        "7k3m",
        "\0",
        "0000-0000-0000-0000",
        "zzzz-zzzz-zzzz-zzzz",
    ):
        assert index.find(stranger) is None
    assert index.by_key("s", "nothing") is None
    assert index.by_key("other", f"k{seed}-0") is None


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(0, 40), st.integers(1, 7))
def test_the_same_rows_in_any_order_and_chunking_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, pieces: int
) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("i")
    maybe = rng.random(count) < 0.5
    texts = pa.array([f"名 {i % 3}" for i in range(count)], pa.string())
    rows = table(
        name=texts.filter(pa.array(np.ones(count, bool))).to_pylist(),
        height_m=pa.array(rng.random(count), mask=maybe),
        row=pa.array(np.arange(count, dtype=np.int32), mask=~maybe),
        reasons=[None if m else ["height_missing"] for m in maybe],
        geometry=[None if m else square(i, i, 1.0) for i, m in enumerate(maybe)],
    )
    rows = rows.append_column("attr.用途", texts.dictionary_encode())
    order = rng.permutation(count)
    shuffled = rows.take(pa.array(order)).slice(0)
    size = max(count // pieces, 1)
    chunked = pa.concat_tables([shuffled.slice(at, size) for at in range(0, count, size)] or [rows])
    garbage = pa.array(rng.random(count), mask=maybe)  # other numbers under the same nulls
    values = np.where(maybe, garbage.to_numpy(zero_copy_only=False), rows["height_m"].to_numpy())
    other = chunked.set_column(
        chunked.column_names.index("height_m"), "height_m", pa.array(values[order], mask=maybe[order])
    )
    digests = {EntityIndex.write(folder / name, t) for name, t in [("a", rows), ("b", other)]}
    assert len(digests) == 1
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    assert EntityIndex.open(folder / "a").table.sort_by("geid").column_names[-1] == "attr.用途"


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    rows = table(source_key=["a", "b"], name=["A", None], storeys=[3.0, None], geometry=[COURTYARD, None], row=[0, -1])
    index = opened(tmp_path, rows)
    assert index.table.select(rows.column_names).sort_by("source_key").to_pylist() == rows.to_pylist()
    assert index.table.schema.names == [field.name for field in INDEX_FIELDS]
    assert index.rows(1, 99).num_rows == 1
    assert [batch.num_rows for batch in index.batches(1)] == [1, 1]


def test_a_record_is_ready_for_json_with_attributes_nested(tmp_path: Path) -> None:
    rows = table(source_key=["a"], height_m=[float("nan")], reasons=[["height_missing"]])
    rows = (
        rows.append_column("attr.built", pa.array([datetime.date(1998, 5, 1)]))
        .append_column("attr.seen", pa.array([datetime.datetime(2026, 1, 2, 3, 4)]))
        .append_column("attr.area", pa.array([Decimal("12.50")]))
        .append_column("attr.raw", pa.array([b"\xff"]))
        .append_column("attr.用途", pa.array(["住宅"]).dictionary_encode())
    )
    record = opened(tmp_path, rows).record(0)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["height_m"] is None
    assert record["reasons"] == ["height_missing"]
    assert "geometry" not in record
    assert record["attributes"] == {
        "built": "1998-05-01",
        "seen": "2026-01-02T03:04:00",
        "area": 12.5,
        "raw": "ff",
        "用途": "住宅",
    }


# Text -------------------------------------------------------------------------------------------------------------

NAMES = ["Grand Tower", "grand hotel", "长宁区政府大楼", "长宁图书馆", None, "ＡＢＣ广场", "the grandest"]
STREETS = ["愚园路 1088号", None, "长宁路 599号", "天山路 356号", "愚园路 12号", None, None]


@pytest.fixture
def named(tmp_path: Path) -> EntityIndex:
    return opened(tmp_path, table(source_key=list("abcdefg"), name=NAMES, address=STREETS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GRAND", ["b", "a", "g"]),  # beginnings in order, then what holds it
        ("grand t", ["a"]),
        ("长宁", ["c", "d"]),
        ("愚园路", ["a", "e"]),
        ("图书", ["d"]),
        ("abc", ["f"]),  # full-width in the data
        ("ＡＢＣ", ["f"]),
        ("  grand h ", ["b"]),
        ("", []),
        (" ", []),
        ("nothing at all", []),
        ("%", []),
        ("\0", []),
    ],
)
def test_search_by_beginning_then_by_piece(named: EntityIndex, text: str, expected: list[str]) -> None:
    assert keys(named, named.prefix(text, 10)) == expected


def test_the_limit_holds_and_no_row_comes_twice(named: EntityIndex) -> None:
    assert keys(named, named.prefix("grand", 2)) == ["b", "a"]
    assert named.prefix("grand", 0) == []
    assert keys(named, named.prefix("d", 10))[0] == "d"  # a whole source key comes first


def test_the_beginning_of_an_identifier_is_searched_in_any_spelling(named: EntityIndex) -> None:
    for row in range(len(named)):
        name = named.record(row)["geid"]
        for text in (name, name.upper(), name[:11], name[:9].replace("-", "").upper()):
            assert named.prefix(text, 5)[0] == row


@settings(deadline=None, max_examples=30)
@given(
    names=st.lists(st.none() | st.text("aAbB长宁 ", max_size=5), min_size=1, max_size=30),
    text=st.text("aAb长 ", max_size=3),
)
def test_search_agrees_with_looking_at_every_row(
    tmp_path_factory: pytest.TempPathFactory, names: list[str | None], text: str
) -> None:
    count = len(names)
    index = opened(tmp_path_factory.mktemp("i"), table(source_key=[f"#{i}" for i in range(count)], name=names))
    wanted = text.lower().strip()
    folded = [(index.record(row)["name"] or "").lower().strip() for row in range(count)]
    starts = sorted((name, row) for row, name in enumerate(folded) if wanted and name.startswith(wanted))
    holds = sorted((name, row) for row, name in enumerate(folded) if wanted and wanted in name)
    start = geid.partial(wanted) if wanted else None
    by_id = [row for row in range(count) if start and index.record(row)["geid"].startswith(start)]
    expected = list(dict.fromkeys([row for _, row in starts] + by_id + [row for _, row in holds]))
    assert index.prefix(text, count) == expected


# Place ------------------------------------------------------------------------------------------------------------


def test_the_smallest_that_holds_the_point_comes_first_and_a_courtyard_is_outside(tmp_path: Path) -> None:
    index = opened(
        tmp_path,
        table(
            source_key=["yard", "kiosk", "far", "flat"],
            geometry=[COURTYARD, square(2, 2, 3), square(100, 100, 5), None],
        ),
    )
    assert keys(index, index.at_xy(3, 3)) == ["kiosk", "yard"]
    assert keys(index, index.at_xy(7, 7)) == ["yard"]
    assert index.at_xy(15, 15) == []
    assert keys(index, index.at_xy(15, 15, tolerance_m=5)) == ["yard"]
    assert index.at_xy(15, 15, tolerance_m=4.99) == []
    assert keys(index, index.at_xy(65, 65, tolerance_m=60)) == ["far", "yard"]
    assert keys(index, index.at(0.3, 0.3)) == ["kiosk", "yard"]
    for nowhere in ((np.nan, 0.0), (np.inf, 0.0), (1e9, -1e9)):
        assert index.at_xy(*nowhere) == []


def test_height_rules_out_what_does_not_reach_it(tmp_path: Path) -> None:
    same = [square(0, 0, 10)] * 3
    rows = table(
        source_key=["low", "high", "flat"], geometry=same, height=[14.0, 40.0, None], height_m=[20.0, 10.0, None]
    )
    index = opened(tmp_path, rows)
    assert set(keys(index, index.at_xy(5, 5))) == {"low", "high", "flat"}
    assert set(keys(index, index.at_xy(5, 5, h=20.0))) == {"low", "flat"}
    assert set(keys(index, index.at_xy(5, 5, h=34.5))) == {"low", "flat"}
    assert set(keys(index, index.at_xy(5, 5, h=45.0))) == {"high", "flat"}


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 80), st.floats(0, 60))
def test_search_by_place_agrees_with_looking_at_every_row(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, tolerance: float
) -> None:
    """Boxes from a shed to a district, on both sides of the axes."""
    rng = np.random.default_rng(seed)
    low, side = rng.uniform(-300, 300, (count, 2)), 10 ** rng.uniform(-1, 3.2, count)
    shapes = [square(x, y, s) for (x, y), s in zip(low.tolist(), side.tolist(), strict=True)]
    index = opened(tmp_path_factory.mktemp("i"), table(source_key=[str(i) for i in range(count)], geometry=shapes))
    x, y = rng.uniform(-400, 400, 2)
    distance = {str(i): shapely.distance(shapely.Polygon(s[0][0]), shapely.Point(x, y)) for i, s in enumerate(shapes)}
    expected = [k for k in sorted(distance, key=lambda k: (distance[k], side[int(k)])) if distance[k] <= tolerance]
    assert keys(index, index.at_xy(x, y, tolerance_m=tolerance)) == expected


def test_a_grid_without_boxes_finds_nothing() -> None:
    for bounds in (np.empty((0, 4)), np.full((3, 4), np.nan)):
        assert LevelGrid.build(bounds).near(0, 0, 1e6).tolist() == []


def test_geojson_is_in_degrees_with_holes_kept(tmp_path: Path) -> None:
    index = opened(
        tmp_path,
        table(source_key=["yard", "two", "none"], geometry=[COURTYARD, square(0, 0, 1) + square(5, 5, 1), None]),
    )
    features = {
        (feature := index.geojson(row, lambda x, y: (x / 10 + 121, y / 10 + 31)))["properties"]["source_key"]: feature
        for row in range(3)
    }
    yard = features["yard"]
    assert yard["id"] == yard["properties"]["geid"]
    assert yard["geometry"]["type"] == "Polygon"
    assert [len(ring) for ring in yard["geometry"]["coordinates"]] == [5, 5]
    assert yard["geometry"]["coordinates"][0][1] == [124.0, 31.0]
    assert features["two"]["geometry"]["type"] == "MultiPolygon"
    assert features["none"]["geometry"] is None


# A broken world ---------------------------------------------------------------------------------------------------


def test_tables_that_are_no_index_are_not_written(tmp_path: Path) -> None:
    path, good = tmp_path / "e.arrow", table(source_key=["a", "b"])
    (twice,) = geid.mint("t", ["s/a"])
    cases = {
        "unknown columns": good.append_column("colour", pa.array(["red", "blue"])),
        "missing columns": good.drop_columns(["layer"]),
        "no geid": good.set_column(0, "geid", pa.array([twice, None])),
        "is no geid": good.set_column(0, "geid", pa.array([twice, "short"])),
        f"two entities have the geid {twice}": good.set_column(0, "geid", pa.array([twice, twice])),
        "does not fit": good.append_column("height_m", pa.array(["tall", "small"])),
    }
    for message, rows in cases.items():
        with pytest.raises(StoreError, match=message):
            EntityIndex.write(path, rows)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_index_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.arrow"
    with pytest.raises(StoreError, match=r"e\.arrow"):
        EntityIndex.open(path)
    EntityIndex.write(path, table(source_key=["a", "b"]))
    whole = path.read_bytes()
    for damaged in (b"", b"ARROW1", whole[: len(whole) // 2], b"x" * 500):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="build again"):
            EntityIndex.open(path)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, pa.schema([("a", pa.int8())])):
        pass
    with pytest.raises(StoreError, match="no entity index"):
        EntityIndex.open(path)


def test_warming_up_changes_no_answer(named: EntityIndex) -> None:
    cold = [named.prefix("grand", 9), named.at_xy(0, 0), named.by_key("s", "a")]
    again = EntityIndex.open(named.path)
    again.warm()
    assert [again.prefix("grand", 9), again.at_xy(0, 0), again.by_key("s", "a")] == cold


def test_misuse_is_told(tmp_path: Path) -> None:
    EntityIndex.write(tmp_path / "e.arrow", table(source_key=["a"]))
    index = EntityIndex.open(tmp_path / "e.arrow")
    with pytest.raises(MisuseError, match="to_xy"):
        index.at(121, 31)
    for row in (-1, 1):
        with pytest.raises(MisuseError, match="no row"):
            index.record(row)


def test_the_geometry_type_is_polygons_of_rings_of_points() -> None:
    assert index_schema().field("geometry").type == POLYGONS
    assert (
        index_schema([pa.field("用途", pa.dictionary(pa.int8(), pa.string()))]).field("attr.用途").type == pa.string()
    )
