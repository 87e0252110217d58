"""An id is the same text whatever type a file format gave it."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from twin.sources.keys import key_text


@given(st.lists(st.integers(-(2**53), 2**53) | st.none()))
def test_integers_are_the_same_as_floats_text_and_decimals(values: list[int | None]) -> None:
    expected = [None if value is None else str(value) for value in values]
    whole = pa.array(values, pa.int64())
    floats = pa.array([None if value is None else float(value) for value in values], pa.float64())
    assert key_text(whole).to_pylist() == expected
    assert key_text(floats).to_pylist() == expected
    assert key_text(whole.cast(pa.decimal128(24, 2))).to_pylist() == expected
    assert (
        key_text(pa.array([None if v is None else f"  {v}.00 " for v in values], pa.string())).to_pylist() == expected
    )
    assert key_text(pa.array(expected, pa.string()).dictionary_encode()).to_pylist() == expected
    assert key_text(pa.chunked_array([whole, whole])).to_pylist() == expected * 2


@given(st.lists(st.text() | st.none()))
def test_keys_are_stable_stripped_and_never_empty(values: list[str | None]) -> None:
    keys = key_text(pa.array(values, pa.string()))
    assert all(key is None or (key and key == key.strip()) for key in keys.to_pylist())
    assert key_text(keys).equals(keys)


def test_what_is_no_id_is_null() -> None:
    assert key_text(pa.array([float("nan"), float("inf"), None, -0.0, 2.5])).to_pylist() == [
        None,
        None,
        None,
        "0",
        "2.5",
    ]
    assert key_text(pa.array(["", " ", None, "007", "1.50"])).to_pylist() == [None, None, None, "007", "1.50"]
    assert key_text(pa.nulls(2)).to_pylist() == [None, None]
    assert key_text(pa.chunked_array([], pa.int64())).to_pylist() == []
