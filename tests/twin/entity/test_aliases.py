"""Codes of other systems lead to entities: exactly, by their beginning, with or without their scheme (D4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.entity.test_index import opened, table
from twin.crs import beidou_grid
from twin.entity.aliases import BEIDOU_LEVEL, AliasTexts, alias_lists, beidou_aliases, scheme_of, written

CODES = st.text("abzAZ019:/-._Ａ９：街道字號é", min_size=1, max_size=6).filter(lambda text: text.strip(":：") != "")
ROWS = st.lists(st.lists(st.tuples(st.sampled_from(["a", "bb", "街道", "x.y"]), CODES), max_size=3), max_size=8)


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_every_alias_is_found_with_and_without_its_scheme(rows: list[list[tuple[str, str]]]) -> None:
    column = pa.array([[f"{scheme}:{value}" for scheme, value in row] for row in rows], pa.list_(pa.string()))
    texts = AliasTexts.build(pa.chunked_array([column]))
    for number, row in enumerate(rows):
        for scheme, value in row:
            assert number in set(texts.equal_to(f"{scheme}:{value}"))
            assert number in set(texts.equal_to(value))
            assert number in set(texts.starting_with(value[:1]))
    assert set(texts.starting_with("no such code at all")) == set()


def test_nothing_but_the_bearers_of_a_code_is_found(tmp_path: Path) -> None:
    lists = [["REALTY:12", "POST:200050"], ["REALTY:123", "POST:200050"], None, [], ["REALTY:Ａ9", "ref.bag:12"]]
    index = opened(tmp_path, table(source_key=list("abcde"), aliases=lists))

    def keys(rows: list[int]) -> list[str]:
        return sorted(index.record(row)["source_key"] for row in rows)

    assert keys(index.by_alias("REALTY:12")) == ["a"]
    assert keys(index.by_alias("12")) == ["a", "e"]
    assert keys(index.by_alias("ref:bag:12")) == keys(index.by_alias("ref.bag:12")) == ["e"]
    assert keys(index.by_alias("post:200050")) == ["a", "b"]
    assert len(index.by_alias("post:200050", limit=1)) == 1
    assert keys(index.by_alias("a9")) == ["e"]
    for nothing in ("", ":", "REALTY:", "REALTY", ":12", "POST:12", "\ud800", "other:12"):
        assert index.by_alias(nothing) == []
    assert keys(index.prefix("12", 9)) == ["a", "b", "e"]
    assert keys(index.prefix("12", 2)) == ["a", "e"]
    assert keys(index.prefix("realty:12", 9)) == ["a", "b"]


def test_a_name_comes_before_a_code_that_begins_alike(tmp_path: Path) -> None:
    names = ["N51 House", "Old N51H", None]
    codes = [["beidou:N51H263920000000"], ["beidou:N51H263920000001"], ["beidou:N51H263920000002"]]
    index = opened(tmp_path, table(source_key=list("abc"), name=names, aliases=codes))
    assert [index.record(row)["source_key"] for row in index.prefix("n51h2", 9)] != []
    assert [index.record(row)["source_key"] for row in index.prefix("n51", 9)] == ["a", "b"]  # a cell of 6 x 4 degrees
    assert index.record(index.prefix("N51H263920000002", 9)[0])["source_key"] == "c"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-87.9, 87.9)), min_size=1, max_size=20))
def test_the_beidou_code_is_that_of_the_cell_the_place_is_in(places: list[tuple[float, float]]) -> None:
    lon, lat = np.array(places).T
    aliases = beidou_aliases(lon, lat).to_pylist()
    codes = [text.removeprefix("beidou:") for text in aliases]
    assert codes == beidou_grid.encode(lon, lat, BEIDOU_LEVEL).tolist()
    assert {len(code) for code in codes} == {16}
    cells = beidou_grid.decode(codes)
    slack = 1e-9
    assert np.all((cells.west <= lon + slack) & (lon <= cells.east + slack) | (np.abs(lon) == 180))
    assert np.all((cells.south <= lat + slack) & (lat <= cells.north + slack))


@pytest.mark.parametrize(
    "place", [(np.nan, 31.0), (121.0, np.nan), (181.0, 0.0), (0.0, 88.0), (0.0, -89.0), (np.inf, 0)]
)
def test_a_place_without_a_code_has_no_alias_and_spoils_no_other(place: tuple[float, float]) -> None:
    lon, lat = np.array([[121.4, 31.2], place, [-121.4, -31.2]]).T
    found = beidou_aliases(lon, lat).to_pylist()
    assert found[1] is None and found[0].startswith("beidou:N51H") and found[2].startswith("beidou:S10H")
    assert beidou_aliases(lon[1:2], lat[1:2]).to_pylist() == [None]


def test_lists_join_columns_row_by_row_and_leave_nulls_out() -> None:
    one = written(scheme_of("ref:bag"), pa.array(["1", None, "3"]))
    lists = pa.array([["a:1", "a:2"], None, []], pa.list_(pa.string()))
    two = pa.array([None, "b:2", "b:3"])
    assert alias_lists(one, lists, two).to_pylist() == [
        ["ref.bag:1", "a:1", "a:2"],
        ["b:2"],
        ["ref.bag:3", "b:3"],
    ]
    assert alias_lists(pa.nulls(2, pa.string())).to_pylist() == [[], []]
    assert alias_lists(lists.slice(1), two.slice(1)).to_pylist() == [["b:2"], ["b:3"]]
