"""Property tables: the specification's vectors, and nothing lost between Arrow and Arrow."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.metadata.schema import (
    FLOAT_NO_DATA,
    IDENTIFIER,
    Property,
    Schema,
    class_from_arrow,
    expressible,
    identifiers,
    integer_ranges,
    schema_from_json,
)
from twin.metadata.table import decode_table, encode_table

# The first example of a test may pay for a compilation, and the machine may be busy.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


def encoded(table: pa.Table, enums=None, names=None):
    cls, made = class_from_arrow("thing", table.schema, names or {}, enums, integer_ranges(table))
    schema = Schema("test", (cls,), made)
    return schema, encode_table(cls, schema, table)


def through(table: pa.Table, enums=None) -> pa.Table:
    schema, made = encoded(table, enums)
    again = schema_from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    read = decode_table(again, made.json, made.views.__getitem__)
    return read.rename_columns(table.schema.names)


def test_strings_are_stored_as_the_specification_shows():
    _, made = encoded(pa.table({"a": ["长宁区", "", "a"]}))
    assert made.json["properties"]["a"] == {"values": 0, "stringOffsets": 1, "stringOffsetType": "UINT16"}
    assert made.views[0].hex() == "e995bfe5ae81e58cba61"
    assert np.frombuffer(made.views[1], np.uint16).tolist() == [0, 9, 9, 10]


def test_long_strings_take_wider_offsets():
    text = ["x" * 40_000, "y" * 40_000]
    _, made = encoded(pa.table({"a": text}))
    assert made.json["properties"]["a"]["stringOffsetType"] == "UINT32"
    assert through(pa.table({"a": text}))["a"].to_pylist() == text


def test_booleans_are_stored_as_the_specification_shows():
    column = pa.field("b", pa.bool_(), nullable=False)
    table = pa.table([pa.array([True, False, True, True, False, False, False, False, True])], pa.schema([column]))
    schema, made = encoded(table)
    assert schema.classes[0].properties[0].type == "BOOLEAN"
    assert made.views[0].hex() == "0d01"
    assert through(table)["b"].to_pylist() == table["b"].to_pylist()


def test_null_is_neither_true_nor_false():
    table = pa.table({"b": pa.array([True, None, False])})
    assert through(table)["b"].to_pylist() == ["yes", None, "no"]


INTEGERS = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64}


@st.composite
def integer_column(draw):
    kind = draw(st.sampled_from(sorted(INTEGERS)))
    bits = INTEGERS[kind]
    low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    taken = {"int16": {low}, "int32": {low}, "uint32": {high}}.get(kind, set())
    values = st.integers(low, high).filter(lambda value: value not in taken)
    return pa.array(draw(st.lists(st.none() | values, min_size=1, max_size=30)), getattr(pa, kind)())


@given(integer_column())
def test_integers_come_back_exactly_whatever_their_width_and_nulls(column):
    read = through(pa.table({"i": column}))["i"].to_pylist()
    assert [None if value is None else int(value) for value in read] == column.to_pylist()


@given(integer_column())
def test_no_integer_that_may_be_null_becomes_a_bigint_in_javascript(column):
    schema, _ = encoded(pa.table({"i": column}))
    (one,) = schema.classes[0].properties
    assert one.component_type not in ("INT64", "UINT64")
    assert one.no_data is not None
    assert one.no_data == json.loads(json.dumps(one.no_data))


def test_integers_that_are_never_null_keep_their_type():
    for kind in INTEGERS:
        field = pa.field("i", getattr(pa, kind)(), nullable=False)
        cls, _ = class_from_arrow("thing", pa.schema([field]), {})
        assert cls.properties[0].component_type == kind.upper()
        assert cls.properties[0].no_data is None


def test_integers_that_would_be_rounded_are_refused():
    table = pa.table({"i": pa.array([2**53 + 1, None], pa.int64())})
    cls, _ = class_from_arrow("thing", table.schema, {})
    with pytest.raises(MisuseError, match="2\\*\\*53"):
        encode_table(cls, Schema("test", (cls,)), table)


@given(st.lists(st.none() | st.floats(), min_size=1), st.sampled_from([pa.float32(), pa.float64()]))
def test_floats_come_back_and_what_is_no_number_is_null(values, kind):
    numbers = np.array([math.nan if v is None else v for v in values])
    with np.errstate(over="ignore"):
        column = pa.array(numbers.astype(kind.to_pandas_dtype()), kind)
    read = through(pa.table({"f": column}))["f"].to_pylist()
    expected = [v if math.isfinite(v) and v != FLOAT_NO_DATA else None for v in column.to_pylist()]
    assert read == expected


@given(st.lists(st.none() | st.text(), min_size=1))
def test_texts_come_back_and_an_empty_one_is_null(values):
    assert through(pa.table({"t": pa.array(values, pa.string())}))["t"].to_pylist() == [v or None for v in values]


@given(st.lists(st.none() | st.lists(st.text(), max_size=4), min_size=1))
def test_lists_of_texts_come_back_and_null_is_an_empty_list(values):
    read = through(pa.table({"l": pa.array(values, pa.list_(pa.string()))}))["l"].to_pylist()
    assert [v or [] for v in read] == [v or [] for v in values]


@given(st.lists(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=4), min_size=1))
def test_lists_of_integers_come_back(values):
    read = through(pa.table({"l": pa.array(values, pa.list_(pa.int32()))}))["l"].to_pylist()
    assert [v or [] for v in read] == values


@given(st.lists(st.none() | st.sampled_from(["住宅", "b", "c", "unknown"]), min_size=1))
def test_enums_come_back_and_their_codes_do_not_depend_on_the_tile(values):
    listed = ["c", "住宅", "b", "unknown"]
    table = pa.table({"e": pa.array(values, pa.string()).dictionary_encode()})
    schema, made = encoded(table, {"e": listed})
    assert schema.enums[0].values == tuple(sorted(listed))
    assert through(table, {"e": listed})["e"].to_pylist() == values
    if made.json.get("properties"):
        codes = np.frombuffer(made.views[0], np.uint16)
        assert [None if c == 65535 else sorted(listed)[c] for c in codes] == values


def test_a_value_outside_its_enum_is_refused():
    with pytest.raises(MisuseError, match="'d' is not a value"):
        encoded(pa.table({"e": ["a", "d"]}), {"e": ["a"]})


def test_dates_decimals_and_unlisted_dictionaries_become_what_a_client_can_read():
    from datetime import date, datetime
    from decimal import Decimal

    table = pa.table(
        {
            "d": pa.array([date(2024, 2, 29), None]),
            "s": pa.array([datetime(2024, 2, 29, 12, 30), None], pa.timestamp("s")),
            "n": pa.array([Decimal("12.50"), None]),
            "k": pa.array(["a", None]).dictionary_encode(),
            "v": pa.nulls(2),
        }
    )
    read = through(table).to_pydict()
    assert read == {
        "d": ["2024-02-29", None],
        "s": ["2024-02-29T12:30:00", None],
        "n": [12.5, None],
        "k": ["a", None],
        "v": [None, None],
    }


def test_a_slice_of_a_chunked_table_is_encoded_like_a_copy_of_it():
    part = pa.table(
        {"t": ["aa", None, "长", "d"], "i": pa.array([1, None, 3, 4], pa.int16()), "l": [["x"], [], None, ["y", "z"]]}
    )
    whole = pa.concat_tables([part, part, part])
    cut = whole.slice(3, 6)
    copy = pa.Table.from_pylist(cut.to_pylist(), cut.schema)
    assert encoded(cut)[1] == encoded(copy)[1]


def test_columns_that_say_nothing_are_left_out_and_read_as_null():
    table = pa.table({"t": pa.nulls(3, pa.string()), "f": pa.nulls(3, pa.float32()), "x": ["a", "b", "c"]})
    _, made = encoded(table)
    assert set(made.json["properties"]) == {"x"}
    assert through(table).to_pylist() == table.to_pylist()


def test_a_table_of_blank_columns_alone_has_no_properties_key():
    _, made = encoded(pa.table({"t": pa.nulls(3, pa.string())}))
    assert made.json == {"class": "thing", "count": 3}
    assert made.views == []


def test_no_view_is_empty_and_shifting_moves_every_view():
    table = pa.table({"a": [[""], [""]], "b": ["", "x"]})
    schema, made = encoded(table)
    assert all(made.views)
    shifted = made.shifted(10)
    read = decode_table(schema, shifted, lambda index: made.views[index - 10])
    assert read.to_pylist() == [{"a": [""], "b": None}, {"a": [""], "b": "x"}]


@given(st.lists(st.text(min_size=0, max_size=8), max_size=12))
def test_identifiers_are_ascii_unique_and_stable(texts):
    made = identifiers(texts)
    assert all(IDENTIFIER.fullmatch(one) for one in made)
    assert len(set(made)) == len(made)
    assert identifiers(texts) == made


def test_identifiers_keep_what_is_readable():
    assert identifiers(["geid", "attr.FLOOR", "楼层", "USE-类", "1st", "a b", "a_b"]) == [
        "geid", "attr_FLOOR", "u697c_u5c42", "USE_u7c7b", "_1st", "a_b", "a_b_2",
    ]  # fmt: skip


def test_chinese_column_names_go_to_the_name():
    schema, _ = encoded(pa.table({"楼层": [1], "height_m": [2.0]}), names={"height_m": "高度"})
    properties = schema.to_json()["classes"]["thing"]["properties"]
    assert {key: one["name"] for key, one in properties.items()} == {"u697c_u5c42": "楼层", "height_m": "高度"}


def test_a_type_no_property_can_hold_is_named_with_its_column():
    for kind in (
        pa.binary(),
        pa.struct([("a", pa.int32())]),
        pa.list_(pa.list_(pa.int32())),
        pa.map_(pa.string(), pa.string()),
    ):
        assert not expressible(kind)
        with pytest.raises(MisuseError, match="photo"):
            class_from_arrow("thing", pa.schema([("photo", kind)]), {})


def test_an_empty_table_and_a_missing_column_are_refused():
    table = pa.table({"a": ["x"]})
    cls, _ = class_from_arrow("thing", table.schema, {})
    with pytest.raises(MisuseError, match="one row"):
        encode_table(cls, Schema("s", (cls,)), table.slice(0, 0))
    with pytest.raises(MisuseError, match="column a"):
        encode_table(cls, Schema("s", (cls,)), pa.table({"b": ["x"]}))


def test_a_schema_reads_back_as_it_was_written():
    table = pa.table({"a": ["x"], "b": [True], "c": [[1.5]]})
    cls, enums = class_from_arrow("thing", table.schema, {"a": "甲"}, {"a": ["x", "y"]})
    schema = Schema("s", (cls,), enums)
    assert schema_from_json(schema.to_json()).to_json() == schema.to_json()
    assert isinstance(cls.properties[0], Property)
