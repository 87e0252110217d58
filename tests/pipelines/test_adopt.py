"""A served release becomes the first edition of the history, with nothing lost on the way."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipelines.adopt import adopt, versions_of_index
from pipelines.adopt_json import attributes_json
from pipelines.adopt_wkb import wkb
from pipelines.project import load_project
from tests.pipelines.district import district
from twin.entity.index_schema import INDEX_FIELDS, POLYGONS
from twin.entity.rows import json_value
from twin.registry.open import open_history
from twin.registry.versions import VERSION_FIELDS, EditionKind, Window

PUBLISHED = dt.datetime(2025, 3, 4, 5, 6, 7, tzinfo=dt.UTC)


def test_the_served_release_is_adopted_once_as_of_the_time_it_was_published(tmp_path: Path) -> None:
    made = district(tmp_path / "d", 40)
    made.build()
    os.utime(made.root / "out" / "current.json", (PUBLISHED.timestamp(), PUBLISHED.timestamp()))
    project, index = load_project(made.root), made.index
    with open_history(made.root / "registry.sqlite", "310105") as history:
        edition = adopt(project, history)
        assert edition is not None
        assert (edition.number, edition.kind, edition.valid_from) == (1, EditionKind.ADOPT, PUBLISHED)
        assert adopt(project, history) is None
        found = history.snapshot()
        assert history.snapshot(Window(valid=PUBLISHED - dt.timedelta(seconds=1))).num_rows == 0
        bridge = history.bridge(1)
        assert list(history.verify()) == []
    kept = [field.name for field in INDEX_FIELDS if field.name in {one.name for one in VERSION_FIELDS} - {"geometry"}]
    assert found.select(kept).to_pylist() == index.table.select(kept).to_pylist()
    for row in (0, 17, 39):
        own = json.loads(found["attributes"][row].as_py())
        assert own == {key: value for key, value in index.record(row)["attributes"].items() if value is not None}
        assert json.loads(found["provenance"][row].as_py())["geometry"] == "houses"
        height = json.loads(found["provenance"][row].as_py())["height_m"]
        assert height == index.table["height_source"][row].as_py()
    shapes = shapely.from_wkb(found["geometry"].to_pylist())
    assert set(shapely.get_type_id(shapes)) == {shapely.GeometryType.POLYGON}
    assert shapely.area(shapes).sum() == pytest.approx(shapely.area(made.shapes).sum(), abs=0.5)
    assert dict(zip(bridge["source_key"].to_pylist(), bridge["geid"].to_pylist(), strict=True)) == made.geids()


def test_the_date_of_the_survey_may_be_stated(tmp_path: Path) -> None:
    made = district(tmp_path / "d", 6)
    made.build()
    with open_history(made.root / "registry.sqlite", "310105") as history:
        edition = adopt(load_project(made.root), history, valid_from=PUBLISHED)
    assert edition is not None
    assert edition.valid_from == PUBLISHED


def test_nothing_is_adopted_where_nothing_is_served(tmp_path: Path) -> None:
    made = district(tmp_path / "d", 3).write()
    with open_history(made.root / "registry.sqlite", "310105") as history:
        assert adopt(load_project(made.root), history) is None
        assert history.editions() == ()


def nested(shape: shapely.Geometry | None) -> list[list[list[tuple[float, float]]]] | None:
    if shape is None:
        return None
    return [[list(ring.coords) for ring in (part.exterior, *part.interiors)] for part in shapely.get_parts(shape)]


def square(x: float, size: float) -> shapely.Polygon:
    hole = shapely.box(x + size / 4, size / 4, x + size / 2, size / 2)
    return shapely.Polygon(shapely.box(x, 0, x + size, size).exterior, [hole.exterior])


_SHAPES = st.lists(
    st.one_of(
        st.none(),
        st.builds(square, st.floats(-1e6, 1e6), st.floats(1, 50)),
        st.lists(st.floats(1, 50), min_size=2, max_size=4).map(
            lambda sizes: shapely.MultiPolygon([square(100.0 * n, size) for n, size in enumerate(sizes)])
        ),
    ),
    max_size=8,
)


@given(_SHAPES, _SHAPES)
def test_nested_lists_become_the_same_shapes_whatever_chunks_they_lie_in(
    one: list[shapely.Geometry | None], other: list[shapely.Geometry | None]
) -> None:
    chunks = [pa.array([nested(shape) for shape in part], POLYGONS) for part in ([None, *one], other, [])]
    column = pa.chunked_array([chunks[0].slice(1), *chunks[1:]], POLYGONS)
    for found, shape in zip(wkb(column).to_pylist(), [*one, *other], strict=True):
        assert (found is None) == (shape is None)
        if found is not None:
            assert found == shapely.to_wkb(shape)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        st.one_of(
            *(
                st.tuples(st.lists(st.none() | values, min_size=5, max_size=5), st.just(kind))
                for values, kind in (
                    (st.text(st.characters(exclude_categories=["Cs"]), max_size=4), pa.string()),
                    (st.floats(), pa.float64()),
                    (st.floats(width=32), pa.float32()),
                    (st.integers(-(2**63), 2**63 - 1), pa.int64()),
                    (st.integers(0, 2**64 - 1), pa.uint64()),
                    (st.booleans(), pa.bool_()),
                    (st.dates(), pa.date32()),
                    (st.binary(max_size=3), pa.binary()),
                    (st.lists(st.none() | st.floats(), max_size=2), pa.list_(pa.float64())),
                )
            )
        ),
        max_size=4,
    ),
    st.integers(0, 5),
)
def test_attributes_are_the_bytes_that_orjson_writes_for_the_row_as_an_object(
    columns: dict[str, tuple[list[Any], pa.DataType]], cut: int
) -> None:
    arrays = {
        f"attr.{name}": pa.chunked_array([pa.array(values[:cut], kind), pa.array(values[cut:], kind)])
        for name, (values, kind) in columns.items()
    }
    found = attributes_json(pa.table({"geid": pa.array(["x"] * 5), **arrays}))
    rows = [{name: arrays[f"attr.{name}"][row].as_py() for name in sorted(columns)} for row in range(5)]
    no_number = [
        {name for name, value in row.items() if isinstance(value, float) and not np.isfinite(value)} for row in rows
    ]
    expected = [
        {name: json_value(value) for name, value in row.items() if value is not None and name not in left_out}
        for row, left_out in zip(rows, no_number, strict=True)
    ]
    assert found.to_pylist() == [orjson.dumps(row).decode() if columns else None for row in expected]


def test_attributes_keep_their_types_and_leave_nulls_out() -> None:
    columns = {
        "geid": ["x", "y"],
        "attr.n": pa.array([1, None], pa.int64()),
        "attr.f": [float("nan"), 2.5],
        "attr.t": ['"长宁"\n', None],
        "attr.b": [True, None],
        "attr.d": [dt.date(2020, 2, 3), None],
        "attr.c": pa.array(["k", "k"]).dictionary_encode(),
    }
    found = versions_of_index(pa.table(columns))
    assert found.schema == pa.schema(VERSION_FIELDS)
    assert [json.loads(text) for text in found["attributes"].to_pylist()] == [
        {"b": True, "c": "k", "d": "2020-02-03", "n": 1, "t": '"长宁"\n'},
        {"c": "k", "f": 2.5},
    ]
    assert found["attributes"][0].as_py() == json.dumps(
        json.loads(found["attributes"][0].as_py()), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_provenance_names_the_rule_of_each_height_and_the_source_of_the_rest() -> None:
    heights = np.array(["attribute:h", None, "storeys"], dtype=object)
    table = pa.table(
        {"geid": ["a", "b", "c"], "source": ["s", "t", "s"], "name": ["n", None, None],
         "height_source": pa.array(heights, pa.string()), "ground_source": ["dem", None, "dem"]}
    )  # fmt: skip
    assert [json.loads(text) for text in versions_of_index(table)["provenance"].to_pylist()] == [
        {"height_m": "attribute:h", "roof_m": "attribute:h", "base_m": "dem", "name": "s", "attributes": "s"},
        {"attributes": "t"},
        {"height_m": "storeys", "roof_m": "storeys", "base_m": "dem", "attributes": "s"},
    ]
