"""Many identifiers are found as one would be, names lead to rows by every scheme, and streets keep their 镇."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.entity.test_index import opened, table
from twin.entity import geid
from twin.entity.address_text import parse
from twin.entity.naming import rows_named

ANYTHING = st.none() | st.text(max_size=24) | st.sampled_from(geid.mint("other", ["a", "b"]))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 12), st.lists(ANYTHING, max_size=12), st.randoms())
def test_many_identifiers_are_found_as_one_would_be(
    tmp_path_factory: pytest.TempPathFactory, count: int, others: list[str | None], order: object
) -> None:
    index = opened(tmp_path_factory.mktemp("many"), table(source_key=[f"k{i}" for i in range(count)]))
    written = [*index.table["geid"].to_pylist(), *others]
    order.shuffle(written)  # type: ignore[attr-defined]
    known = {name: row for row, name in enumerate(index.table["geid"].to_pylist())}
    found = index.find_many(pa.array(written, pa.string()))
    assert found.dtype == np.int64
    assert found.tolist() == [known.get(name or "", -1) for name in written]


def test_a_name_is_an_identifier_a_key_or_a_code_in_this_order(tmp_path: Path) -> None:
    index = opened(tmp_path, table(source_key=["1", "2", "3"], aliases=[["REF:9"], ["REF:9"], ["x:1"]]))
    by_key = {index.record(row)["source_key"]: row for row in range(3)}
    source = index.record(0)["source"]
    name = index.record(by_key["3"])["geid"]
    assert rows_named(index, name.upper(), 9) == [by_key["3"]]
    assert rows_named(index, f"{source}:2", 9) == [by_key["2"]]
    assert sorted(rows_named(index, "ref:9", 9)) == sorted([by_key["1"], by_key["2"]])
    assert len(rows_named(index, "ref:9", 1)) == 1
    assert rows_named(index, "1", 9) == [by_key["3"]], "a bare key is not among the names, a bare code is"
    assert index.bearing_key("1") == [by_key["1"]]
    assert rows_named(index, "nothing", 9) == index.bearing_key("nothing") == []


@pytest.mark.parametrize(
    ("text", "street"),
    [
        ("法华镇路97号", "法华镇路"),
        ("上海市长宁区虹桥街道法华镇路97号", "法华镇路"),
        ("长宁区新泾镇北翟路12号", "北翟路"),
        ("上海市天山路街道青溪路115号", "青溪路"),
    ],
)
def test_a_street_named_after_a_town_keeps_its_name(text: str, street: str) -> None:
    (said,) = parse([text])
    assert said.street == street


def test_a_street_that_is_good_enough_spares_the_names_and_changes_nothing_else(tmp_path: Path) -> None:
    rows = table(source_key=["1", "2"], address=["仙霞路12号", "天山路8号"], name=["天山百货", "仙霞路12号店"])
    index = opened(tmp_path, rows)
    whole, spared = index.by_address("仙霞路12号"), index.by_address("仙霞路12号", enough=0.9)
    assert spared == [one for one in whole if not one.named]
    assert spared[0].score == 1.0
    assert any(one.named for one in whole)
    assert index.by_address("仙霞路13号", enough=0.9) == index.by_address("仙霞路13号")
