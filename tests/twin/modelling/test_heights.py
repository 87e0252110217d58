"""Promises of the height rules: stated order, nothing invented, every unanswered row with its reason."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.modelling.ground import ground
from twin.modelling.heights import (
    AttributeRule,
    DsmRule,
    GroundAttribute,
    GroundConstant,
    GroundDem,
    HeightContext,
    StoreysRule,
    evaluate,
)
from twin.modelling.numbers import counts, lengths
from twin.report import REASONS

FLAT = [GroundConstant(4.0)]
PLAIN = HeightContext()


def squares(count: int) -> np.ndarray:
    at = np.arange(count) * 30.0
    return shapely.box(at, 0, at + 20, 20)


@dataclass(frozen=True)
class Answer:
    values: np.ndarray
    pixels: np.ndarray
    outside: np.ndarray
    covered: np.ndarray


@dataclass(frozen=True)
class Terraces:
    """A raster that knows one value for each footprint of `squares`, by its place; NaN beyond."""

    level: tuple[float, ...]
    cells: int = 400
    covered: tuple[float, ...] = ()

    def zonal(self, polygons, crs, statistics, inset_m=0.0):
        row = np.round(shapely.bounds(polygons)[:, 0] / 30.0).astype(int)
        value = np.array([*self.level, np.nan])[np.minimum(row, len(self.level))]
        side = np.where(np.isnan(value), 0, self.cells)
        share = np.array([*self.covered, 1.0])[np.minimum(row, len(self.covered))]
        return Answer(np.repeat(value[:, None], len(statistics), axis=1), side, np.isnan(value), share)


def one(rule, values, context=PLAIN, rules_ground=FLAT):
    table = pa.table({"h": values})
    return evaluate(table, squares(len(table)), [rule], rules_ground, context)


def same(found, wanted):
    np.testing.assert_allclose(found, [np.nan if value is None else value for value in wanted], rtol=1e-9)


def test_a_height_above_ground_stands_on_the_ground():
    found = one(AttributeRule("h"), [10.0, 25.5])
    same(found.height_m, [10.0, 25.5])
    same(found.base_m, [4.0, 4.0])
    same(found.roof_m, [14.0, 29.5])
    assert found.source.to_pylist() == ["attribute:h", "attribute:h"]
    assert found.ground_source.to_pylist() == ["constant", "constant"]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.9])
    assert found.reasons == []


@pytest.mark.parametrize(
    ("unit", "metres"), [("m", 1), ("dm", 0.1), ("cm", 0.01), ("ft", 0.3048), ("us-ft", 1200 / 3937)]
)
def test_units_are_those_of_the_rule(unit, metres):
    same(one(AttributeRule("h", unit=unit), [30, 500]).height_m, [30 * metres, 500 * metres])


def test_a_roof_elevation_is_less_its_ground():
    found = one(AttributeRule("h", meaning="roof_elevation"), [24.0, 4.0, 3.0, None])
    same(found.height_m, [20.0, None, None, None])
    same(found.roof_m, [24.0, None, None, None])
    assert found.reasons == [(1, "height_invalid"), (2, "height_invalid"), (3, "height_missing")]


def test_a_roof_over_a_known_ground_is_surer_than_over_a_constant():
    table = pa.table({"h": [24.0], "g": [4.0]})
    rule = [AttributeRule("h", meaning="roof_elevation")]
    sure = evaluate(table, squares(1), rule, [GroundAttribute("g")], PLAIN).confidence[0]
    assert sure > evaluate(table, squares(1), rule, FLAT, PLAIN).confidence[0] > 0.5


@pytest.mark.parametrize("value", [0.0, -1.0, -9999.0, 9999.0, 999.0, 99999.0, 32767.0, 1000.5, float("inf"), -3.4e38])
def test_what_cannot_be_a_height_is_invalid_and_never_built(value):
    found = one(AttributeRule("h"), [value, 12.0])
    same(found.height_m, [None, 12.0])
    assert found.reasons == [(0, "height_invalid")]
    assert found.source.to_pylist()[0] is None
    assert np.isnan(found.confidence[0])


@pytest.mark.parametrize("values", [pa.array([None, None], pa.float64()), [np.nan, None], ["", "unknown"], pa.nulls(2)])
def test_nothing_is_missing_and_not_invalid(values):
    found = one(AttributeRule("h"), values)
    assert np.isnan(found.height_m).all()
    assert found.reasons == [(0, "height_missing"), (1, "height_missing")]


def test_a_placeholder_that_is_an_ordinary_length_in_its_unit_is_a_height():
    same(one(AttributeRule("h", unit="cm"), [999, 1250]).height_m, [9.99, 12.5])
    assert one(AttributeRule("h", unit="cm"), [9999]).reasons == [(0, "height_invalid")]


def test_the_stated_maximum_is_the_limit():
    assert one(AttributeRule("h"), [301.0], replace(PLAIN, max_height_m=300)).reasons == [(0, "height_invalid")]
    same(one(AttributeRule("h"), [300.0], replace(PLAIN, max_height_m=300)).height_m, [300.0])


def test_text_is_read_as_people_write_it():
    text = ["12 m", "12,5", " 12.50m ", "1,234.5 cm", "40 ft", "40'", "１２米", "3 stones", "ca. 12", "12-15", None, ""]
    same(
        lengths(pa.array(text), "m")[1],
        [12, 12.5, 12.5, 12.345, 12.192, 12.192, 12, None, None, None, None, None],
    )
    same(lengths(pa.array(["350", "3 m"]), "cm")[1], [3.5, 3.0])
    same(counts(pa.array(["6", "6F", "6层", "6 storeys", "B1", "3-6", None])), [6, 6, 6, 6, None, None, None])


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int64(), pa.float32(), pa.decimal128(21, 2), pa.string()])
def test_every_kind_of_column_gives_the_same_heights(kind):
    plain = pa.array([12, None, 7], pa.int64())
    column = plain.cast(kind)
    same(one(AttributeRule("h"), column).height_m, [12, None, 7])
    same(one(AttributeRule("h"), column.dictionary_encode()).height_m, [12, None, 7])
    same(one(AttributeRule("h"), pa.chunked_array([column[:1], column[1:]])).height_m, [12, None, 7])


def test_storeys_count_by_class():
    table = pa.table({"f": [6, 6, 6, None, 0, 400], "use": ["住宅", "工业", None, "工业", "住宅", "住宅"]})
    rule = StoreysRule("f", 3.0, {"工业": 4.5, "学校": 3.7})
    found = evaluate(table, squares(6), [rule], FLAT, replace(PLAIN, class_field="use"))
    same(found.height_m, [18.0, 27.0, 18.0, None, None, None])
    assert found.source.to_pylist()[:3] == ["storeys"] * 3
    assert found.confidence.tolist()[:3] == pytest.approx([0.5] * 3)
    assert found.reasons == [(3, "height_missing"), (4, "height_invalid"), (5, "height_invalid")]
    with pytest.raises(MisuseError, match="class"):
        evaluate(table, squares(6), [rule], FLAT, PLAIN)


def test_rules_are_asked_in_order_and_only_about_what_is_open():
    table = pa.table({"a": [10.0, 9999.0, None, None], "b": [1.0, 20.0, 30.0, None], "f": [1, 2, 3, 4]})
    rules = [AttributeRule("a"), AttributeRule("b"), StoreysRule("f", 3.0)]
    found = evaluate(table, squares(4), rules, FLAT, PLAIN)
    same(found.height_m, [10, 20, 30, 12])
    assert found.source.to_pylist() == ["attribute:a", "attribute:b", "attribute:b", "storeys"]
    turned = evaluate(table, squares(4), rules[::-1], FLAT, PLAIN)
    same(turned.height_m, [3, 6, 9, 12])
    assert found.reasons == turned.reasons == []


def test_an_invalid_value_anywhere_is_told_when_no_rule_helps():
    table = pa.table({"a": [None, 9999.0], "f": pa.array([0, None], pa.int32())})
    found = evaluate(table, squares(2), [AttributeRule("a"), StoreysRule("f", 3.0)], FLAT, PLAIN)
    assert found.reasons == [(0, "height_invalid"), (1, "height_invalid")]


def test_a_surface_model_less_the_ground():
    context = replace(PLAIN, rasters={"dsm": Terraces((24.0, 4.2, 3.0)), "dem": Terraces((4.0, 4.0, 4.0, 4.0))})
    found = evaluate(pa.table({"x": [1] * 5}), squares(5), [DsmRule("dsm")], [GroundDem("dem")], context)
    same(found.height_m, [20.0, None, None, None, None])
    assert found.source.to_pylist()[0] == "dsm"
    assert found.confidence[0] == pytest.approx(0.8)
    assert found.reasons == [(1, "height_invalid"), (2, "height_invalid"), (3, "height_missing"), (4, "ground_missing")]


def test_fewer_cells_mean_less_confidence():
    def confidence(cells):
        context = replace(PLAIN, rasters={"dsm": Terraces((24.0,), cells)})
        return evaluate(pa.table({"x": [1]}), squares(1), [DsmRule("dsm")], FLAT, context).confidence[0]

    found = [confidence(cells) for cells in (1, 5, 20, 50, 5000)]
    assert found == sorted(found)
    assert 0.4 <= found[0] < found[2] < found[3] == found[4] == pytest.approx(0.8)


def test_a_point_of_interpolation_is_the_least_sure():
    context = replace(PLAIN, rasters={"dsm": Terraces((24.0,), 0)})
    assert evaluate(pa.table({"x": [1]}), squares(1), [DsmRule("dsm")], FLAT, context).confidence[0] == pytest.approx(
        0.4
    )


def test_ground_rules_pass_on_and_say_so():
    context = replace(PLAIN, rasters={"dem": Terraces((3.0, np.nan, np.nan, np.nan))})
    table = pa.table({"h": [10.0] * 4, "g": [1.0, 300.0, -9999.0, 999.0]})
    rules = [GroundDem("dem"), GroundAttribute("g", "cm")]
    found = evaluate(table, squares(4), [AttributeRule("h")], rules, context)
    same(found.base_m, [3.0, 3.0, -99.99, None])
    assert found.ground_source.to_pylist() == ["dem", "attribute:g", "attribute:g", None]
    in_metres = evaluate(table, squares(4), [AttributeRule("h")], [GroundDem("dem"), GroundAttribute("g")], context)
    same(in_metres.base_m, [3.0, 300.0, None, None])
    assert in_metres.reasons == [(1, "ground_outside_raster"), (2, "ground_missing"), (3, "ground_missing")]
    last = evaluate(table, squares(4), [AttributeRule("h")], [GroundDem("dem"), GroundConstant(2.0)], context)
    same(last.base_m, [3.0, 2.0, 2.0, 2.0])
    assert [code for _, code in last.reasons] == ["ground_outside_raster"] * 3


def test_an_answer_that_rests_on_a_part_of_the_footprint_says_so():
    dem, dsm = Terraces((3.0,) * 5, covered=(1.0, 0.9, 0.89, 0.1, 0.2)), Terraces((20.0,) * 5, covered=(0.5,))
    context = replace(PLAIN, rasters={"dem": dem, "dsm": dsm})
    table = pa.table({"h": [10.0] * 5})
    by_field = evaluate(table, squares(5), [AttributeRule("h")], [GroundDem("dem")], context)
    assert by_field.reasons == [(row, "raster_partly_covers") for row in (2, 3, 4)]
    same(by_field.base_m, [3.0] * 5)
    measured = evaluate(table, squares(5), [DsmRule("dsm")], [GroundDem("dem")], context)
    assert measured.reasons == [(row, "raster_partly_covers") for row in (0, 2, 3, 4)], "once, whichever raster it is"
    not_asked = evaluate(table, squares(5), [AttributeRule("h"), DsmRule("dsm")], FLAT, context)
    assert not_asked.reasons == []


def test_an_answer_that_is_not_taken_leaves_no_remark_on_its_cover():
    rasters = {"dem": Terraces((-9999.0,), covered=(0.3,)), "dsm": Terraces((3.9,), covered=(0.3,))}
    context = replace(PLAIN, rasters=rasters)
    found = evaluate(pa.table({"h": [10.0]}), squares(1), [DsmRule("dsm")], [GroundDem("dem"), *FLAT], context)
    assert found.reasons == [(0, "ground_outside_raster"), (0, "height_invalid")]


def test_ground_at_or_below_sea_level_is_ground():
    table = pa.table({"h": [10.0, 10.0], "g": [0.0, -3.5]})
    found = evaluate(table, squares(2), [AttributeRule("h")], [GroundAttribute("g")], PLAIN)
    same(found.roof_m, [10.0, 6.5])
    assert found.reasons == []


def test_without_ground_nothing_stands_and_one_reason_is_enough():
    found = evaluate(pa.table({"h": [10.0, None]}), squares(2), [AttributeRule("h")], [], PLAIN)
    assert found.reasons == [(0, "ground_missing"), (1, "ground_missing")]
    assert np.isnan(found.roof_m).all()


def test_the_lower_end_is_raised_where_it_is_below_the_upper():
    table = pa.table({"h": [10.0, 10.0, 10.0, 10.0, None], "m": ["3", "10 m", None, "-2", "1"]})
    found = evaluate(table, squares(5), [AttributeRule("h")], FLAT, replace(PLAIN, min_height_field="m"))
    same(found.min_height_m, [3.0, 0.0, 0.0, 0.0, 1.0])
    assert found.reasons == [(1, "min_height_invalid"), (3, "min_height_invalid"), (4, "height_missing")]


def test_what_does_not_exist_is_named():
    table = pa.table({"h": [1.0], "d": pa.array([0], pa.date32())})
    for rules, words in (
        ([AttributeRule("height")], 'no field "height"'),
        ([AttributeRule("h", unit="yd")], "yd"),
        ([AttributeRule("d")], "date32"),
        ([DsmRule("nowhere")], "nowhere"),
    ):
        with pytest.raises(MisuseError, match=words):
            evaluate(table, squares(1), rules, FLAT, PLAIN)
    with pytest.raises(MisuseError, match="nowhere"):
        ground(table, squares(1), [GroundDem("nowhere")], {}, None)
    with pytest.raises(MisuseError, match="meaning"):
        AttributeRule("h", meaning="eaves")


def test_an_empty_block_is_a_block():
    found = evaluate(pa.table({"h": pa.array([], pa.float64())}), squares(0), [AttributeRule("h")], FLAT, PLAIN)
    assert len(found.height_m) == len(found.source) == 0
    assert found.reasons == []


numbers = st.one_of(st.none(), st.sampled_from([0.0, -1.0, 9999.0, 999.0]), st.floats(0.1, 2000))
rows = st.lists(
    st.tuples(numbers, numbers, st.one_of(st.none(), st.integers(-1, 90)), numbers), min_size=1, max_size=30
)


@given(rows, st.randoms(use_true_random=False))
def test_row_order_does_not_matter_and_every_row_is_accounted_for(data, random):
    a, b, f, m = (list(column) for column in zip(*data, strict=True))
    table = pa.table(
        {
            "a": pa.array(a, pa.float64()),
            "b": pa.array(b, pa.float64()),
            "f": pa.array(f, pa.int64()),
            "m": pa.array(m, pa.float64()),
        }
    )
    context = replace(PLAIN, min_height_field="m", rasters={"dem": Terraces((3.0, 4.0, np.nan, 5.0) * 4)})
    rules = [AttributeRule("a"), AttributeRule("b", meaning="roof_elevation"), StoreysRule("f", 3.0)]
    grounds = [GroundDem("dem"), GroundAttribute("m")]
    shape = squares(len(data))
    order = np.array(random.sample(range(len(data)), len(data)))
    straight = evaluate(table, shape, rules, grounds, context)
    mixed = evaluate(table.take(order), shape[order], rules, grounds, context)
    for name in ("base_m", "height_m", "roof_m", "min_height_m", "confidence"):
        np.testing.assert_array_equal(getattr(mixed, name), getattr(straight, name)[order])
    assert mixed.source.to_pylist() == straight.source.take(pa.array(order)).to_pylist()
    assert {(order[row], code) for row, code in mixed.reasons} == set(straight.reasons)
    _accounted(straight, len(data))


def _accounted(found, count):
    """Each row has a height with its source, or exactly one reason that forces another outcome."""
    forced = [row for row, code in found.reasons if REASONS[code].outcome is not None]
    assert len(forced) == len(set(forced))
    standing = np.isfinite(found.base_m) & np.isfinite(found.height_m)
    assert set(np.flatnonzero(~standing)) == set(forced)
    assert (found.height_m[standing] > 0).all()
    assert (found.min_height_m[standing] < found.height_m[standing]).all()
    assert [name is not None for name in found.source.to_pylist()] == np.isfinite(found.height_m).tolist()
    assert [name is not None for name in found.ground_source.to_pylist()] == np.isfinite(found.base_m).tolist()
    np.testing.assert_array_equal(np.isfinite(found.confidence), np.isfinite(found.height_m))


def test_a_million_rows_take_less_than_a_second():
    table = pa.table({"h": np.linspace(1, 90, 1_000_000)})
    shape = np.full(len(table), None, dtype=object)
    start = time.process_time()
    evaluate(table, shape, [AttributeRule("h")], FLAT, PLAIN)
    assert time.process_time() - start < 1.0
